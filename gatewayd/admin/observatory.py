"""Looks at the daemon once a second and whenever somebody asks, and keeps what is needed to tell how it goes."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from gatewayd.admin.counts import Counts, counts
from gatewayd.admin.history import History
from gatewayd.admin.overview import overview
from gatewayd.admin.states import EVIDENCE, AgentStates
from gatewayd.admin.usage import UsageDesk
from gatewayd.clock import Clock
from gatewayd.errors import GatewayError
from gatewayd.metrics import Tally

logger = logging.getLogger(__name__)

EVERY: Final = 1.0
"""Seconds between two looks that nobody asked for."""

PATIENCE: Final = 3.0
"""Seconds in which the daemon must answer; a worker has two of them."""

Document = Mapping[str, Any]


class Silent(GatewayError):
    """The daemon has not answered once, so there is nothing to show."""


@dataclass(frozen=True, slots=True)
class Sources:
    """What the daemon says of itself: its status, what was counted, what went wrong."""

    status: Callable[[], Awaitable[Document]]
    counted: Callable[[], Awaitable[Tally]]
    sighted: Callable[[], Awaitable[Document]]


class Observatory:
    """Mutable: it remembers some minutes. `watch` is its life; `overview` may be asked at any time."""

    def __init__(self, sources: Sources, usage: UsageDesk, clock: Clock) -> None:
        self._sources = sources
        self._usage = usage
        self._clock = clock
        self._history = History()
        self._states = AgentStates()
        self._looking = asyncio.Lock()
        self._began = float("-inf")
        self._silent_since = 0.0
        self._status: Document = {}
        self._sighted: Document = {}
        self._counts = Counts(0.0)

    async def watch(self) -> None:
        """Look once a second, for ever. A daemon that does not answer is looked at again a second later."""
        while True:
            await self._look()
            await asyncio.sleep(EVERY)

    async def status(self) -> Document:
        """The daemon's own words, as of now."""
        return await self._sources.status()

    async def counted(self) -> Tally:
        """What was counted, as of now."""
        return await self._sources.counted()

    async def overview(self, patience: float = 0.0) -> dict[str, Any]:
        """The document, as of now, or as of the last answer of a daemon that is silent.

        `patience` is for users near their limits, who are read from the ledger. Raises Silent before the first answer.
        """
        asked = self._clock.monotonic()
        async with self._looking:
            if self._began < asked:  # else somebody else has looked meanwhile
                await self._look_now()
        if not self._status:
            raise Silent
        now = self._counts
        return overview(
            utc=self._clock.utc(),
            silent_since=self._silent_since,
            status=self._status,
            now=now,
            lately=self._history.lately(now),
            series=self._history.series(),
            states=self._states.known,
            sighted=self._sighted,
            nearest=await self._usage.nearest(patience),
        )

    async def _look(self) -> None:
        async with self._looking:
            await self._look_now()

    async def _look_now(self) -> None:
        began = self._clock.monotonic()
        sources = self._sources
        try:
            async with asyncio.timeout(PATIENCE):
                status, tally, sighted = await asyncio.gather(sources.status(), sources.counted(), sources.sighted())
            now = counts(began, tally, sighted["codes"])
            routes, uptime = status["routes"], status["uptime_seconds"]
        except (OSError, ValueError, TimeoutError, KeyError) as error:
            self._silent_since = self._silent_since or self._clock.utc()
            logger.debug("the daemon does not answer: %r", error)
            return
        self._silent_since, self._began = 0.0, began
        self._usage.quotas = status.get("plans", {})
        self._status, self._sighted, self._counts = status, sighted, now
        self._history.add(now, uptime)
        self._states.learn(routes, self._history.lately(now, EVIDENCE), self._clock.utc())
