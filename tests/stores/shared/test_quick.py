"""The short way of a take is the long way, where it goes at all; and where it does not, it leaves no trace."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewayd.model import Rate, Window
from gatewayd.stores.gcra import nanoseconds
from gatewayd.stores.shared import counters as counters_module
from gatewayd.stores.shared.counters import SharedCounters
from gatewayd.stores.shared.memory import SharedMemory
from gatewayd.stores.shared.quick import take_known
from tests.clocks import ManualClock

RATES = (Rate(60, "minute", burst=3), Rate(7, "second", burst=2), Rate(10**15, "second", burst=4), Rate(1, "day"))
KEYS = ("{ann}minute", "{ann}hour")

Takes = list[tuple[float, list[Rate]]]


@pytest.fixture
def memory() -> Iterator[SharedMemory]:
    memory = SharedMemory.create(1)
    yield memory
    memory.close()


def windows(rates: list[Rate]) -> list[Window]:
    return [Window(key, key, rate) for key, rate in zip(KEYS, rates, strict=False)]


@given(
    st.lists(
        st.tuples(
            st.sampled_from([0.0, 1e-9, 0.1, 0.143, 1.0, 20.0, 90_000.0]),
            st.lists(st.sampled_from(RATES), min_size=1, max_size=2),
        ),
        max_size=30,
    )
)
def test_both_ways_come_to_the_same(takes: Takes) -> None:
    assert told(takes) == told(takes, long=True)


def told(takes: Takes, *, long: bool = False) -> list[object]:
    """What is answered to each take, one memory for all."""
    memory, clock = SharedMemory.create(1), ManualClock()
    counters = SharedCounters(memory, clock)
    found: list[object] = []
    with pytest.MonkeyPatch.context() as patch:
        if long:
            patch.setattr(counters_module, "take_known", lambda *_: None)
        for pause, rates in takes:
            clock.advance(pause)
            found.append(list(counters.judge(windows(rates))))
    memory.close()
    return found


def test_a_refusal_a_new_key_and_another_limit_go_the_long_way_untouched(
    memory: SharedMemory, clock: ManualClock
) -> None:
    counters = SharedCounters(memory, clock)
    once, known = Rate(1, "day"), [KEYS[0]]
    counters.judge(windows([once]))
    now = nanoseconds(clock.monotonic())
    places = [counters._place(key) for key in KEYS]
    before = bytes(memory.bytes)
    assert take_known(memory, windows([once]), places[:1], now) is None
    assert take_known(memory, windows([Rate(2, "day")]), places[:1], now) is None
    later = now + nanoseconds(90_000)
    assert take_known(memory, windows([once, once]), places, later) is None
    assert bytes(memory.bytes) == before
    assert take_known(memory, windows([once])[: len(known)], places[:1], later) is not None
