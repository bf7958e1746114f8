"""What serves callers: one process's share of them, from its first connection to its last byte."""

import asyncio
import logging
import os
import socket
import ssl
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any, Final, cast

from gatewayd.app import make_app, malformed, whole_ring
from gatewayd.clock import Clock
from gatewayd.config.settings import Settings
from gatewayd.drain import Drain
from gatewayd.edge.connection import EdgeConnection
from gatewayd.edge.server import EdgeRunner, EdgeSite
from gatewayd.lifecycle import Generations, Pool, build, open_pool
from gatewayd.metrics import Metrics, Sheet
from gatewayd.metrics.families import DROPPED, GENERATION, IN_FLIGHT
from gatewayd.process.bookkeeping import books_path
from gatewayd.process.child import Link
from gatewayd.process.files import allow_connections
from gatewayd.process.listen import BACKLOG
from gatewayd.process.logs import Logs
from gatewayd.process.tls import tls_context
from gatewayd.stores.shared.memory import SharedMemory
from gatewayd.tracing import open_spans

logger = logging.getLogger(__name__)

_CUT_PATIENCE: Final = 2.0  # seconds that exchanges get to close their books after they were cut off
_HANG_UP_PATIENCE: Final = 1.0  # seconds that callers get to hang up who still send what nobody reads


class Worker:
    """A gateway on sockets that it is given. Mutable: it goes through its life once."""

    def __init__(
        self, settings: Settings, clock: Clock, counters: SharedMemory, sheet: Sheet, at_once: asyncio.Event
    ) -> None:
        """`counters` is where all workers of the daemon count rates, `sheet` where this one counts for metrics.

        When `at_once` is set, nothing is waited for.
        """
        self._settings = settings
        self._clock = clock
        self._counters = counters
        self._at_once = at_once
        self._drain = Drain()
        self._generations: Generations | None = None
        self._runner: EdgeRunner | None = None
        self._pool: Pool | None = None
        self._logs = Logs(clock)
        self.metrics = Metrics(sheet)

    @property
    def connections(self) -> Sequence[EdgeConnection]:
        """Every caller's."""
        server = self._runner.server if self._runner is not None else None
        return cast("list[EdgeConnection]", server.connections) if server is not None else ()

    @property
    def in_flight(self) -> int:
        """Requests that are being served."""
        return self._drain.in_flight

    async def serve(self, sockets: Sequence[socket.socket], stack: AsyncExitStack) -> None:
        """Take callers until `stack` ends it. Raises StartError or StoreError before the first, or not at all."""
        settings, server = self._settings, self._settings.server
        tls = tls_context(server.tls) if server.tls is not None else None
        allow_connections(server.max_connections)
        pool = self._pool = await open_pool(
            settings, self._clock, stack, books=books_path(server.state_dir), counters=self._counters
        )
        pool.accounts.on_change(lambda: self._drain.cut_refused(pool.accounts.refuses))
        await self._logs.open(settings, stack)
        reporters = (self._logs.report, self.metrics.report)
        generations = self._generations = Generations(build(1, settings, pool, self._clock), self._clock, self._drain)
        app = make_app(generations, self._drain, reporters, open_spans(settings, stack))
        runner = self._runner = EdgeRunner(app, server, malformed(generations, reporters), whole_ring(app))
        await runner.setup()
        stack.push_async_callback(self._close, runner)
        self._watch(generations)
        await self._accept(runner, sockets, tls)

    async def _accept(self, runner: EdgeRunner, sockets: Sequence[socket.socket], tls: ssl.SSLContext | None) -> None:
        patience = self._settings.server.header_timeout
        for sock in sockets:
            await EdgeSite(runner, sock, tls, backlog=BACKLOG, patience=patience).start()

    def _watch(self, generations: Generations) -> None:
        watch = self.metrics.watch
        watch(IN_FLIGHT, lambda: self._drain.in_flight)
        watch(GENERATION, lambda: generations.current.number)

    def reopen_logs(self) -> None:
        """After a rotation: go on in the files that have the names now."""
        self._logs.reopen()

    async def drain(self) -> None:
        """Let what is in flight end by itself, up to the drain's deadline or until at once; then cut it off."""
        self._drain.begin()
        idle = asyncio.ensure_future(self._drain.idle.wait())
        if not await self._done_in_time(idle, self._settings.server.drain_timeout):
            logger.warning("cutting off %d requests in flight", self._drain.in_flight)
            self._drain.cut()
            await asyncio.wait({idle}, timeout=_CUT_PATIENCE)
        idle.cancel()

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

    async def counted(self) -> dict[str, Any]:
        """What is known only when it is asked, as samples; the rest is on the sheet."""
        return self.metrics.levels() | {"counters": {DROPPED.name: self._logs.dropped()}}


async def serve_callers(
    link: Link,
    settings: Settings,
    clock: Clock,
    counters: SharedMemory,
    sheet: Sheet,
    sockets: Sequence[socket.socket],
) -> None:
    """A worker's whole life as a child: it serves until it is told to drain, and refuses then until told to end."""
    worker = Worker(settings, clock, counters, sheet, link.cut)
    link.answers |= {"status": worker.status, "metrics": worker.counted}
    link.calls["reopen"] = worker.reopen_logs
    async with AsyncExitStack() as stack:
        await worker.serve(sockets, stack)
        link.ready()
        await link.draining.wait()
        await worker.drain()
        link.idle()
        await link.ending.wait()


def share_of(settings: Settings, workers: int) -> Settings:
    """The settings for one of so many workers: a limit over all of them is shared out."""
    most = max(1, settings.server.max_connections // workers)
    return replace(settings, server=replace(settings.server, workers=workers, max_connections=most))
