"""Two readings that must not be mixed."""

import time

from gatewayd.clock import Clock, SystemClock, at_hand
from tests.clocks import ManualClock


def test_the_systems_clock_reads_the_machines() -> None:
    clock: Clock = SystemClock()
    before, after = clock.monotonic(), clock.monotonic()
    assert before <= after <= time.monotonic()
    assert abs(clock.utc() - time.time()) < 60


def test_a_manual_clock_stands_still_until_told(clock: ManualClock) -> None:
    standing = clock.monotonic(), clock.utc()
    assert standing == (clock.monotonic(), clock.utc())
    clock.advance(2.5)
    assert (clock.monotonic() - standing[0], clock.utc() - standing[1]) == (2.5, 2.5)


def test_readings_at_hand_are_the_clocks_own(clock: ManualClock) -> None:
    readings = at_hand(clock)
    clock.advance(2.5)
    assert (readings.monotonic(), readings.utc()) == (clock.monotonic(), clock.utc())
    assert at_hand(readings) is readings
