"""Time as an argument: whatever measures or judges time is handed a `Clock`, so tests own it."""

import time
from typing import Protocol


class Clock(Protocol):
    """Two readings that must not be mixed: durations from `monotonic`, dates from `utc`."""

    def monotonic(self) -> float:
        """Seconds that never run backwards; only differences mean anything."""

    def utc(self) -> float:
        """Seconds since the epoch, UTC; may step when the machine's clock is set."""


class SystemClock:
    """The machine's own clocks."""

    monotonic = staticmethod(time.monotonic)
    utc = staticmethod(time.time)
