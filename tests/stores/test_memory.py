import asyncio
import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewayd.model import Rate, Window
from gatewayd.stores.gcra import nanoseconds
from gatewayd.stores.memory import EVICTION_STEPS, MemoryCounters
from tests.clocks import ManualClock

WINDOWS = (
    Window("a", "a", Rate(60, "minute", burst=3)),
    Window("b", "b", Rate(7, "second", burst=2)),
    Window("c", "c", Rate(5, "minute")),
)


ONCE_A_SECOND = Rate(60, "minute")


def window(key: str, rate: Rate = ONCE_A_SECOND) -> Window:
    return Window(key, "user-minute", rate)


class Buckets:
    """The plain reference: a level a key in fractions, leaking with time; all or nothing."""

    def __init__(self) -> None:
        self.levels: dict[str, tuple[Fraction, int]] = {}

    def take(self, windows: list[Window], now: int) -> list[tuple[bool, int]]:
        levels = [self._level(window, now) for window in windows]
        fits = [level + 1 <= window.rate.burst for level, window in zip(levels, windows, strict=True)]
        after = [level + all(fits) for level in levels]
        if all(fits):
            self.levels |= {window.key: (level, now) for window, level in zip(windows, after, strict=True)}
        left = [math.floor(window.rate.burst - level) for window, level in zip(windows, after, strict=True)]
        return list(zip(fits, left, strict=True))

    def _level(self, window: Window, now: int) -> Fraction:
        level, then = self.levels.get(window.key, (Fraction(0), now))
        leaked = Fraction((now - then) * window.rate.limit, window.rate.seconds * 10**9)
        return max(Fraction(0), level - leaked)


@given(
    steps=st.lists(
        st.tuples(st.floats(0, 30), st.lists(st.sampled_from(WINDOWS), unique=True, min_size=1)), max_size=80
    )
)
def test_it_answers_as_the_plain_reference_does(steps: list[tuple[float, list[Window]]]) -> None:
    clock, buckets = ManualClock(), Buckets()
    counters = MemoryCounters(clock)
    with asyncio.Runner() as runner:
        for seconds, windows in steps:
            clock.advance(seconds)
            tallies = runner.run(counters.take(windows))
            expected = buckets.take(windows, nanoseconds(clock.monotonic()))
            assert [(tally.admitted, tally.remaining) for tally in tallies] == expected
            assert all(tally.admitted == (tally.retry_in == 0) for tally in tallies)


async def test_a_flood_of_callers_never_grows_it_beyond_its_capacity(clock: ManualClock) -> None:
    counters = MemoryCounters(clock, capacity=100)
    for number in range(10_000):
        clock.advance(0.001)
        await counters.take([window(f"user-{number}/minute"), window(f"user-{number}/hour", Rate(10, "hour"))])
        assert len(counters) <= 100


async def test_a_refused_newcomer_takes_no_room(clock: ManualClock) -> None:
    counters = MemoryCounters(clock)
    await counters.take([window("alice", Rate(1, "minute"))])
    await counters.take([window("alice", Rate(1, "minute")), window("bob")])
    assert len(counters) == 1


async def test_what_has_refilled_makes_room_before_what_has_not(clock: ManualClock) -> None:
    counters = MemoryCounters(clock, capacity=2)
    await counters.take([window("busy", Rate(1, "hour"))])
    await counters.take([window("idle")])
    clock.advance(2)
    await counters.take([window("new")])
    assert not (await counters.take([window("busy", Rate(1, "hour"))]))[0].admitted


async def test_a_flood_displaces_itself_and_not_a_caller_at_the_limit(clock: ManualClock) -> None:
    counters = MemoryCounters(clock, capacity=50)
    limited = window("limited", Rate(60, "minute"))
    while (await counters.take([limited]))[0].admitted:
        pass
    for number in range(1_000):
        await counters.take([window(f"flood-{number}")])
    assert not (await counters.take([limited]))[0].admitted


async def test_a_key_used_since_it_was_looked_at_is_judged_by_its_present_state(clock: ManualClock) -> None:
    counters = MemoryCounters(clock, capacity=EVICTION_STEPS * 3)
    busy = [window(f"busy-{number}") for number in range(EVICTION_STEPS * 3)]
    for each in busy:
        await counters.take([each])
    for each in busy[1:]:
        await counters.take([each])
    await counters.take([window("new")])
    kept = [(await counters.take([each]))[0].remaining for each in busy[1:]]
    assert kept == [57] * len(kept)


async def test_the_search_for_room_is_short_however_stale_the_table(clock: ManualClock) -> None:
    counters = MemoryCounters(clock, capacity=EVICTION_STEPS * 3)
    busy = [window(f"busy-{number:02}") for number in range(EVICTION_STEPS * 3)]
    for _ in range(2):
        for each in busy:
            await counters.take([each])
    await counters.take([window("new")])
    assert len(counters) == EVICTION_STEPS * 3
    assert (await counters.take([busy[-1]]))[0].remaining == 57


async def test_of_several_used_since_the_one_nearest_to_full_makes_room(clock: ManualClock) -> None:
    counters = MemoryCounters(clock, capacity=EVICTION_STEPS)
    busy = [window(f"busy-{number}") for number in range(EVICTION_STEPS)]
    for each in busy:
        await counters.take([each])
    for number, each in enumerate(busy):
        for _ in range(1 + (number - 3) % EVICTION_STEPS):
            await counters.take([each])
    await counters.take([window("new")])
    kept = [each for each in busy if (await counters.take([each]))[0].remaining < 59]
    assert len(counters) == EVICTION_STEPS
    assert busy[3] not in kept
    assert busy[2] in kept


def test_a_table_without_room_cannot_be_made(clock: ManualClock) -> None:
    with pytest.raises(ValueError, match="capacity"):
        MemoryCounters(clock, capacity=0)
