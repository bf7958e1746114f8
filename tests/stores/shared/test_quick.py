"""The short way of a take is the long way, where it goes at all; and where it does not, it leaves no trace."""

import os
from collections.abc import Iterator
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewayd.errors import StoreUnavailable
from gatewayd.model import Bundle, Rate, Window
from gatewayd.stores.gcra import SECOND, nanoseconds
from gatewayd.stores.shared.counters import SharedCounters
from gatewayd.stores.shared.memory import KEY_BYTES, SLOTS, STATE_BYTES, STATES, TURNS, SharedMemory
from gatewayd.stores.shared.quick import Mark, row_of, take_known
from tests.clocks import ManualClock
from tests.stores.counters import InPassing
from tests.stores.shared.dying import QUICK, as_written, die_at

RATES = (Rate(60, "minute", burst=3), Rate(7, "second", burst=2), Rate(10**15, "second", burst=4), Rate(1, "day"))
KEYS = ("{ann}minute", "{ann}hour")

Takes = list[tuple[float, list[Rate]]]


@pytest.fixture(params=["shared", "kept"])
def memory(request: pytest.FixtureRequest) -> Iterator[SharedMemory]:
    memory = SharedMemory.create(1)
    if request.param == "kept":
        assert memory.keep()
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
def test_all_ways_come_to_the_same(takes: Takes) -> None:
    assert told(takes) == told(takes, kept=True) == told(takes, long=True)


def told(takes: Takes, *, long: bool = False, kept: bool = False) -> list[object]:
    """What is answered to each take, one memory for all; the long way asks for windows that nobody found before."""
    memory, clock = SharedMemory.create(1), ManualClock()
    if kept:
        memory.keep()
    counters = SharedCounters(memory, clock)
    passing, found = InPassing(counters, clock), list[object]()
    for pause, rates in takes:
        clock.advance(pause)
        found.append(list(counters.judge(windows(rates)) if long else passing.at_once(windows(rates))))
    memory.close()
    return found


@given(
    takes=st.lists(st.lists(st.sampled_from("abcde"), min_size=1, max_size=4, unique=True), max_size=30),
    strangers=st.lists(st.integers(0, 9), max_size=10),
)
def test_windows_are_found_wherever_they_are_and_in_whatever_order(
    takes: list[list[str]], strangers: list[int]
) -> None:
    answers = []
    for way in ("long", "shared", "kept", "by turns"):
        memory, clock = SharedMemory.create(1), ManualClock()
        counters = SharedCounters(memory, clock)
        passing = InPassing(counters, clock)
        for number, names in enumerate(takes):
            if way == "kept" or (way == "by turns" and number % 3):
                memory.keep()
            else:
                memory.share()
            counters.judge(
                [Window(f"{{{stranger}}}", "", Rate(1, "day")) for stranger in strangers[number : number + 1]]
            )
            known = [Window(f"{{ann}}{name}", name, Rate(60, "minute", burst=9)) for name in names]
            (counters.judge if way == "long" else passing.at_once)(known)
            clock.advance(0.1)
        answers.append(
            [counters.judge([Window(f"{{ann}}{name}", name, Rate(60, "minute", burst=9))]) for name in "abcde"]
        )
        memory.close()
    assert answers[0] == answers[1] == answers[2] == answers[3]


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


def found(counters: SharedCounters, windows: list[Window]) -> Bundle:
    """A bundle of windows that are where they were found: it was taken from three times."""
    counters.judge(windows)
    counters.judge(windows)
    bundle = Bundle(windows)
    assert counters.take_in_passing(bundle, 1_000.0)
    return bundle


def test_a_refusal_a_new_key_and_another_pace_go_the_long_way_untouched(
    memory: SharedMemory, clock: ManualClock
) -> None:
    counters, once = SharedCounters(memory, clock), Rate(1, "day")
    known, other = windows([once]), windows([Rate(7, "day")])
    for seen in (known, known, other):
        counters.judge(seen)
    lasting = Bundle(known)
    now, before = nanoseconds(clock.monotonic()), bytes(memory.bytes)
    assert not take_known(memory, lasting, now)
    later = now + nanoseconds(200_000)
    assert not take_known(memory, Bundle(other), later)
    assert not take_known(memory, Bundle(known + windows([once, once])[1:]), later)
    assert not take_known(memory, Bundle(windows([once])), later)
    assert not take_known(memory, Bundle([]), later)
    assert bytes(memory.bytes) == before
    assert take_known(memory, lasting, later)


def test_a_refusal_in_the_last_window_leaves_the_first_as_it_was(memory: SharedMemory, clock: ManualClock) -> None:
    counters = SharedCounters(memory, clock)
    bundle = found(counters, windows([Rate(10, "hour", burst=5), Rate(60, "minute", burst=3)]))
    before = bytes(memory.bytes)
    assert not any(counters.take_in_passing(bundle, 1_000.0) for _ in range(3))
    assert bytes(memory.bytes) == before
    assert counters.take_in_passing(bundle, 1_001.0)
    assert bundle.each[0].remaining == 1


