"""The application behind our own connections instead of aiohttp's."""

import asyncio
from typing import Any, Final

from aiohttp import web
from aiohttp.web_server import Server

from gatewayd.config.settings import ServerSettings
from gatewayd.edge.connection import EdgeConnection, Malformed
from gatewayd.edge.parser import EdgeLimits, require_c_parser

_KEEPALIVE: Final = 75.0  # seconds a connection may be idle between requests, as nginx has it
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

    def __init__(self, app: web.Application, settings: ServerSettings, malformed: Malformed) -> None:
        require_c_parser()
        super().__init__(app, shutdown_timeout=settings.drain_timeout)
        self._malformed = malformed
        self._limits = EdgeLimits(
            header_timeout=settings.header_timeout,
            keepalive_timeout=max(_KEEPALIVE, settings.header_timeout),
            max_header_bytes=settings.max_header_bytes,
            max_connections=settings.max_connections,
        )

    async def _make_server(self) -> Server:
        plain = await super()._make_server()
        return EdgeServer(plain, self._limits, self._malformed)
