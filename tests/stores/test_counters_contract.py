"""What every Counters promises, whatever it is made of."""

import math
from collections.abc import AsyncIterator
from typing import cast

import pytest

from gatewayd.errors import StoreUnavailable
from gatewayd.model import Bundle, Rate, Tally, Window
from gatewayd.stores.base import Counters
from tests.clocks import ManualClock
from tests.stores.counters import PLACES

MINUTE = Window("{user:alice}minute", "user-minute", Rate(60, "minute", burst=3))
HOUR = Window("{user:alice}hour", "user-hour", Rate(1000, "hour"))
OTHER = Window("{user:bob}minute", "user-minute", Rate(60, "minute", burst=3))


@pytest.fixture(params=PLACES)
async def counters(request: pytest.FixtureRequest, clock: ManualClock) -> AsyncIterator[Counters]:
    async with PLACES[cast("str", request.param)](clock) as counters:
        yield counters


async def drain(counters: Counters, window: Window) -> None:
    while (await counters.take([window]))[0].admitted:
        pass


async def test_a_take_is_told_of_every_window_in_order(counters: Counters) -> None:
    assert await counters.take([MINUTE, HOUR]) == [Tally(True, 2, 1.0, 0.0), Tally(True, 999, 3.6, 0.0)]


async def test_a_full_burst_is_admitted_and_no_more(counters: Counters) -> None:
    assert [(await counters.take([MINUTE]))[0].admitted for _ in range(5)] == [True] * 3 + [False] * 2


async def test_a_refused_window_takes_nothing_from_the_others(counters: Counters) -> None:
    await drain(counters, MINUTE)
    hour, minute = await counters.take([HOUR, MINUTE])
    assert hour == Tally(True, 1000, 0.0, 0.0)
    assert minute == Tally(False, 0, 3.0, 1.0)
    assert (await counters.take([HOUR]))[0].remaining == 999


async def test_every_refusing_window_says_when_to_come_back(counters: Counters) -> None:
    await drain(counters, MINUTE)
    await drain(counters, OTHER)
    assert [tally.retry_in for tally in await counters.take([MINUTE, HOUR, OTHER])] == [1.0, 0.0, 1.0]


async def test_who_waits_as_told_is_admitted(counters: Counters, clock: ManualClock) -> None:
    await drain(counters, MINUTE)
    clock.advance(0.3)
    (refused,) = await counters.take([MINUTE])
    clock.advance(math.ceil(refused.retry_in))
    assert (await counters.take([MINUTE]))[0].admitted


@pytest.mark.parametrize(
    "rate", [Rate(60, "minute", burst=5), Rate(7, "second", burst=1), Rate(7, "minute", burst=2)], ids=str
)
async def test_who_waits_as_told_is_admitted_although_the_burst_became_smaller(
    counters: Counters, clock: ManualClock, rate: Rate
) -> None:
    """By a reload, or since the user's other plan has another one."""
    large = Window(MINUTE.key, MINUTE.name, Rate(60, "minute", burst=60))
    small = Window(MINUTE.key, MINUTE.name, rate)
    await drain(counters, large)
    (refused,) = await counters.take([small])
    clock.advance(math.ceil(refused.retry_in) - 1)
    assert refused.retry_in > 1
    assert not (await counters.take([small]))[0].admitted, "and no longer than that"
    clock.advance(1)
    (tally, _) = await counters.take([small, HOUR])
    assert tally.admitted


async def test_who_is_refused_by_the_smaller_burst_has_no_more_of_the_larger_one(counters: Counters) -> None:
    large = Window(MINUTE.key, MINUTE.name, Rate(60, "minute", burst=60))
    await drain(counters, large)
    assert not (await counters.take([MINUTE]))[0].admitted
    assert not (await counters.take([large]))[0].admitted


async def test_refusals_do_not_put_off_the_next_admission(counters: Counters, clock: ManualClock) -> None:
    await drain(counters, MINUTE)
    for _ in range(10):
        clock.advance(0.1)
        (tally,) = await counters.take([MINUTE])
    assert tally.admitted


async def test_keys_do_not_share(counters: Counters) -> None:
    await drain(counters, MINUTE)
    assert (await counters.take([OTHER]))[0].remaining == 2


async def test_a_changed_rate_goes_on_from_where_the_key_stood(counters: Counters) -> None:
    await drain(counters, MINUTE)
    (tally,) = await counters.take([Window(MINUTE.key, MINUTE.name, Rate(120, "minute", burst=8))])
    assert tally == Tally(True, 1, 3.5, 0.0)


async def test_a_take_in_passing_is_a_take_and_every_window_says_what_it_has_or_nothing_was_taken(
    counters: Counters, clock: ManualClock
) -> None:
    bundle = Bundle([Window(MINUTE.key, MINUTE.name, MINUTE.rate), Window(HOUR.key, HOUR.name, HOUR.rate)])
    left = 3
    for _ in range(6):
        if passed := counters.take_in_passing(bundle, clock.monotonic()):
            left -= 1
            assert [(each.remaining, each.refilled_in) for each in bundle.each] == [
                (left, (3 - left) * 10**9),
                (997 + left, (3 - left) * 36 * 10**8),
            ]
        elif (await counters.take(bundle.each))[0].admitted:
            left -= 1
        assert left >= 0
    assert not passed
    assert [tally.remaining for tally in await counters.take([HOUR])] == [996]


async def test_no_window_at_all_is_admitted(counters: Counters) -> None:
    assert list(await counters.take([])) == []


async def test_closed_counters_count_no_more(counters: Counters) -> None:
    await counters.close()
    with pytest.raises(StoreUnavailable):
        await counters.take([MINUTE])
    with pytest.raises(StoreUnavailable):
        assert counters.take_in_passing(Bundle([MINUTE]), 0.0) or await counters.take([MINUTE])
