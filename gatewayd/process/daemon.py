"""One serving process, from its first socket to its last byte: start, serve, drain, stop."""

import asyncio
import logging
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack
from typing import Any, Final, cast

from gatewayd import __version__
from gatewayd.app import make_app, malformed
from gatewayd.clock import Clock
from gatewayd.config.settings import Settings
from gatewayd.drain import Drain
from gatewayd.edge.connection import EdgeConnection
from gatewayd.edge.server import EdgeRunner, EdgeSite
from gatewayd.errors import StartError
from gatewayd.exchange import Exchange
from gatewayd.lifecycle import Generations, Pool, build, open_pool
from gatewayd.metrics import Metrics
from gatewayd.policies.access_log import Reporter, line
from gatewayd.process.control import ControlServer, socket_path
from gatewayd.process.files import allow_connections
from gatewayd.process.listen import BACKLOG, listen_all, name_of
from gatewayd.process.notify import notify
from gatewayd.process.operators import serve_operators
from gatewayd.process.statedir import occupied
from gatewayd.process.tls import tls_context
from gatewayd.sink import LineSink

logger = logging.getLogger(__name__)

_CUT_PATIENCE: Final = 2.0  # seconds that exchanges get to close their books after they were cut off
_HANG_UP_PATIENCE: Final = 1.0  # seconds that callers get to hang up who still send what nobody reads

Announce = Callable[[str], None]


class Daemon:
    """A gateway that runs until it is told to stop. Mutable: it goes through its life once."""

    def __init__(self, settings: Settings, clock: Clock, environ: Mapping[str, str]) -> None:
        self._settings = settings
        self._clock = clock
        self._environ = environ
        self._started = clock.monotonic()
        self._stop = asyncio.Event()
        self._stop_now = asyncio.Event()
        self._drain = Drain()
        self._generations: Generations | None = None
        self._listening: tuple[str, ...] = ()
        self._metrics = Metrics()
        self._admin: str | None = None
        self._runner: EdgeRunner | None = None
        self._pool: Pool | None = None

    async def run(self, announce: Announce) -> None:
        """Serve until stopped. Raises StartError or StoreError before the first connection, or not at all."""
        async with AsyncExitStack() as stack:
            self._on_signals()
            await self._open(stack)
            if not self._stop.is_set():  # a signal may have come first
                self._say_ready(announce)
            await self._stop.wait()
            logger.info("draining: %d requests in flight", self._drain.in_flight)
            notify(self._environ, "STOPPING=1", "STATUS=draining")
            await self._drain_all()

    @property
    def urls(self) -> tuple[str, ...]:
        """Where it serves, once it does."""
        return self._listening

    @property
    def admin_url(self) -> str | None:
        """Where operators look, if that could be opened."""
        return self._admin

    @property
    def connections(self) -> Sequence[EdgeConnection]:
        """Every caller's."""
        server = self._runner.server if self._runner is not None else None
        return cast("list[EdgeConnection]", server.connections) if server is not None else ()

    def stop(self) -> None:
        """Drain, then end; called again, end at once."""
        if self._stop.is_set():
            self._stop_now.set()
        self._stop.set()

    def _say_ready(self, announce: Announce) -> None:
        places = ", ".join(self._listening)
        notify(self._environ, "READY=1", f"STATUS=serving on {places}")
        announce(f"gatewayd {__version__} ready on {places} (pid {os.getpid()})")

    async def _open(self, stack: AsyncExitStack) -> None:
        settings, server = self._settings, self._settings.server
        path = socket_path(server.state_dir)
        stack.enter_context(occupied(server.state_dir))
        tls = tls_context(server.tls) if server.tls is not None else None
        control = ControlServer(path, {"status": self._status, "stop": self._stopping})
        stack.push_async_callback(control.close)
        await control.start()
        sockets = listen_all(server.listen, self._environ, stack.enter_context(ExitStack()))
        allow_connections(server.max_connections)
        pool = self._pool = await open_pool(settings, self._clock, stack)
        reporters = self._reporters(stack)
        self._generations = Generations(build(1, settings, pool, self._clock), self._clock, self._drain)
        app = make_app(self._generations, self._drain, reporters)
        runner = self._runner = EdgeRunner(app, server, malformed(self._generations, reporters))
        await runner.setup()
        stack.push_async_callback(self._close, runner)
        for sock in sockets:
            await EdgeSite(runner, sock, tls, backlog=BACKLOG, patience=server.header_timeout).start()
        scheme = "https" if tls is not None else "http"
        self._listening = tuple(name_of(address, scheme) for address in runner.addresses)
        self._watch(pool, self._generations)
        self._admin = await serve_operators(settings, self._status, self._metrics, self._environ, stack)

    def _watch(self, pool: Pool, generations: Generations) -> None:
        watch = self._metrics.watch
        watch("gatewayd_in_flight", "Requests being served.", lambda: self._drain.in_flight)
        watch("gatewayd_ledger_pending", "What is on its way into the ledger.", pool.ledger_pending)
        watch("gatewayd_config_generation", "The configuration in force.", lambda: generations.current.number)

    def _reporters(self, stack: AsyncExitStack) -> Sequence[Reporter]:
        target = self._settings.access_log.file
        if not target:
            return (self._metrics.report,)
        try:
            sink = LineSink(target)
        except OSError as error:
            raise StartError(f"access_log.file: cannot open {target}: {error.strerror}") from None
        stack.push_async_callback(sink.close)

        def log(exchange: Exchange) -> None:
            sink.write(line(exchange))

        return (log, self._metrics.report)

    def _on_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop)
        loop.add_signal_handler(
            signal.SIGHUP, logger.warning, "SIGHUP was ignored: a configuration takes effect at a restart, not before"
        )

    async def _drain_all(self) -> None:
        """Let what is in flight end by itself, up to the drain's deadline or a second signal; then cut it off."""
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
        """Wait for it, at most `timeout` seconds and not beyond the second signal; whether it is done."""
        now = asyncio.ensure_future(self._stop_now.wait())
        await asyncio.wait({future, now}, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        now.cancel()
        return future.done()

    async def _status(self) -> dict[str, Any]:
        generations = self._generations
        running = generations.running.items() if generations is not None else ()
        return {
            "pid": os.getpid(),
            "version": __version__,
            "state": "draining" if self._drain.began else "serving" if self._listening else "starting",
            "uptime_seconds": round(self._clock.monotonic() - self._started, 3),
            "listening": self._listening,
            "admin": self._admin,
            "connections": len(self.connections),
            "in_flight": self._drain.in_flight,
            "generation": generations.current.number if generations is not None else 0,
            "running_by_generation": {str(number): count for number, count in running if count},
            "routes": sorted(self._settings.routes),
            "accounts": len(await self._pool.accounts.snapshot()) if self._pool is not None else 0,
        }

    async def _stopping(self) -> dict[str, Any]:
        """Ask twice, and it still drains: only a signal cuts off what somebody else waits for."""
        self._stop.set()
        return {"stopping": True, "in_flight": self._drain.in_flight, "pid": os.getpid()}
