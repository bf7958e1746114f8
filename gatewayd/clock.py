"""Time as an argument: whatever measures or judges time is handed a `Clock`, so tests own it."""

import time
from typing import Protocol

from gatewayd.build import stays_python


class Clock(Protocol):
    """Two readings that must not be mixed: durations from `monotonic`, dates from `utc`."""

    def monotonic(self) -> float:
        """Seconds that never run backwards; only differences mean anything."""

    def utc(self) -> float:
        """Seconds since the epoch, UTC; may step when the machine's clock is set."""


@stays_python
class SystemClock:
    """The machine's own clocks."""

    monotonic = staticmethod(time.monotonic)
    utc = staticmethod(time.time)


class Readings:
    """A clock whose readings are at hand: who asks for them with each request need not look up its methods."""

    __slots__ = ("_monotonic", "_utc")

    def __init__(self, clock: Clock) -> None:
        self._monotonic = clock.monotonic
        self._utc = clock.utc

    def monotonic(self) -> float:
        """As the clock says."""
        return self._monotonic()

    def utc(self) -> float:
        """The same."""
        return self._utc()


def at_hand(clock: Clock) -> Readings:
    """The clock's readings."""
    return clock if isinstance(clock, Readings) else Readings(clock)
