"""What serves callers: one process's share of them, from its first connection to its last byte."""

import asyncio
import logging
import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Any, Final, cast

from gatewayd.admin.sightings import Sightings
from gatewayd.app import make_app, malformed
from gatewayd.clock import Clock
from gatewayd.config.settings import Settings
from gatewayd.drain import Drain
from gatewayd.edge.connection import EdgeConnection
from gatewayd.edge.server import EdgeRunner
from gatewayd.lifecycle import Pool, build, open_pool
from gatewayd.metrics import Metrics, Sheet
from gatewayd.metrics.families import DROPPED, GENERATION, IN_FLIGHT, LAG
from gatewayd.pinning import Generations
from gatewayd.process.adoption import Adoption, Parts
from gatewayd.process.bookkeeping import books_path, collect_seldom
from gatewayd.process.child import Link
from gatewayd.process.entrance import Door, Entrance
from gatewayd.process.files import allow_connections
from gatewayd.process.lag import Lag
from gatewayd.process.logs import Logs
from gatewayd.process.telling import Telling
from gatewayd.process.tenancy import KEEP, SHARE
from gatewayd.process.tls import certificate
from gatewayd.ring import whole_ring
from gatewayd.stores.shared.memory import SharedMemory
from gatewayd.tracing import open_spans

logger = logging.getLogger(__name__)

COLLECT_AFTER: Final = 5_000
"""As the bookkeeper's, but lower: what a broken call leaves in a cycle may be a piece of a body."""
_CUT_PATIENCE: Final = 3.5  # seconds for exchanges that were cut off: SETTLE_WAIT for their books, then a goodbye
_LAST_CALL: Final = 1.0  # seconds in which a caller may ask once more on a connection that is not needed any more
_HANG_UP_PATIENCE: Final = 1.0  # seconds that callers get to hang up who still send what nobody reads


