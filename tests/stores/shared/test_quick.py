"""The short way of a take is the long way, where it goes at all; and where it does not, it leaves no trace."""

import os
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewayd.errors import StoreUnavailable
from gatewayd.model import Rate, Window
from gatewayd.stores.gcra import nanoseconds
from gatewayd.stores.shared.counters import SharedCounters
from gatewayd.stores.shared.memory import KEY_BYTES, SLOTS, STATE_BYTES, STATES, TURNS, SharedMemory
from gatewayd.stores.shared.quick import Mark, row_of, take_known
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


@given(
    takes=st.lists(st.lists(st.sampled_from("abcde"), min_size=1, max_size=4, unique=True), max_size=30),
    strangers=st.lists(st.integers(0, 9), max_size=10),
)
def test_windows_are_found_wherever_they_are_and_in_whatever_order(
    takes: list[list[str]], strangers: list[int]
) -> None:
    answers = []
    for long in (False, True):
        memory, clock = SharedMemory.create(1), ManualClock()
        counters = SharedCounters(memory, clock)
        known = {name: Window(f"{{ann}}{name}", name, Rate(60, "minute", burst=9)) for name in "abcde"}
        for number, names in enumerate(takes):
            counters.judge(
                [Window(f"{{{stranger}}}", "", Rate(1, "day")) for stranger in strangers[number : number + 1]]
            )
            windows = [known[name] for name in names]
            counters.judge([Window(each.key, each.name, each.rate) for each in windows] if long else windows)
            clock.advance(0.1)
        answers.append([counters.judge([known[name]]) for name in "abcde"])
        memory.close()
    assert answers[0] == answers[1]


def test_each_slot_of_a_bucket_is_read_where_it_is(memory: SharedMemory) -> None:
    at = {slot: (7 * slot + 1) % SLOTS for slot in range(SLOTS)}
    for slot, number in at.items():
        memory.bytes[slot * KEY_BYTES] = memory.bytes[TURNS + slot] = number
        for word in range(6):
            memory.words[(STATES + slot * 2 * STATE_BYTES) // 8 + word] = 6 * number + word
    for slots in ((0,), (63,), (0, 63), (63, 0), (5, 4), (17, 40, 2)):
        row = row_of(slots)
        found = row.unpack(memory.bytes, 0)
        for index, slot in enumerate(slots):
            key, turn, words = row.fields[3 * index : 3 * index + 3]
            assert found[key] == bytes([at[slot]]) + bytes(KEY_BYTES - 1)
            assert found[turn] == at[slot]
            assert found[words : words + 6] == tuple(range(6 * at[slot], 6 * at[slot] + 6))


def told(takes: Takes, *, long: bool = False) -> list[object]:
    """What is answered to each take, one memory for all; windows that are made anew were never found before."""
    memory, clock = SharedMemory.create(1), ManualClock()
    counters = SharedCounters(memory, clock)
    known: dict[tuple[Rate, ...], list[Window]] = {}
    found: list[object] = []
    for pause, rates in takes:
        clock.advance(pause)
        asked = windows(rates) if long else known.setdefault(tuple(rates), windows(rates))
        found.append(list(counters.judge(asked)))
    memory.close()
    return found


def test_a_refusal_a_new_key_and_another_pace_go_the_long_way_untouched(
    memory: SharedMemory, clock: ManualClock
) -> None:
    counters, once = SharedCounters(memory, clock), Rate(1, "day")
    known, other = windows([once]), windows([Rate(7, "day")])
    for seen in (known, known, other):
        counters.judge(seen)
    now, before = nanoseconds(clock.monotonic()), bytes(memory.bytes)
    assert take_known(memory, known, now) is None
    later = now + nanoseconds(200_000)
    assert take_known(memory, other, later) is None
    assert take_known(memory, known + windows([once, once])[1:], later) is None
    assert take_known(memory, windows([once]), later) is None
    assert take_known(memory, [], later) is None
    assert bytes(memory.bytes) == before
    assert take_known(memory, known, later) is not None


def test_a_slot_that_was_taken_over_and_another_memory_are_noticed(memory: SharedMemory, clock: ManualClock) -> None:
    mine, other = windows([Rate(60, "minute")]), SharedMemory.create(1)
    for _ in range(2):
        SharedCounters(memory, clock).judge(mine)
    now = nanoseconds(clock.monotonic())
    assert take_known(other, mine, now) is None
    other.close()
    mark = mine[0].mark
    assert isinstance(mark, Mark)
    place = mark.base + mark.slot * len(mark.key)
    memory.bytes[place : place + len(mark.key)] = bytes(len(mark.key))
    assert take_known(memory, mine, now) is None


def test_a_tat_of_more_than_one_word_goes_the_long_way(memory: SharedMemory, clock: ManualClock) -> None:
    counters = SharedCounters(memory, clock)
    huge = windows([Rate(10**15 + 37, "second", burst=4)])
    assert [counters.judge(huge)[0].remaining for _ in range(3)] == [3, 2, 1]
    assert take_known(memory, huge, nanoseconds(clock.monotonic())) is None


def test_a_bucket_that_cannot_be_locked_is_unavailable(memory: SharedMemory, clock: ManualClock) -> None:
    counters, known = SharedCounters(memory, clock), windows([Rate(60, "minute")])
    for _ in range(2):
        counters.judge(known)
    whole, memory.fd = memory.fd, os.open("/dev/null", os.O_RDONLY)
    with pytest.raises(StoreUnavailable, match="cannot be locked"):
        counters.judge(known)
    os.close(memory.fd)
    memory.fd = whole
    assert counters.judge(known)[0].remaining == 57
