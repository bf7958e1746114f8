"""Segments are had from a disk that is not asked all the time while it refuses."""

from pathlib import Path

import pytest

from gatewayd.stores.journal.supply import RETRY_SECONDS, Supply
from tests.clocks import ManualClock
from tests.stores.journal.entries import SMALL, segments
from tests.stores.journal.limits import file_size_limit


def test_a_disk_that_refused_is_asked_again_after_a_while_and_not_before(tmp_path: Path) -> None:
    clock = ManualClock()
    supply = Supply(tmp_path, SMALL, clock)
    with file_size_limit(SMALL - 1), pytest.raises(OSError, match="File too large"):
        supply.segment(1)
    with pytest.raises(OSError, match="File too large"):  # there is room now, but nobody looked
        supply.segment(1)
    assert segments(tmp_path) == []
    clock.advance(RETRY_SECONDS)
    made = supply.segment(1)
    assert made.number == 1
    made.close()
    assert segments(tmp_path) == ["000001.seg"]
