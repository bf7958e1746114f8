"""One process that is a whole gateway, in one event loop: start, serve, drain, stop.

`gatewayd demo` and tests run it; `gatewayd start` makes the same parts several processes (see supervisor).
"""

import asyncio
import logging
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack
from typing import Any

from gatewayd import __version__
from gatewayd.admin.observatory import Observatory, Sources
from gatewayd.books.bookkeeper import Bookkeeper
from gatewayd.clock import Clock
from gatewayd.config.settings import Settings
from gatewayd.edge.connection import EdgeConnection
from gatewayd.metrics import Sheet, Tally
from gatewayd.metrics.families import RELOADED, level
from gatewayd.process.bookkeeping import counted, listen_for_books
from gatewayd.process.control import ControlServer, socket_path
from gatewayd.process.entrance import Door
from gatewayd.process.listen import listen_all, names_of
from gatewayd.process.notify import notify
from gatewayd.process.operators import NOBODY_LOOKS, PATIENCE, listen_for_operators, serve_operators
from gatewayd.process.statedir import occupied
from gatewayd.process.status import Circumstances, describe
from gatewayd.process.worker import Worker
from gatewayd.stores.shared.memory import SharedMemory

logger = logging.getLogger(__name__)

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
        self._books = Bookkeeper(settings, clock)
        self._counters = SharedMemory.create()
        self._counters.keep()  # there is no other process
        self._sheet = Sheet(fd=-1)
        self._worker = Worker(settings, clock, self._counters, self._sheet, self._stop_now)
        self._listening: tuple[str, ...] = ()
        self._admin: str | None = None
        self._observatory: Observatory | None = None

    async def run(self, announce: Announce) -> None:
        """Serve until stopped. Raises StartError or StoreError before the first connection, or not at all."""
        async with AsyncExitStack() as stack:
            stack.callback(self._counters.close)
            self._on_signals()
            await self._open(stack)
            if not self._stop.is_set():  # a signal may have come first
                self._say_ready(announce)
            await self._stop.wait()
            logger.info("draining: %d requests in flight", self._worker.in_flight)
            notify(self._environ, "STOPPING=1", "STATUS=draining")
            await self._worker.drain()

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
        return self._worker.connections

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
        answers = {"status": self._status, "overview": self._overview, "stop": self._stopping}
        control = ControlServer(path, answers)
        stack.push_async_callback(control.close)
        await control.start()
        sockets = listen_all(server.listen, self._environ, stack.enter_context(ExitStack()))
        await self._books.start(listen_for_books(server.state_dir, stack.enter_context(ExitStack())))
        stack.push_async_callback(self._books.close)
        doors = [Door(number, sock) for number, sock in enumerate(sockets)]
        await self._worker.serve(doors, stack)
        self._listening = names_of(sockets, server.tls)
        admin, self._admin = listen_for_operators(settings, self._environ, stack.enter_context(ExitStack()))
        sources = Sources(self._status, self._counted, self._worker.sighted)
        self._observatory = await serve_operators(settings, self._clock, admin, sources, stack)

    def _on_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop)
        loop.add_signal_handler(signal.SIGUSR1, self._worker.reopen_logs)
        loop.add_signal_handler(
            signal.SIGHUP, logger.warning, "SIGHUP was ignored: this is a daemon that does not reload"
        )

    async def _counted(self) -> Tally:
        said = [await self._worker.counted(), counted(self._books.status()), {"gauges": level(RELOADED, 1)}]
        return Tally.of([self._sheet.samples(), *said])

    async def _overview(self) -> Mapping[str, Any]:
        return await self._observatory.overview(PATIENCE) if self._observatory is not None else {"error": NOBODY_LOOKS}

    async def _status(self) -> dict[str, Any]:
        state = "draining" if self._stop.is_set() else "serving" if self._listening else "starting"
        circumstances = Circumstances(
            state=state,
            uptime=self._clock.monotonic() - self._started,
            listening=self._listening,
            admin=self._admin,
            ledger=self._books.status(),
        )
        return describe(self._settings, circumstances, [await self._worker.status()])

    async def _stopping(self) -> dict[str, Any]:
        """Ask twice, and it still drains: only a signal cuts off what somebody else waits for."""
        self._stop.set()
        return {"stopping": True, "in_flight": self._worker.in_flight, "pid": os.getpid()}
