import math
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewayd.errors import StoreUnavailable
from gatewayd.model import Rate, Tally, Window
from gatewayd.stores.gcra import nanoseconds
from gatewayd.stores.shared.counters import SharedCounters
from gatewayd.stores.shared.memory import SLOTS, SharedMemory
from tests.clocks import ManualClock

RATES = (
    Rate(60, "minute", burst=3),
    Rate(7, "second", burst=2),
    Rate(5, "minute"),
    Rate(10**15, "second", burst=4),
    Rate(1, "day", burst=10**15),
)
KEYS = ("{user:ann}minute", "{user:ann}hour", "{user:bob}minute", "ann", "{user:\udc00}}x")
ONCE_A_SECOND = Rate(60, "minute")


def window(key: str, rate: Rate = ONCE_A_SECOND) -> Window:
    return Window(key, "user-minute", rate)


@pytest.fixture
def memory() -> Iterator[SharedMemory]:
    memory = SharedMemory.create(1)
    yield memory
    memory.close()


@pytest.fixture
def counters(memory: SharedMemory, clock: ManualClock) -> SharedCounters:
    return SharedCounters(memory, clock)


@dataclass
class Buckets:
    """The plain reference: by key, the nanosecond (a fraction) at which its bucket is full again, and its ticks then.

    Another rate may count in other ticks, to which the moment is rounded up.
    """

    full: dict[str, tuple[Fraction, int]] = field(default_factory=dict)

    def take(self, windows: list[Window], now: int, cost: int, emptied: int | None) -> list[tuple[bool, int]]:
        levels = [self._level(window, now, emptied) for window in windows]
        fits = [level + cost <= window.rate.burst for level, window in zip(levels, windows, strict=True)]
        if all(fits):
            levels = [level + cost for level in levels]
            for window, level in zip(windows, levels, strict=True):
                self.full[window.key] = (now + level * self._interval(window.rate), window.rate.pace.ticks)
        left = [math.floor((window.rate.burst - level) / cost) for window, level in zip(windows, levels, strict=True)]
        return list(zip(fits, left, strict=True))

    def _level(self, window: Window, now: int, emptied: int | None) -> Fraction:
        rate, interval = window.rate, self._interval(window.rate)
        ticks = rate.pace.ticks
        full, before = self.full.get(window.key, (Fraction(0), ticks))
        if before != ticks:
            full = Fraction(math.ceil(full * ticks), ticks)
        if emptied is not None:
            full = max(full, emptied + rate.burst * interval)
        return min(max((full - now) / interval, Fraction(0)), Fraction(rate.burst))

    @staticmethod
    def _interval(rate: Rate) -> Fraction:
        return Fraction(rate.seconds * 10**9, rate.limit)


takes = st.tuples(
    st.floats(0, 30),
    st.lists(st.sampled_from(KEYS), unique=True, min_size=1),
    st.lists(st.sampled_from(RATES), min_size=len(KEYS), max_size=len(KEYS)),
    st.integers(1, 3),
    st.none() | st.floats(0, 20),
)


@given(steps=st.lists(takes, max_size=40))
def test_it_answers_as_the_plain_reference_does(
    steps: list[tuple[float, list[str], list[Rate], int, float | None]],
) -> None:
    clock, buckets, memory = ManualClock(), Buckets(), SharedMemory.create(1)
    counters = SharedCounters(memory, clock)
    for seconds, keys, rates, cost, ago in steps:
        clock.advance(seconds)
        now = clock.monotonic()
        windows = [window(key, rate) for key, rate in zip(keys, rates, strict=False)]
        since = None if ago is None else now - ago
        tallies = counters.judge(windows, cost=cost, empty_since=since)
        expected = buckets.take(windows, nanoseconds(now), cost, None if since is None else nanoseconds(since))
        assert [(tally.admitted, tally.remaining) for tally in tallies] == expected
        assert all(tally.admitted == (tally.retry_in == 0) for tally in tallies)
    memory.close()


