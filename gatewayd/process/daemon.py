"""One serving process, from its first socket to its last byte: start, serve, drain, stop."""

import asyncio
import os
import signal
import ssl
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from typing import Any, Final

from aiohttp import web

from gatewayd import __version__
from gatewayd.app import make_app, malformed
from gatewayd.clock import Clock
from gatewayd.config.settings import ServerSettings, Settings
from gatewayd.drain import Drain
from gatewayd.edge.server import EdgeRunner
from gatewayd.errors import StartError
from gatewayd.exchange import Exchange
from gatewayd.lifecycle import Generations, build, open_pool
from gatewayd.policies.access_log import Reporter, line
from gatewayd.process.control import ControlServer, socket_path
from gatewayd.process.listen import BACKLOG, listen_all
from gatewayd.process.notify import notify
from gatewayd.sink import LineSink

_CUT_PATIENCE: Final = 2.0  # seconds that exchanges get to close their books after they were cut off

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

    async def run(self, announce: Announce) -> None:
        """Serve until stopped. Raises StartError or StoreError before the first connection, or not at all."""
        async with AsyncExitStack() as stack:
            await self._open(stack)
            self._on_signals()
            places = ", ".join(self._listening)
            notify(self._environ, "READY=1", f"STATUS=serving on {places}")
            announce(f"gatewayd {__version__} ready on {places} (pid {os.getpid()})")
            await self._stop.wait()
            notify(self._environ, "STOPPING=1", "STATUS=draining")
            await self._drain_all()

    @property
    def urls(self) -> tuple[str, ...]:
        """Where it serves, once it does."""
        return self._listening

    def stop(self) -> None:
        """Drain, then end; called again, end at once."""
        if self._stop.is_set():
            self._stop_now.set()
        self._stop.set()

    async def _open(self, stack: AsyncExitStack) -> None:
        settings, server = self._settings, self._settings.server
        prepare_state_dir(server.state_dir)
        tls = tls_context(server)
        commands = {"status": self._status, "stop": self._stopping}
        control = ControlServer(socket_path(server.state_dir), commands)
        stack.push_async_callback(control.close)
        await control.start()
        sockets = listen_all(server.listen, self._environ, stack.enter_context(ExitStack()))
        pool = await open_pool(settings, self._clock, stack)
        reporters = self._reporters(stack)
        self._generations = Generations(build(1, settings, pool, self._clock), self._clock, self._drain)
        app = make_app(self._generations, self._drain, reporters)
        runner = EdgeRunner(app, server, malformed(self._generations, reporters))
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        for sock in sockets:
            await web.SockSite(runner, sock, backlog=BACKLOG, ssl_context=tls).start()
        self._listening = tuple(name_of(address) for address in runner.addresses)

    def _reporters(self, stack: AsyncExitStack) -> Sequence[Reporter]:
        target = self._settings.access_log.file
        if not target:
            return ()
        try:
            sink = LineSink(target)
        except OSError as error:
            raise StartError(f"access_log.file: cannot open {target}: {error.strerror}") from None
        stack.push_async_callback(sink.close)

        def log(exchange: Exchange) -> None:
            sink.write(line(exchange))

        return (log,)

    def _on_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop)

    async def _drain_all(self) -> None:
        """Let what is in flight end by itself, up to the drain's deadline or a second signal; then cut it off."""
        self._drain.begin()
        ends = {asyncio.create_task(self._drain.idle.wait()), asyncio.create_task(self._stop_now.wait())}
        deadline = self._settings.server.drain_timeout
        await asyncio.wait(ends, timeout=deadline, return_when=asyncio.FIRST_COMPLETED)
        if not self._drain.idle.is_set():
            self._drain.cut()
            await asyncio.wait({asyncio.create_task(self._drain.idle.wait())}, timeout=_CUT_PATIENCE)
        for end in ends:
            end.cancel()

    async def _status(self) -> dict[str, Any]:
        generations = self._generations
        return {
            "pid": os.getpid(),
            "version": __version__,
            "state": "draining" if self._drain.began else "serving" if self._listening else "starting",
            "uptime_seconds": round(self._clock.monotonic() - self._started, 3),
            "listening": self._listening,
            "in_flight": self._drain.in_flight,
            "generation": generations.current.number if generations is not None else 0,
            "running_by_generation": dict(+generations.running) if generations is not None else {},
            "routes": sorted(self._settings.routes),
        }

    async def _stopping(self) -> dict[str, Any]:
        self.stop()
        return {"stopping": True, "in_flight": self._drain.in_flight, "pid": os.getpid()}


def prepare_state_dir(path: Path) -> None:
    """Make the directory, for this user alone. Raises StartError if it cannot be written."""
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        probe = path / ".writable"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise StartError(f"server.state_dir: cannot write to {path}: {error.strerror}") from None


def tls_context(server: ServerSettings) -> ssl.SSLContext | None:
    """The listeners' TLS, 1.2 at least. Raises StartError for a certificate and key that do not fit."""
    if server.tls is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(server.tls.certificate, server.tls.key)
    except (OSError, ssl.SSLError) as error:
        raise StartError(f"server.tls: cannot use {server.tls.certificate} with its key: {error}") from None
    return context


def name_of(address: Any) -> str:
    """A bound socket's address as people write it."""
    if isinstance(address, tuple):
        host, port = address[:2]
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    return f"unix:{address}"
