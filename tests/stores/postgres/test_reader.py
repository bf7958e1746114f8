import pytest

from gatewayd.errors import StoreError
from gatewayd.model import Directory
from gatewayd.stores.base import Batch
from gatewayd.stores.postgres import reader as module
from gatewayd.stores.postgres.clerk import open_clerk
from gatewayd.stores.postgres.reader import open_reader
from tests import postgres
from tests.stores.ledgers import ALICE, batch, posting, want
from tests.stores.postgres.stores import opened


async def test_everything_is_of_the_moment_at_which_the_ledger_was_opened(
    rest: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ROWS_AT_ONCE", 2)
    async with opened(rest) as store:
        await store.lease("a", [want(most=20)])
        await store.post("a", Batch([posting(f"r{n}") for n in range(5)], in_flight={ALICE: 2}))
        with open_reader(rest) as reader:
            await store.post("a", batch(posting("later")))
            with open_clerk(rest) as clerk:
                clerk.assign("alice", "gold")
            assert [row.id for row in reader.records()] == [f"r{n}" for n in range(5)]
            assert reader.end()[0] == 5
            assert reader.leased() == {ALICE: (15, 15)}
            assert [(b.held, b.spent) for b in reader.balances(user_id="alice", period="2025-11")] == [(2, 5)]
            assert reader.balances(user_id="a\0b") == []
            assert reader.directory() == Directory(0, {})
            assert reader.last_plans() == {"alice": "free"}


def test_a_ledger_that_was_never_made_is_told_so_and_not_made(rest: str) -> None:
    for _ in range(2):
        with pytest.raises(StoreError, match="is empty: start the daemon once"), open_reader(rest):
            pass


async def test_a_reader_writes_nothing(rest: str) -> None:
    async with opened(rest):
        pass
    with open_reader(rest) as reader, pytest.raises(StoreError, match="read-only"):
        reader._rows("DELETE FROM usage_records RETURNING id")


def test_a_server_that_is_away_is_told_so() -> None:
    with pytest.raises(StoreError, match="start it, or correct") as refused, open_reader("//u:s3@[::1]:1/x"):
        pass
    assert "s3@" not in str(refused.value)


async def test_a_reader_whose_connection_dies_says_so(rest: str) -> None:
    async with opened(rest):
        pass
    with open_reader(rest) as reader:
        ((pid,),) = reader._rows("SELECT pg_backend_pid()")
        postgres.execute(rest, f"SELECT pg_terminate_backend({pid}, 5000)")
        with pytest.raises(StoreError, match="cannot be used"):
            list(reader.records())
