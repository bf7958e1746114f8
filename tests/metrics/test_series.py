"""What a series counted is on the sheet once it was settled, as if each number had been stored by itself."""

from bisect import bisect_left

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewayd.metrics.series import Counter, Histogram, Series, Tab

BOUNDS = (0.001, 0.01, 0.1, 1)
VALUES = st.one_of(st.sampled_from([0.0, *BOUNDS, 120.0]), st.floats(0, 10), st.just(-0.0001))


def memory(width: int = 64) -> "memoryview[float]":
    return memoryview(bytearray(8 * width)).cast("d")


@given(st.lists(st.one_of(VALUES, st.none()), max_size=40))
def test_a_histogram_is_what_each_value_by_itself_would_make_it_whenever_it_is_settled(
    values: list[float | None],
) -> None:
    numbers, tab = memory(), Tab()
    histogram = Histogram(numbers, 3, BOUNDS)
    total, counts = 0.0, [0] * (len(BOUNDS) + 1)
    for value in values:
        if value is None:
            tab.settle()
            assert numbers[3 : 4 + len(counts)].tolist() == [total, *counts]
            continue
        histogram.observe(value)
        tab.note(histogram)
        total += value
        counts[bisect_left(BOUNDS, value)] += 1
    tab.settle()
    assert numbers.tolist() == [0.0] * 3 + [total, *counts] + [0.0] * (60 - len(counts))


def test_a_successor_goes_on_with_what_is_on_the_sheet() -> None:
    numbers, tab = memory(), Tab()
    for _ in range(2):
        histogram, counter = Histogram(numbers, 1, BOUNDS), Counter(numbers, 0)
        histogram.observe(0.5)
        counter.add(2.0)
        for series in (histogram, counter, histogram):
            tab.note(series)
        tab.settle()
    assert numbers[:7].tolist() == [4.0, 1.0, 0.0, 0.0, 0.0, 2.0, 0.0]


def test_nothing_is_on_the_sheet_before_it_is_settled_and_all_of_it_then() -> None:
    numbers, tab = memory(), Tab()
    counters = [Counter(numbers, at) for at in range(3)]
    for number, counter in enumerate(counters, 1):
        counter.add(float(number))
        tab.note(counter)
    assert numbers[:3].tolist() == [0.0, 0.0, 0.0]
    tab.settle()
    assert numbers[:3].tolist() == [1.0, 2.0, 3.0]


def test_a_series_that_cannot_be_written_spoils_no_other(caplog: pytest.LogCaptureFixture) -> None:
    numbers, tab = memory(1), Tab()
    good, bad = Counter(numbers, 0), Counter(memory(1), 0)
    bad.numbers = memory(1).toreadonly()
    for series in (good, bad, good):
        series.add(1.0)
        tab.note(series)
    tab.settle()
    assert numbers[0] == 2.0
    assert caplog.text.count("what was counted could not be written") == 1
    assert isinstance(bad, Series)
