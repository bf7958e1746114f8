"""When this process stood still, as a busy or virtual machine makes it: what it saw late then was not late."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from time import monotonic
from typing import Final

BEAT_SECONDS: Final = 0.02
NOTICED: Final = 0.05
"""Seconds; a loop that is only busy is late by less."""


class Pauses:
    """Mutable: pauses gather, each from when it may have begun to its end, in monotonic seconds."""

    def __init__(self) -> None:
        self._pauses: list[tuple[float, float]] = []

    def note(self, began: float, ended: float) -> None:
        self._pauses.append((began, ended))

    def awake(self, since: float, until: float) -> float:
        """The seconds from one moment to another in which this process did not stand still."""
        still = sum(max(0.0, min(ended, until) - max(began, since)) for began, ended in self._pauses)
        return until - since - still

    async def watch(self) -> None:
        """Note every pause from now on."""
        while True:
            due = monotonic() + BEAT_SECONDS
            await asyncio.sleep(BEAT_SECONDS)
            if (now := monotonic()) > due + NOTICED:
                self.note(due, now)


@asynccontextmanager
async def watched() -> AsyncIterator[Pauses]:
    """Pauses that are noted for as long as the `with` lasts."""
    pauses = Pauses()
    watching = asyncio.create_task(pauses.watch(), name="pauses")
    try:
        yield pauses
    finally:
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching
