"""A request as aiohttp makes it, with what every middleware reads of it at hand instead of behind a property."""

import asyncio
from typing import Any

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http import RawRequestMessage
from aiohttp.streams import StreamReader
from aiohttp.web_protocol import RequestHandler
from aiohttp.web_urldispatcher import UrlMappingMatchInfo


class EdgeRequest(web.Request):
    """aiohttp looks these up in what was parsed, each time with a call; they are what it would answer."""

    app: web.Application = None  # type: ignore[assignment]  # of the class that `of` makes
    content: StreamReader = None  # type: ignore[assignment]
    keep_alive: bool = False
    method: str = ""
    protocol: "RequestHandler" = None  # type: ignore[assignment]
    raw_headers: tuple[tuple[bytes, bytes], ...] = ()
    raw_path: str = ""
    version: Any = None
    _client_max_size = 1024**2
    _client_max_fields = 1000

    def __init__(
        self,
        message: RawRequestMessage,
        payload: StreamReader,
        protocol: "RequestHandler",
        payload_writer: AbstractStreamWriter,
        task: "asyncio.Task[None]",
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        if message.path.startswith("/"):
            # What aiohttp's own beginning comes to for a target in origin form; a test holds the two together.
            self._message = message
            self._protocol = protocol
            self._payload_writer = payload_writer
            self._payload = payload
            self._headers = message.headers
            self._method = message.method
            self._version = message.version
            self._cache = {}
            self._rel_url = message.url
            self._state = {}
            self._task = task
            self._loop = loop
            self._transport_sslcontext = protocol.ssl_context
            self._transport_peername = protocol.peername
            self._transport_sockname = protocol.sockname
        else:
            super().__init__(message, payload, protocol, payload_writer, task, loop)
        self.content = payload
        self.keep_alive = not message.should_close
        self.method = message.method
        self.protocol = protocol
        self.raw_headers = message.raw_headers
        self.raw_path = message.path
        self.version = message.version

    @classmethod
    def of(cls, application: web.Application) -> "type[EdgeRequest]":
        """Requests to this application's one handler, whatever their path is."""
        (route,) = application.router.routes()
        found = UrlMappingMatchInfo({}, route)
        found.add_app(application)
        found.freeze()
        return type("ApplicationRequest", (cls,), {"app": application, "_match_info": found})
