"""What daemons and stores say to each other is what it says: the same words are the same."""

import pytest

from gatewayd.model import Account
from gatewayd.stores.base import Grant, Standing, Want

ALICE = Account("alice", "api_calls", "2026-11")


@pytest.mark.parametrize(
    ("one", "same", "other"),
    [
        (Want(ALICE, 10, 1, 5), Want(ALICE, 10, 1, 5), Want(ALICE, 10, 1, 4)),
        (Grant(5, 10, 0, 5, 0), Grant(5, 10, 0, 5, 0), Grant(5, 10, 0, 5, 1)),
        (Standing(None, 3), Standing(None, 3), Standing(10, 3)),
    ],
)
def test_a_want_a_grant_and_a_standing_are_what_they_say(one: object, same: object, other: object) -> None:
    assert one == same
    assert hash(one) == hash(same)
    assert one != other