class Worker:
    """A gateway on sockets that it is given. Mutable: it goes through its life once, and a reload changes it."""

    def __init__(
        self,
        settings: Settings,
        clock: Clock,
        counters: SharedMemory,
        sheet: Sheet,
        at_once: asyncio.Event,
        *,
        number: int = 1,
    ) -> None:
        """`counters` is where all workers of the daemon count rates, `sheet` where this one counts for metrics.

        When `at_once` is set, nothing is waited for. `number` is that of its first generation.
        """
        self._settings = settings
        self._clock = clock
        self._counters = counters
        self._at_once = at_once
        self._number = number
        self._drain = Drain()
        self._generations: Generations | None = None
        self._runner: EdgeRunner | None = None
        self._entrance: Entrance | None = None
        self._pool: Pool | None = None
        self._logs = Logs(clock)
        self._adoption: Adoption | None = None
        self._serving = asyncio.Event()
        self.metrics = Metrics(sheet)
        self._sightings = Sightings()

    @property
    def connections(self) -> Sequence[EdgeConnection]:
        """Every caller's."""
        server = self._runner.server if self._runner is not None else None
        return cast("list[EdgeConnection]", server.connections) if server is not None else ()

    @property
    def settings(self) -> Settings:
        """In force."""
        return self._adoption.settings if self._adoption is not None else self._settings

    @property
    def in_flight(self) -> int:
        """Requests that are being served."""
        return self._drain.in_flight

    async def serve(self, doors: Iterable[Door], stack: AsyncExitStack) -> None:
        """Take callers until `stack` ends it. Raises StartError or StoreError before the first, or not at all."""
        settings, server = self._settings, self._settings.server
        tls = certificate(server.tls)
        allow_connections(server.max_connections)
        pool = self._pool = await open_pool(
            settings, self._clock, stack, books=books_path(server.state_dir), counters=self._counters
        )
        pool.accounts.on_change(lambda: self._drain.cut_refused(pool.accounts.refuses))
        await self._logs.open(settings, stack)
        reporters = (Telling(self._logs, self.metrics, self._sightings).report,)
        first = build(self._number, settings, pool, self._clock)
        generations = self._generations = Generations(first, self._clock, self._drain)
        app = make_app(generations, self._drain, reporters, open_spans(settings, stack))
        runner = self._runner = EdgeRunner(app, server, malformed(generations, reporters), whole_ring(app))
        await runner.setup()
        self.metrics.settle_with(runner.outbox)
        stack.push_async_callback(self._close, runner)
        lag = Lag()
        stack.callback(lag.stop)
        self._watch(generations, lag)
        entrance = self._entrance = Entrance(runner)
        await entrance.be_at({door.number: door for door in doors}, tls, server.header_timeout)
        self._adoption = Adoption(settings, self._clock, Parts(pool, generations, runner, entrance, self._logs))
        self._serving.set()

    def _watch(self, generations: Generations, lag: Lag) -> None:
        watch = self.metrics.watch
        watch(LAG, lambda: lag.worst)
        watch(IN_FLIGHT, lambda: self._drain.in_flight)
        watch(GENERATION, lambda: generations.current.number)

    def reopen_logs(self) -> None:
        """After a rotation: go on in the files that have the names now."""
        self._logs.reopen()

    def keep_counters(self) -> None:
        """No other process uses the memory of the counters, until this one was told to share it."""
        self._counters.keep()

    async def share_counters(self, _words: Any = None, _files: Sequence[int] = ()) -> Mapping[str, Any]:
        """Others use it from now on."""
        self._counters.share()
        return {"shared": True}

    async def prepare(self, words: Mapping[str, Any], files: Sequence[int]) -> Mapping[str, Any]:
        """Make all that the settings in the first file need, and put none of it in force.

        The others are sockets, for the `fresh` among the numbers of `doors`. Raises StartError or StoreError.
        """
        await self._serving.wait()
        assert self._adoption is not None
        await self._adoption.prepare(words, files)
        return {}

    async def commit(self, _words: Any = None, _files: Sequence[int] = ()) -> Mapping[str, Any]:
        """Put in force what was prepared: requests that begin from now on are judged by it."""
        assert self._adoption is not None
        await self._adoption.commit()
        return {}

    async def discard(self, _words: Any = None, _files: Sequence[int] = ()) -> Mapping[str, Any]:
        """Forget what was prepared."""
        if self._adoption is not None:
            await self._adoption.discard()
        return {}

    async def retire(self, draining: asyncio.Event) -> None:
        """Take no more callers, and serve those who are here to their end, or until a drain is told."""
        assert self._entrance is not None
        assert self._runner is not None
        self._drain.retire()
        await self._entrance.leave()
        told = asyncio.ensure_future(draining.wait())
        await asyncio.wait({told}, timeout=_LAST_CALL)
        self._runner.end_connections()
        self._drain.await_end()
        idle = asyncio.ensure_future(self._drain.idle.wait())
        await asyncio.wait({idle, told}, return_when=asyncio.FIRST_COMPLETED)
        told.cancel()
        idle.cancel()

    async def drain(self) -> None:
        """Let what is in flight end by itself, up to the drain's deadline or until at once; then cut it off."""
        self._drain.give_notice()
        deadline = self._clock.monotonic() + self.settings.server.drain_timeout
        await self._turn_away()
        idle = asyncio.ensure_future(self._drain.idle.wait())
        if not await self._done_in_time(idle, max(0.0, deadline - self._clock.monotonic())):
            logger.warning("cutting off %d requests in flight", self._drain.in_flight)
            self._drain.cut()
            await asyncio.wait({idle}, timeout=_CUT_PATIENCE)
        idle.cancel()

    async def _turn_away(self) -> None:
        """Where somebody else goes on, callers wait for him in the socket's queue; elsewhere they are told to go."""
        if self._entrance is not None and await self._entrance.leave_to_heirs():
            assert self._runner is not None
            await self._done_in_time(asyncio.Future(), _LAST_CALL)
            self._runner.end_connections()
            self._drain.await_end()
        else:
            await self._done_in_time(asyncio.Future(), self.settings.server.drain_delay)
            self._drain.begin()

    async def _close(self, runner: EdgeRunner) -> None:
        """Hang up. Nobody is served any more, but some may still send the rest of a body that was refused."""
        closing = asyncio.ensure_future(runner.cleanup())
        if not await self._done_in_time(closing, _HANG_UP_PATIENCE):
            for connection in self.connections:
                connection.abort()
        await closing

    async def _done_in_time(self, future: "asyncio.Future[Any]", timeout: float) -> bool:
        """Wait for it, at most `timeout` seconds and not when all shall end at once; whether it is done."""
        now = asyncio.ensure_future(self._at_once.wait())
        await asyncio.wait({future, now}, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        now.cancel()
        return future.done()

    async def status(self) -> dict[str, Any]:
        """A worker's part of the daemon's status."""
        generations = self._generations
        running = generations.running.items() if generations is not None else ()
        return {
            "pid": os.getpid(),
            "connections": len(self.connections),
            "in_flight": self._drain.in_flight,
            "generation": generations.current.number if generations is not None else 0,
            "running_by_generation": {str(number): count for number, count in running if count},
            "issuers": self._pool.providers.status() if self._pool is not None else [],
            "accounts": len((await self._pool.accounts.directory()).plans) if self._pool is not None else 0,
        }

    async def sighted(self) -> dict[str, Any]:
        """What went wrong lately, and what is in flight by route."""
        return self._sightings.samples(self._drain.exchanges)

    async def counted(self) -> dict[str, Any]:
        """What is known only when it is asked, as samples; the rest is on the sheet."""
        return self.metrics.levels() | {"counters": {DROPPED.name: self._logs.dropped()}}


async def serve_callers(
    link: Link,
    settings: Settings,
    clock: Clock,
    counters: SharedMemory,
    sheet: Sheet,
    doors: Sequence[Door],
    number: int = 1,
) -> None:
    """A worker's whole life as a child: it serves until it is told to drain, and refuses then until told to end.

    One that is told to retire ends by itself, when those whom it serves have gone.
    """
    collect_seldom(COLLECT_AFTER)
    worker = Worker(settings, clock, counters, sheet, link.cut, number=number)
    link.answers |= {"status": worker.status, "metrics": worker.counted, "sightings": worker.sighted}
    link.calls |= {"reopen": worker.reopen_logs, KEEP: worker.keep_counters}
    link.orders |= {"prepare": worker.prepare, "commit": worker.commit, "discard": worker.discard}
    link.orders[SHARE] = worker.share_counters
    async with AsyncExitStack() as stack:
        await worker.serve(doors, stack)
        link.ready()
        if not await _retires(link):
            await worker.drain()
            link.idle()
            await link.ending.wait()
            return
        await worker.retire(link.draining)
        if link.draining.is_set():
            await worker.drain()
            link.idle()
            await link.ending.wait()


async def _retires(link: Link) -> bool:
    """Wait for the word to go; whether nobody waits for it to be done."""
    words = [asyncio.ensure_future(each.wait()) for each in (link.retiring, link.draining)]
    await asyncio.wait(words, return_when=asyncio.FIRST_COMPLETED)
    for each in words:
        each.cancel()
    return not link.draining.is_set()
