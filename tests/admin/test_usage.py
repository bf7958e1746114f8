"""The desk that asks the ledger: nobody waits long for it, and it is not asked too often."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from gatewayd.admin.usage import UsageDesk
from gatewayd.errors import StoreError
from tests.admin.ledgers import Shelf, standing, used
from tests.clocks import ManualClock


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture
async def desk(shelf: Shelf, clock: ManualClock) -> AsyncIterator[UsageDesk]:
    desk = UsageDesk(shelf.open, clock)
    desk.quotas = {"free": {"api_calls": 20}}
    yield desk
    shelf.gate.set()
    await desk.close()


async def test_users_near_their_limits_are_those_who_used_some_of_one(desk: UsageDesk, shelf: Shelf) -> None:
    shelf.rows = [standing("a", 15), standing("b", 19), standing("free", 99, plan="none", limit=0), standing("new", 0)]
    found = await desk.nearest(5)
    assert [(row.balance.user_id, row.share) for row in found.rows] == [("b", 0.95), ("a", 0.75)]
    assert (found.at, found.fault) == (1_764_000_000.0, "")


async def test_the_present_plans_limit_is_shown_in_the_present_month_only(desk: UsageDesk, shelf: Shelf) -> None:
    shelf.rows = [standing(), standing(plan="gone"), standing(period="2025-10")]
    assert [row.balance.limit for row in (await desk.users("2025-11", "", 0))[1]] == [20, 10]
    assert [row.balance.limit for row in (await desk.users("2025-10", "", 0))[1]] == [10]


async def test_looks_are_spaced_and_who_looks_meanwhile_gets_the_last(
    desk: UsageDesk, shelf: Shelf, clock: ManualClock
) -> None:
    await desk.nearest(5)
    shelf.rows = [standing()]
    for _ in range(5):
        assert not (await desk.nearest(5)).rows
    assert shelf.asked == 1
    clock.advance(2)
    assert len((await desk.nearest(5)).rows) == 1
    assert shelf.asked == 2


async def test_nobody_waits_longer_than_he_wants_and_the_next_one_has_it(desk: UsageDesk, shelf: Shelf) -> None:
    shelf.rows = [standing()]
    shelf.gate.clear()
    assert (await desk.nearest(0.01)).at == 0
    assert (await desk.nearest(0)).at == 0
    shelf.gate.set()
    assert len((await desk.nearest(5)).rows) == 1
    assert shelf.asked == 1


async def test_what_is_wrong_is_said_beside_the_last_that_was_right(
    desk: UsageDesk, shelf: Shelf, clock: ManualClock
) -> None:
    shelf.rows = [standing()]
    await desk.nearest(5)
    clock.advance(5)
    shelf.away = True
    found = await desk.nearest(5)
    assert (len(found.rows), found.fault) == (1, "ledger x cannot be used")
    clock.advance(5)
    shelf.away = False
    assert (await desk.nearest(5)).fault == ""


async def test_a_ledger_that_stands_still_is_not_waited_for_for_ever(
    desk: UsageDesk, shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gatewayd.admin.usage.PATIENCE", 0.01)
    shelf.gate.clear()
    with pytest.raises(StoreError, match="did not answer within"):
        await desk.days_of("ann", "2025-11")


async def test_only_so_many_wait_for_the_ledger_at_once(desk: UsageDesk, shelf: Shelf) -> None:
    shelf.gate.clear()
    waiting = [asyncio.create_task(desk.days_of("ann", "2025-11")) for _ in range(16)]
    await asyncio.sleep(0)
    with pytest.raises(StoreError, match="too many questions wait"):
        await desk.days_of("ann", "2025-11")
    shelf.gate.set()
    assert await asyncio.gather(*waiting) == [[]] * 16
    assert await desk.days_of("ann", "2025-11") == []


async def test_all_totals_are_whole_however_many_steps_that_takes(
    desk: UsageDesk, shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gatewayd.admin.totals.AT_ONCE", 2)
    shelf.used = [used()] * 9
    assert not (await desk.totals(0)).complete
    assert (await desk.all_totals()).of("2025-11")[0].calls == 9


async def test_when_it_is_closed_nobody_is_left_waiting(shelf: Shelf, clock: ManualClock) -> None:
    desk = UsageDesk(shelf.open, clock)
    shelf.gate.clear()
    await desk.nearest(0)
    await desk.close()
    shelf.gate.set()
    assert desk._looking is None
