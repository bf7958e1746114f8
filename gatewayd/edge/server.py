"""The application behind our own connections instead of aiohttp's."""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable
from typing import Any, Final, cast

from aiohttp import web
from aiohttp.typedefs import Handler
from aiohttp.web_server import Server

from gatewayd.config.settings import ServerSettings
from gatewayd.edge.connection import EdgeConnection, Malformed
from gatewayd.edge.parser import EdgeLimits, require_c_parser

_KEEPALIVE: Final = 75.0  # seconds a connection may be idle between requests, as nginx has it
_HANG_UP: Final = 1.0  # seconds that a connection with nothing to do gets to end; draining is over by then
_LINGERING: Final = 5.0  # seconds that the rest of a refused body is read, so that the connection can go on


class EdgeServer(Server):
    """aiohttp's server, making `EdgeConnection`s."""

    def __init__(self, plain: Server, limits: EdgeLimits, malformed: Malformed, **options: Any) -> None:
        super().__init__(
            plain.request_handler,
            request_factory=plain.request_factory,
            handler_cancellation=True,  # a caller that leaves must not leave its agent working
        )
        self._limits = limits
        self._malformed = malformed
        self._options = options

    def __call__(self) -> EdgeConnection:
        return EdgeConnection(
            self,
            limits=self._limits,
            malformed=self._malformed,
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
        """`handler` answers each request in the application's place."""
        require_c_parser()
        super().__init__(app, shutdown_timeout=_HANG_UP)
        self._malformed = malformed
        self._handler = handler
        self._limits = EdgeLimits(
            header_timeout=settings.header_timeout,
            keepalive_timeout=max(_KEEPALIVE, settings.header_timeout),
            max_header_bytes=settings.max_header_bytes,
            max_connections=settings.max_connections,
        )

    async def _make_server(self) -> Server:
        plain = await super()._make_server()
        if self._handler is not None:
            handler = cast("Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]", self._handler)
            plain = Server(handler, request_factory=plain.request_factory)
        return EdgeServer(plain, self._limits, self._malformed)


class EdgeSite(web.SockSite):
    """A listening socket; a TLS handshake must be over in the time that a request head gets."""

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
            sock=self._sock,
            ssl=self._ssl_context,
            backlog=self._backlog,
            ssl_handshake_timeout=self._patience,
        )