def test_what_others_take_from_the_same_windows_is_seen_at_once(memory: SharedMemory, clock: ManualClock) -> None:
    """Routes have windows of their own that count in the same place; another process, too, where it may."""
    counters, rate = SharedCounters(memory, clock), Rate(60, "minute", burst=20)
    one, other = found(counters, windows([rate, rate])), found(counters, windows([rate]))
    left = []
    for bundle in (one, other, other, one, one, other):
        assert counters.take_in_passing(bundle, 1_000.0)
        left.append(bundle.each[0].remaining)
    left.append(counters.judge(windows([rate]))[0].remaining)
    assert counters.take_in_passing(one, 1_000.0)
    assert [*left, one.each[0].remaining] == [13, 12, 11, 10, 9, 8, 7, 6]


def test_a_slot_that_was_taken_over_and_another_memory_are_noticed(memory: SharedMemory, clock: ManualClock) -> None:
    counters, other = SharedCounters(memory, clock), SharedMemory.create(1)
    mine = found(counters, windows([Rate(60, "minute")]))
    now = nanoseconds(clock.monotonic())
    assert not take_known(other, Bundle(mine.each), now)
    other.close()
    assert take_known(memory, mine, now)
    for stranger in range(SLOTS):
        clock.advance(0.01)
        counters.judge([Window(f"{{{stranger}}}", "", Rate(1, "day"))])
    taken = bytes(memory.bytes)
    assert not take_known(memory, mine, nanoseconds(clock.monotonic()))
    assert bytes(memory.bytes) == taken
    assert counters.judge(mine.each)[0].remaining == 59


def test_a_moment_is_never_before_the_one_at_which_its_number_is_worth_nothing(
    memory: SharedMemory, clock: ManualClock
) -> None:
    """Whatever pauses a caller makes; and it is a second behind that at the most."""
    counters = SharedCounters(memory, clock)
    bundle = found(counters, windows([Rate(600, "minute"), Rate(1000, "hour")]))
    for number, pause in enumerate((0.0, 0.2, 0.9, 0.0, 1.3, 7.0, 0.01, 3_000.0, 0.0, 0.5)):
        clock.advance(pause)
        if number % 3 == 2:  # the long way writes a moment of its own
            counters.judge(bundle.each)
        assert counters.take_in_passing(bundle, clock.monotonic())
        for window in bundle.each:
            assert isinstance(window.mark, Mark)
            late = memory.doubles[window.mark.moment] - (clock.monotonic() + window.refilled_in / SECOND)
            assert -1e-6 <= late <= 1.0 + 1e-6, number


def test_a_take_that_dies_at_any_instruction_has_taken_from_each_window_or_not(clock: ManualClock) -> None:
    """From each in its turn, and the second never without the first."""
    written = as_written(QUICK)
    for kept in (False, True):
        left, instruction, died = set[tuple[int, ...]](), 0, True
        while died:
            memory = SharedMemory.create(1)
            if kept:
                memory.keep()
            counters = SharedCounters(memory, clock)
            rates = [Rate(60, "minute", burst=10), Rate(1000, "hour", burst=10)]
            bundle = found(counters, windows(rates))
            take = written._take_settled if kept else written._take_found
            died = die_at(QUICK, instruction, partial(take, memory, bundle.mark, bundle, 10**12))
            memory.share()
            left.add(tuple(each.remaining for each in SharedCounters(memory, clock).judge(windows(rates))))
            instruction += 1
            memory.close()
        assert instruction > 20
        assert left == {(6, 6), (5, 6), (5, 5)}


def test_a_tat_of_more_than_one_word_goes_the_long_way(memory: SharedMemory, clock: ManualClock) -> None:
    counters = SharedCounters(memory, clock)
    huge = windows([Rate(10**15 + 37, "second", burst=4)])
    assert [counters.judge(huge)[0].remaining for _ in range(3)] == [3, 2, 1]
    assert not take_known(memory, Bundle(huge), nanoseconds(clock.monotonic()))


def test_a_bucket_that_cannot_be_locked_is_unavailable(clock: ManualClock) -> None:
    memory = SharedMemory.create(1)
    counters = SharedCounters(memory, clock)
    known = found(counters, windows([Rate(60, "minute")]))
    whole, memory.fd = memory.fd, os.open("/dev/null", os.O_RDONLY)
    with pytest.raises(StoreUnavailable, match="cannot be locked"):
        counters.take_in_passing(known, clock.monotonic())
    os.close(memory.fd)
    memory.fd = whole
    assert counters.judge(known.each)[0].remaining == 56
    memory.close()