def test_every_process_view_of_one_memory_counts_on(memory: SharedMemory, clock: ManualClock) -> None:
    one, other = SharedCounters(memory, clock), SharedCounters(memory, clock)
    assert one.judge([window("a")]) == [Tally(True, 59, 1.0, 0.0)]
    assert other.judge([window("a")]) == [Tally(True, 58, 2.0, 0.0)]


async def test_closing_one_leaves_the_memory_to_the_others(memory: SharedMemory, clock: ManualClock) -> None:
    one, other = SharedCounters(memory, clock), SharedCounters(memory, clock)
    await one.close()
    assert other.judge([window("a")])[0].admitted


def test_what_cannot_be_locked_is_unavailable(counters: SharedCounters, memory: SharedMemory) -> None:
    whole, memory.fd = memory.fd, os.open("/dev/null", os.O_RDONLY)
    with pytest.raises(StoreUnavailable, match="Bad file descriptor"):
        counters.judge([window("a")])
    os.close(memory.fd)
    memory.fd = whole


def test_an_owner_of_a_third_counts_three_for_one(counters: SharedCounters) -> None:
    rate = Rate(60, "minute", burst=10)
    answers = [counters.judge([window("a", rate)], cost=3)[0] for _ in range(4)]
    assert [(tally.admitted, tally.remaining) for tally in answers] == [(True, 2), (True, 1), (True, 0), (False, 0)]
    assert answers[-1].retry_in == 2.0


def test_what_was_empty_at_a_moment_has_refilled_since(counters: SharedCounters, clock: ManualClock) -> None:
    since = clock.monotonic()
    clock.advance(2.5)
    answers = [counters.judge([window("a")], empty_since=since)[0].admitted for _ in range(3)]
    assert answers == [True, True, False]


def test_a_flood_of_callers_displaces_itself_and_not_the_busy(clock: ManualClock) -> None:
    memory = SharedMemory.create(4 * SLOTS)
    counters = SharedCounters(memory, clock)
    busy = [window(f"{{user:busy-{number}}}minute", Rate(60, "minute", burst=9)) for number in range(8)]
    for each in busy:
        while counters.judge([each])[0].admitted:
            pass
    size = len(memory.bytes)
    for number in range(20_000):
        clock.advance(0.0001)
        assert counters.judge([window(f"{{user:{number}}}minute")])[0].admitted
    clock.advance(0.5)
    assert [counters.judge([each])[0].remaining for each in busy] == [1] * 8
    assert len(memory.bytes) == size
    memory.close()


def test_what_has_refilled_makes_room_before_what_has_not(counters: SharedCounters, clock: ManualClock) -> None:
    busy = [window(f"busy-{number}", Rate(2, "hour")) for number in range(SLOTS - 1)]
    for each in [*busy, window("idle")]:
        counters.judge([each])
    clock.advance(2)
    counters.judge([window("new")])
    assert [counters.judge([each])[0].remaining for each in busy] == [0] * len(busy)


def test_windows_that_make_room_for_each_other_in_one_take_do_not_mix(counters: SharedCounters) -> None:
    """The newcomer takes over the slot of the other window of the same take, which was found before."""
    for number in range(SLOTS - 1):
        counters.judge([window(f"busy-{number}", Rate(10, "day"))])
    counters.judge([window("old")])
    counters.judge([window("new", Rate(1, "day")), window("old")])
    assert counters.judge([window("old")])[0].admitted
    assert not counters.judge([window("new", Rate(1, "day"))])[0].admitted


def test_a_refused_newcomer_takes_no_room(counters: SharedCounters) -> None:
    for number in range(SLOTS):
        counters.judge([window(f"busy-{number}", Rate(1, "minute"))])
    counters.judge([window("busy-0", Rate(1, "minute")), window("bob", Rate(1, "day"))])
    assert not any(counters.judge([window(f"busy-{n}", Rate(1, "minute"))])[0].admitted for n in range(SLOTS))
