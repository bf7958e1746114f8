"""Numbers that outlive their process: what is there is whole, what does not fit hurts nothing."""

import os

import pytest

from gatewayd.metrics.sheet import Sheet


def test_what_was_added_is_found_by_name_and_labels() -> None:
    sheet = Sheet()
    first, second = sheet.add("a", ("x",)), sheet.add("h", (), 3)
    sheet.numbers[first] += 2
    sheet.numbers[second] += 0.5
    sheet.numbers[second + 2] += 1
    assert sheet.series() == {("a", ("x",)): first, ("h", ()): second}
    assert sheet.samples() == {"counters": {"a": [[("x",), 2]]}, "histograms": {"h": [[(), [0.5, 0.0, 1.0]]]}}


def test_a_parent_reads_what_a_child_wrote() -> None:
    sheet = Sheet()
    pid = os.fork()
    if not pid:
        sheet.numbers[sheet.add("child", ())] += 7
        os._exit(0)
    os.waitpid(pid, 0)
    assert sheet.samples()["counters"] == {"child": [[(), 7]]}
    assert sheet.add("parent", ()) == sheet.series()["child", ()] + 1


@pytest.mark.parametrize("sheet", [Sheet(numbers=66), Sheet(names=40)], ids=["no numbers left", "no names left"])
def test_a_series_without_room_counts_where_nobody_looks(sheet: Sheet, caplog: pytest.LogCaptureFixture) -> None:
    places = [sheet.add("metric", (str(number),)) for number in range(5)]
    assert places[0] >= 64
    assert places[2:] == [0, 0, 0]
    assert sheet.full
    sheet.numbers[0] += 99
    assert all(count == 0 for _, count in sheet.samples()["counters"]["metric"])
    assert caplog.text.count("no room") == 1


def test_no_name_is_half_there_whenever_its_writer_dies() -> None:
    sheet = Sheet()
    sheet.add("whole", ())
    sheet._names[int(sheet._used[0]) : int(sheet._used[0]) + 9] = b'["half",['
    assert list(sheet.series()) == [("whole", ())]
