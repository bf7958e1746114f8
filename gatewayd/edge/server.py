"""The application behind our own connections instead of aiohttp's."""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Final, cast

from aiohttp import web
from aiohttp.typedefs import Handler
from aiohttp.web_server import Server

from gatewayd.config.settings import ServerSettings
from gatewayd.edge.connection import EdgeConnection, Malformed
from gatewayd.edge.parser import EdgeLimits, require_c_parser
from gatewayd.edge.request import EdgeRequest
from gatewayd.outbox import Outbox

_KEEPALIVE: Final = 75.0  # seconds a connection may be idle between requests, as nginx has it
_HANG_UP: Final = 1.0  # seconds that a connection with nothing to do gets to end; draining is over by then
_LINGERING: Final = 5.0  # seconds that the rest of a refused body is read, so that the connection can go on


class EdgeServer(Server):
    """aiohttp's server, making `EdgeConnection`s."""

    def __init__(self, plain: Server, limits: EdgeLimits, malformed: Malformed, **options: Any) -> None:
        """`options` are each connection's."""
        super().__init__(
            plain.request_handler,
            request_factory=plain.request_factory,
            handler_cancellation=True,  # a caller that leaves must not leave its agent working
        )
        self._limits = limits
        self._malformed = malformed
        self._options = options
        self.outbox = Outbox(asyncio.get_running_loop())

    def adopt(self, limits: EdgeLimits) -> None:
        """Connections keep the limits that they began with; those that come get these."""
        self._limits = limits

    def __call__(self) -> EdgeConnection:
        return EdgeConnection(
            self,
            limits=self._limits,
            malformed=self._malformed,
            outbox=self.outbox,
            loop=asyncio.get_running_loop(),
            access_log=None,
            lingering_time=_LINGERING,
            **self._options,
        )


class EdgeRunner(web.AppRunner):
    """Runs the application on sockets that it is given. Raises StartError where aiohttp lacks its C parser."""

    def __init__(
        self,
        app: web.Application,
        settings: ServerSettings,
        malformed: Malformed,
        handler: Handler | None = None,
    ) -> None:
        """`handler` answers each request in the application's place: its ring, which takes requests as they come in."""
        require_c_parser()
        super().__init__(app, shutdown_timeout=_HANG_UP)
        self._malformed = malformed
        self._handler = handler
        self._limits = _limits(settings)

    def adopt(self, settings: ServerSettings) -> None:
        """Go by these settings with every connection that comes."""
        self._limits = _limits(settings)
        if isinstance(self.server, EdgeServer):
            self.server.adopt(self._limits)

    @property
    def outbox(self) -> Outbox:
        """Where its answers wait for the end of a turn, once it is set up."""
        assert isinstance(self.server, EdgeServer)
        return self.server.outbox

    def end_connections(self) -> None:
        """Idle ones end now, those with a request after their answer."""
        for connection in self.server.connections if self.server is not None else ():
            cast("EdgeConnection", connection).end()

    async def _make_server(self) -> Server:
        plain = await super()._make_server()
        if self._handler is not None:
            handler = cast("Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]", self._handler)
            requests = EdgeRequest.of(self.app)
            plain = Server(handler, request_factory=cast("Any", requests))
            return EdgeServer(plain, self._limits, self._malformed, ring_of=self.app)
        return EdgeServer(plain, self._limits, self._malformed)


def _limits(settings: ServerSettings) -> EdgeLimits:
    return EdgeLimits(
        header_timeout=settings.header_timeout,
        keepalive_timeout=max(_KEEPALIVE, settings.header_timeout),
        max_header_bytes=settings.max_header_bytes,
        max_connections=settings.max_connections,
    )


class EdgeSite(web.SockSite):
    """Takes callers from a listening socket, which is not closed with it: another may go on where this one stops.

    A TLS handshake must be over in the time that a request head gets.
    """

    def __init__(
        self, runner: EdgeRunner, sock: socket.socket, tls: ssl.SSLContext | None, *, backlog: int, patience: float
    ) -> None:
        super().__init__(runner, sock, ssl_context=tls, backlog=backlog)
        self._patience = patience if tls is not None else None

    async def start(self) -> None:
        await web.BaseSite.start(self)
        server = self._runner.server
        assert server is not None
        self._server = await asyncio.get_running_loop().create_server(
            server,
            sock=self._sock.dup(),
            ssl=self._ssl_context,
            backlog=self._backlog,
            ssl_handshake_timeout=self._patience,
        )

    async def stop_for_good(self) -> None:
        """Stop, and take those who wait in the socket's queue: with it closed they would be reset."""
        await self.stop()
        loop, server = asyncio.get_running_loop(), self._runner.server
        assert server is not None
        with suppress(OSError):  # BlockingIOError: nobody waits any more
            while True:
                caller, _ = self._sock.accept()
                caller.setblocking(False)
                await loop.connect_accepted_socket(
                    server, caller, ssl=self._ssl_context, ssl_handshake_timeout=self._patience
                )
