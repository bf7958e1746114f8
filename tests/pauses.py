"""A loop and a clock for which a pause of the machine is none: nothing is late because nothing ran."""

import asyncio
import selectors
import time
from typing import Final

STEP_SECONDS: Final = 0.02
"""The most that one callback, or one look for what is ready, takes of the loop's time, however long it took."""


class Calm(selectors.DefaultSelector):
    """Waits in steps, so that a pause in the middle of waiting is no longer than a step. Mutable: `now`."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self._looked = time.monotonic()

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        began = self._pass(self._looked)
        ready = super().select(STEP_SECONDS if timeout is None else min(timeout, STEP_SECONDS))
        self._looked = self._pass(began)
        return ready

    def time(self) -> float:
        """As `now`, with what the callback that runs has taken so far."""
        return self.now + min(time.monotonic() - self._looked, STEP_SECONDS)

    def _pass(self, since: float) -> float:
        now = time.monotonic()
        self.now += min(now - since, STEP_SECONDS)
        return now


class CalmLoop(asyncio.SelectorEventLoop):
    """What every test runs in. Callers, gateway and agent of a test in one process stand still together when it does,
    and so does their time: no deadline of theirs passes, and a figure measured with the loop's time has no pause in it.
    """

    def __init__(self) -> None:
        self._calm = Calm()
        super().__init__(self._calm)

    def time(self) -> float:
        return self._calm.time()

    def skip(self, seconds: float) -> None:
        """So much time has passed at once."""
        self._calm.now += seconds


def skip(seconds: float) -> None:
    """Let so much of the running loop's time pass at once: what is due by then is due now."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, CalmLoop)
    loop.skip(seconds)


class CalmClock:
    """The date, and the time of the loop that runs; see `gatewayd.clock.Clock`."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()

    def monotonic(self) -> float:
        return self._loop.time()

    def utc(self) -> float:
        return time.time()
