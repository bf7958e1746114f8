import pytest

from gatewayd.model import Account, Balance, DirectoryPage, Revocation
from gatewayd.stores.base import Batch
from gatewayd.stores.postgres.clerk import open_clerk
from tests import postgres
from tests.stores.ledgers import ALICE, batch, drift, posting, want
from tests.stores.postgres.stores import opened


async def test_a_balance_counts_what_is_in_flight_anywhere_but_here(rest: str) -> None:
    async with opened(rest) as store:
        await store.lease("a", [want(most=50)])
        await store.post("a", Batch(in_flight={ALICE: 2}))
        await store.post("b", Batch(in_flight={ALICE: 3}))
        assert await store.balances("alice", "2025-11", but="a") == [Balance(*ALICE, limit=100, held=3, spent=0)]
        assert await store.balances("alice", "2025-11") == [Balance(*ALICE, limit=100, held=5, spent=0)]
        assert await store.balances("a\0b", "2025-11") == []


async def test_a_name_that_means_something_in_the_question_is_a_name_like_any_other(rest: str) -> None:
    async with opened(rest) as store:
        with open_clerk(rest) as clerk:
            clerk.assign("version", "gold")
            clerk.revoke(Revocation("user", "account", 12.25))
        page = DirectoryPage(0, 2, {"version": "gold"}, (Revocation("user", "account", 12.25),))
        assert await store.directory(0, 10) == page


@pytest.mark.parametrize(
    ("statement", "units"),
    [
        pytest.param("SELECT 1", 0, id="whole"),
        pytest.param("UPDATE usage_balances SET spent = spent + 3", 3, id="spent"),
        pytest.param("UPDATE usage_balances SET held = held - 2, spent = spent - 1", 3, id="held and spent"),
        pytest.param("DELETE FROM usage_records", 4, id="records"),
        pytest.param("DELETE FROM usage_balances", 20, id="balances"),
    ],
)
async def test_drift_is_what_the_sums_differ_by(rest: str, statement: str, units: int) -> None:
    async with opened(rest) as store:
        await store.lease("a", [want(most=20)])
        await store.post("a", batch(posting(quantity=4)))
        postgres.execute(rest, statement)
        assert await drift(store, [ALICE, Account("bob", "api_calls", "2025-11")]) == units
        assert await drift(store, []) == 0
