"""When calls have to be over: one timer for all of a client, so that a call in time costs no timer of its own."""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

T = TypeVar("T")


class Deadlines:
    """Mutable; of one event loop. The timer is set for the earliest end there was, and set anew when that has come."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._ends: dict[asyncio.Timeout, float] = {}
        self._timer: asyncio.TimerHandle | None = None

    async def within(self, seconds: float | None, work: Awaitable[T]) -> T:
        """What the work gives; raises TimeoutError if it takes longer. None is no limit."""
        if seconds is None:
            return await work
        async with asyncio.timeout(None) as limit:
            self._ends[limit] = end = self._loop.time() + seconds
            if self._timer is None or end < self._timer.when():
                self._set(end)
            try:
                return await work
            finally:
                del self._ends[limit]

    def _set(self, end: float) -> None:
        self.close()
        self._timer = self._loop.call_at(end, self._come, end)

    def _come(self, end: float) -> None:
        self._timer = None
        now = max(end, self._loop.time())
        for limit, due in self._ends.items():
            if due <= now and not limit.expired():
                limit.reschedule(due)
        if left := [due for due in self._ends.values() if due > now]:
            self._set(min(left))

    def close(self) -> None:
        """Forgets the timer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
