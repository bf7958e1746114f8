"""A loop in which waiting takes no time, so that what happens in it depends on nothing but what is done in it."""

import asyncio
import selectors
from collections.abc import Mapping
from typing import Any, Final

STEP_SECONDS: Final = 0.00001
"""What one turn of the loop takes."""
BEGINNING: Final = 1_000.0


class Impatient(selectors.BaseSelector):
    """Sees what is ready, and where a loop would wait for the time to come, it has come. Mutable: `now`."""

    def __init__(self) -> None:
        self._real = selectors.DefaultSelector()
        self.now = BEGINNING

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self.now += STEP_SECONDS
        ready = self._real.select(0)
        if not ready:
            if timeout is None:
                raise AssertionError("everybody waits, and nothing will ever happen")
            self.now += timeout
        return ready

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._real.register(fileobj, events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._real.unregister(fileobj)

    def modify(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._real.modify(fileobj, events, data)

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self._real.get_map()

    def close(self) -> None:
        self._real.close()


class TimelessLoop(asyncio.SelectorEventLoop):
    """Real sockets, its own time. Threads are not waited for: what runs in it must do without."""

    def __init__(self) -> None:
        self._impatient = Impatient()
        super().__init__(self._impatient)

    def time(self) -> float:
        return self._impatient.now


class LoopClock:
    """The time of a loop; see `gatewayd.clock.Clock`."""

    def __init__(self, loop: asyncio.AbstractEventLoop, utc: float = 1_764_000_000.0) -> None:
        self._loop = loop
        self._utc = utc

    def monotonic(self) -> float:
        return self._loop.time()

    def utc(self) -> float:
        return self._utc + self._loop.time()
