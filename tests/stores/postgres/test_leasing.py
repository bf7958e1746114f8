import pytest

from gatewayd.model import Account
from gatewayd.stores.base import Batch, Grant
from tests.stores.ledgers import ALICE, want
from tests.stores.postgres.stores import audited, opened


async def test_a_grant_tells_what_other_daemons_have_in_leases(rest: str) -> None:
    async with opened(rest) as store:
        await store.lease("b", [want(most=7)])
        await store.lease("c", [want(most=8)])
        await store.post("d", Batch(in_flight={ALICE: 4}))
        assert await store.lease("a", [want(most=9)]) == [Grant(9, 100, 0, leased=24, others=15)]
        assert await store.lease("a", [want(least=77, most=77)]) == [Grant(0, 100, 0, leased=24, others=15)]


async def test_a_refused_want_still_puts_the_balance_under_the_limit_in_force(rest: str) -> None:
    async with opened(rest) as store:
        await store.lease("a", [want(limit=10, most=10)])
        assert await store.lease("a", [want(limit=4)]) == [Grant(0, 4, 0, leased=10, others=0)]
    assert audited(rest) == {ALICE: (4, 10, 0)}


@pytest.mark.parametrize("user", ["a\0b", "\ud800"], ids=ascii)
async def test_a_user_no_table_can_hold_is_granted_nothing_and_the_others_all(
    rest: str, user: str, caplog: pytest.LogCaptureFixture
) -> None:
    strange = Account(user, "api_calls", "2025-11")
    async with opened(rest) as store:
        assert [grant.units for grant in await store.lease("a", [want(strange), want(most=3)])] == [0, 3]
        assert [grant.units for grant in await store.lease("a", [want(strange)])] == [0]
    assert "cannot be stored" in caplog.text
