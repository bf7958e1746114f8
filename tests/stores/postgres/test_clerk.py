import pytest

from gatewayd.errors import StoreError
from gatewayd.model import Directory, Revocation
from gatewayd.stores.postgres.clerk import open_clerk
from gatewayd.stores.postgres.reader import open_reader
from tests.stores.postgres.stores import opened


def told(rest: str) -> Directory:
    with open_reader(rest) as reader:
        return reader.directory()


def test_a_clerk_may_be_there_before_any_daemon(rest: str) -> None:
    with open_clerk(rest) as clerk:
        clerk.assign("zoë", "gold")
        clerk.assign("zoë", "free")
    assert told(rest) == Directory(2, {"zoë": "free"})


async def test_of_two_times_the_later_stands(rest: str) -> None:
    async with opened(rest):
        pass
    with open_clerk(rest) as clerk:
        for moment in (5.0, 9.5, 7.0):
            clerk.revoke(Revocation("all", "", moment))
    assert told(rest) == Directory(3, {}, (Revocation("all", "", 9.5),))


@pytest.mark.parametrize("user", ["a\0b", "\ud800", "x" * 3_000], ids=["NUL", "surrogate", "long"])
def test_a_name_that_cannot_be_stored_is_refused_and_nothing_changes(rest: str, user: str) -> None:
    with open_clerk(rest) as clerk:
        with pytest.raises(StoreError, match="cannot be stored"):
            clerk.assign(user, "gold")
        with pytest.raises(StoreError, match="cannot be stored"):
            clerk.revoke(Revocation("user", user, 1.0))
        clerk.assign("alice", "gold")
    assert told(rest) == Directory(1, {"alice": "gold"})
