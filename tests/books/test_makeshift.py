"""While the ledger is away, what one worker has idle serves the callers of another, and no unit is there twice."""

import asyncio
from pathlib import Path

import pytest

from gatewayd.books.ledger import LeasedLedger
from gatewayd.errors import StoreUnavailable
from tests.books.faulty import Weather
from tests.books.offices import office, reached
from tests.books.test_lending import dismiss, hired, spend
from tests.stores.ledgers import hold, record


async def leased(worker: LeasedLedger) -> int:
    """What the worker has idle after five calls, once the bookkeeper has answered all that it was asked."""
    assert await spend(worker, "before", 5, limit=1_000) == 5
    await worker.balances("alice", "2025-11")
    (lease,) = worker._leases.all()
    return lease.idle


async def outage(worker: LeasedLedger, weather: Weather) -> None:
    """From here on, and the bookkeeper has noticed."""
    weather.away = True
    with pytest.raises(StoreUnavailable):
        await worker.balances("alice", "2025-11")


async def back(worker: LeasedLedger, weather: Weather) -> None:
    weather.away = False
    await reached(worker)


async def test_in_an_outage_every_idle_unit_of_the_daemon_serves_whoever_wants_it(
    tmp_path: Path, weather: Weather
) -> None:
    async with office(tmp_path) as books:
        having, wanting = await hired(books, 2)
        idle = await leased(having)
        assert idle > 3
        await outage(having, weather)
        assert await spend(wanting, "there", idle - 2, limit=1_000) == idle - 2
        assert await spend(having, "and here", 2, limit=1_000) == 2
        for worker in (having, wanting):
            with pytest.raises(StoreUnavailable):
                await worker.hold(hold("one too many", limit=1_000))
        await back(having, weather)
        assert await spend(wanting, "after", 5, limit=1_000) == 5
        await dismiss(having, wanting)
    assert sum(books.audit().values()) == 5 + idle + 5


async def test_many_callers_at_once_in_an_outage_get_what_there_is_and_no_more(
    tmp_path: Path, weather: Weather
) -> None:
    async with office(tmp_path) as books:
        having, *wanting = await hired(books, 3)
        idle = await leased(having)
        await outage(having, weather)

        async def caller(worker: LeasedLedger, name: str) -> int:
            served = 0
            for number in range(5):
                wanted = hold(f"{name}-{number}", limit=1_000)
                try:
                    assert (await worker.hold(wanted)).granted
                except StoreUnavailable:
                    continue
                await asyncio.sleep(0)
                served += 1
                worker.settle(record(wanted))
            return served

        callers = [caller(worker, f"{place}{number}") for number in range(6) for place, worker in enumerate(wanting)]
        assert sum(await asyncio.gather(*callers)) == idle
        await back(having, weather)
        await dismiss(having, *wanting)
    assert sum(books.audit().values()) == 5 + idle


async def test_units_leased_under_a_larger_limit_serve_nobody_of_a_smaller_plan_in_an_outage(
    tmp_path: Path, weather: Weather
) -> None:
    async with office(tmp_path) as books:
        having, wanting = await hired(books, 2)
        await leased(having)
        await outage(having, weather)
        with pytest.raises(StoreUnavailable):
            await wanting.hold(hold("smaller", limit=999))
        assert await spend(having, "here", 1, limit=1_000) == 1, "what it has idle was not taken from it in vain"
        assert await spend(wanting, "larger", 1, limit=1_001) == 1
        await back(having, weather)
        await dismiss(having, wanting)


async def test_of_an_account_that_was_charged_more_than_was_held_nothing_is_lent_in_an_outage(
    tmp_path: Path, weather: Weather
) -> None:
    async with office(tmp_path) as books:
        having, wanting = await hired(books, 2)
        await wanting.hold(hold("overstated", limit=1_000))
        await leased(having)
        await outage(having, weather)
        if (telling := wanting.settle(record(hold("overstated"), 900))) is not None:
            await telling
        with pytest.raises(StoreUnavailable):
            await wanting.hold(hold("next", limit=1_000))
        await back(having, weather)
        assert not (await having.hold(hold("far too much", units=100, limit=1_000))).granted
        await dismiss(having, wanting)
    assert sum(books.audit().values()) == 905


async def test_who_waits_for_another_worker_when_the_ledger_comes_back_is_served_by_it(
    tmp_path: Path, weather: Weather
) -> None:
    async with office(tmp_path) as books:
        having, wanting = await hired(books, 2)
        idle = await leased(having)
        await outage(having, weather)
        having._link.say = lambda *_: None  # type: ignore[method-assign]  # it does not answer
        waiting = asyncio.create_task(wanting.hold(hold("patient", units=idle + 1, limit=1_000)))
        assert books.bookkeeper is not None
        while not books.bookkeeper._makeshift._wishes:
            await asyncio.sleep(0)
        weather.away = False
        assert (await waiting).granted
        wanting.settle(record(hold("patient", units=idle + 1)))
        del having._link.say
        await dismiss(having, wanting)
    assert sum(books.audit().values()) == 5 + idle + 1


async def test_a_new_bookkeeper_lends_nothing_whose_limit_it_does_not_know(tmp_path: Path, weather: Weather) -> None:
    async with office(tmp_path) as books:
        having, wanting = await hired(books, 2)
        await leased(having)
        weather.away = True
        await books.kill()
        await books.open()
        with pytest.raises(StoreUnavailable):
            await wanting.hold(hold("nobody can say", limit=1_000))
        assert await spend(having, "here", 1, limit=1_000) == 1
        await back(having, weather)
        await dismiss(having, wanting)
    assert sum(books.audit().values()) == 6
