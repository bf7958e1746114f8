"""The edge alone: connections of ours before a handler that keeps what it was asked."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web
from aiohttp.web_protocol import RequestPayloadError
from aiohttp.web_server import Server

from gatewayd.edge.connection import EdgeConnection
from gatewayd.edge.parser import EdgeLimits
from gatewayd.edge.server import EdgeServer
from gatewayd.errors import Refusal


@dataclass(slots=True)
class Edge:
    """Where it listens, what reached the handler, and what was refused before it."""

    port: int = 0
    server: EdgeServer | None = None
    asked: list[tuple[str, tuple[tuple[bytes, bytes], ...], bytes | None]] = field(default_factory=list)
    refused: list[Refusal] = field(default_factory=list)

    @property
    def connections(self) -> list[EdgeConnection]:
        assert self.server is not None
        return [each for each in self.server.connections if isinstance(each, EdgeConnection)]

    async def keep(self, request: web.BaseRequest) -> web.StreamResponse:
        """A body that broke is kept as None."""
        try:
            body: bytes | None = await request.read()
        except RequestPayloadError:
            body = None
        self.asked.append((request.raw_path, request.raw_headers, body))
        return web.Response(text="ok")

    def malformed(self, _request: web.BaseRequest, refusal: Refusal) -> web.StreamResponse:
        self.refused.append(refusal)
        return web.Response(status=refusal.status, text=refusal.code)


@asynccontextmanager
async def edge(
    handler: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]] | None = None,
    *,
    header_timeout: float = 5.0,
    keepalive_timeout: float = 75.0,
    max_header_bytes: int = 4096,
    max_connections: int = 1000,
) -> AsyncIterator[Edge]:
    running = Edge()
    limits = EdgeLimits(header_timeout, keepalive_timeout, max_header_bytes, max_connections)
    running.server = EdgeServer(Server(handler or running.keep), limits, running.malformed)
    site = web.ServerRunner(running.server)
    await site.setup()
    listener = web.TCPSite(site, "127.0.0.1", 0)
    await listener.start()
    running.port = site.addresses[0][1]
    try:
        yield running
    finally:
        await site.cleanup()
