"""How late an event loop is: what callers wait for in it before anybody looks at them."""

import asyncio
from collections import deque
from typing import Final

PERIOD: Final = 0.25  # seconds between two looks
_REMEMBERED: Final = 60  # looks: the worst of the last 15 seconds is told, as a scrape comes seldom


class Lag:
    """Mutable: it looks again and again, until it is stopped."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._seen: deque[float] = deque(maxlen=_REMEMBERED)
        self._due = self._loop.time() + PERIOD
        self._timer = self._loop.call_at(self._due, self._look)

    @property
    def worst(self) -> float:
        """Seconds by which it was late at most, lately."""
        overdue = self._loop.time() - self._due
        return max(*self._seen, overdue, 0.0) if self._seen else max(overdue, 0.0)

    def stop(self) -> None:
        self._timer.cancel()

    def _look(self) -> None:
        now = self._loop.time()
        self._seen.append(max(0.0, now - self._due))
        self._due = now + PERIOD
        self._timer = self._loop.call_at(self._due, self._look)
