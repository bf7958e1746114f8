"""A segment is there as a whole or not at all."""

import os
from pathlib import Path

import pytest

from gatewayd.stores.journal import segment
from gatewayd.stores.journal.frames import NEXT, word_at
from tests.stores.journal.entries import SMALL, payloads_in
from tests.stores.journal.limits import file_size_limit


def test_a_segment_is_on_disk_as_a_whole_before_it_is_written(tmp_path: Path) -> None:
    segment.allocate(tmp_path, 1, 64 * SMALL)
    state = segment.path_of(tmp_path, 1).stat()
    assert (state.st_size, state.st_mode & 0o777) == (64 * SMALL, 0o600)
    assert state.st_blocks * 512 >= state.st_size


def test_a_full_disk_leaves_nothing_behind(tmp_path: Path) -> None:
    with file_size_limit(SMALL // 2), pytest.raises(OSError, match="File too large"):
        segment.allocate(tmp_path, 1, SMALL)
    assert list(tmp_path.iterdir()) == []


def test_a_directory_that_is_gone_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        segment.allocate(tmp_path / "gone", 1, SMALL)


def test_what_is_appended_is_read_by_others_at_once_and_finish_says_go_on(tmp_path: Path) -> None:
    written = segment.Segment(tmp_path, 3, SMALL)
    data = segment.path_of(tmp_path, 3).read_bytes
    for payload in (b"one", b"the second"):
        written.append(payload)
        assert list(payloads_in(data()[segment.START :]))[-1] == payload
    at = written.offset
    written.finish()
    assert written.position == (3, at)
    assert word_at(data(), at) == NEXT


def test_numbers_are_those_of_segments_in_order(tmp_path: Path) -> None:
    for name in ("000010.seg", "000002.seg", "1000000.seg", "000003.new", "lock", "x.seg"):
        os.close(os.open(tmp_path / name, os.O_CREAT))
    assert segment.numbers(tmp_path) == [2, 10, 1_000_000]


def test_a_file_and_a_directory_can_be_flushed_and_one_that_is_gone_needs_it_no_more(tmp_path: Path) -> None:
    segment.allocate(tmp_path, 1, SMALL)
    for path in (segment.path_of(tmp_path, 1), tmp_path, tmp_path / "gone"):
        segment.sync(path)
    with pytest.raises(NotADirectoryError):
        segment.sync(segment.path_of(tmp_path, 1) / "below")
