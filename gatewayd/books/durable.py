"""Waiting until what was written survives power loss: one flush for all who wait (`durability = "disk"`)."""

import asyncio
from collections.abc import Callable


class Flusher:
    """Runs `flush` in a thread, never twice at once. Mutable: who comes while one runs shares the next."""

    def __init__(self, flush: Callable[[], None]) -> None:
        self._flush = flush
        self._next: asyncio.Future[None] | None = None
        self._running: asyncio.Task[None] | None = None

    def flushed(self) -> "asyncio.Future[None]":
        """Done when everything written until now is on disk; fails with the error of a flush that failed."""
        if self._next is None:
            self._next = asyncio.get_running_loop().create_future()
        if self._running is None:
            self._running = asyncio.create_task(self._run(), name="journal flush")
        return self._next

    async def close(self) -> None:
        """Wait for what is under way."""
        if self._running is not None:
            await self._running

    async def _run(self) -> None:
        while (waiting := self._next) is not None:
            self._next = None
            try:
                await asyncio.to_thread(self._flush)
            except Exception as error:
                waiting.set_exception(error)
                waiting.exception()  # whoever waits will look; if nobody does, that is no fault
            else:
                waiting.set_result(None)
        self._running = None
