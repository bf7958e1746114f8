"""A request as aiohttp makes it, with what every middleware reads of it at hand instead of behind a property."""

import asyncio
from functools import cached_property
from typing import Any

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http import StreamWriter
from aiohttp.streams import StreamReader
from aiohttp.web_protocol import RequestHandler
from aiohttp.web_urldispatcher import UrlMappingMatchInfo
from multidict import CIMultiDictProxy
from yarl import URL

from gatewayd.edge.parser import Parsed
from gatewayd.edge.plain import PlainRequest
from gatewayd.framing import Head


class EdgeRequest(web.Request):
    """aiohttp looks these up in what was parsed, each time with a call; they are what it would answer."""

    app: web.Application = None  # type: ignore[assignment]  # of the class that `of` makes
    content: StreamReader = None  # type: ignore[assignment]
    keep_alive: bool = False
    method: str = ""
    plain_head: Head | None = None
    """What `framing.read_head` would find, if that was found already."""
    protocol: "RequestHandler" = None  # type: ignore[assignment]
    raw_path: str = ""
    remote: str | None = None
    version: Any = None
    makes_writer = True
    """Where it is given none."""
    _client_max_size = 1024**2
    _client_max_fields = 1000

    def __init__(
        self,
        message: Parsed,
        payload: StreamReader,
        protocol: Any,
        payload_writer: AbstractStreamWriter | None,
        task: "asyncio.Task[None]",
        loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        """`protocol` is an `EdgeConnection`, `loop` its own unless one is given. A missing writer is made."""
        path: str = message.path
        if path.startswith("/"):
            # What aiohttp's own beginning comes to for a target in origin form; a test holds the two together.
            self.__dict__ = fields = (protocol.common or _begin(protocol, loop)).copy()
            fields["_cache"] = {}
            fields["_message"] = message
            fields["_payload"] = fields["content"] = payload
            fields["_state"] = {}
            fields["_task"] = task
            fields["keep_alive"] = not message.should_close
            fields["method"] = message.method
            fields["raw_path"] = path
            fields["version"] = message.version
            if isinstance(message, PlainRequest):
                fields["plain_head"] = message.head
        else:
            loop = loop or protocol._loop  # noqa: SLF001
            super().__init__(message, payload, protocol, payload_writer or StreamWriter(protocol, loop), task, loop)
            self.content = payload
            self.keep_alive = not message.should_close
            self.method = message.method
            self.protocol = protocol
            self.raw_path = path
            self.remote = address(protocol.peername)
            self.version = message.version

        if payload_writer is not None:
            self._payload_writer = payload_writer

    @cached_property
    def _method(self) -> str:  # type: ignore[override]
        return self.method

    @cached_property
    def _version(self) -> Any:  # type: ignore[override]
        return self.version

    @cached_property
    def _payload_writer(self) -> AbstractStreamWriter:  # type: ignore[override]
        return StreamWriter(self._protocol, self._loop)

    @cached_property
    def _headers(self) -> "CIMultiDictProxy[str]":  # type: ignore[override]
        return self._message.headers

    @cached_property
    def _rel_url(self) -> URL:  # type: ignore[override]
        return self._message.url

    @classmethod
    def of(cls, application: web.Application) -> "type[EdgeRequest]":
        """Requests to this application's one handler, whatever their path is."""
        (route,) = application.router.routes()
        found = UrlMappingMatchInfo({}, route)
        found.add_app(application)
        found.freeze()
        return type("ApplicationRequest", (cls,), {"app": application, "_match_info": found})


def _begin(protocol: Any, loop: asyncio.AbstractEventLoop | None) -> dict[str, Any]:
    """What the requests of a connection have in common, as each of them begins; the connection keeps it."""
    common = {
        "_loop": loop or protocol._loop,  # noqa: SLF001
        "_protocol": protocol,
        "_transport_peername": protocol.peername,
        "_transport_sockname": protocol.sockname,
        "_transport_sslcontext": protocol.ssl_context,
        "plain_head": None,
        "protocol": protocol,
        "remote": address(protocol.peername),
    }
    if protocol.transport is not None:
        protocol.common = common
    return common


def address(peername: Any) -> str | None:
    """A socket's peer as aiohttp names it: its IP address, or its path."""
    if peername is None:
        return None
    return str(peername[0] if isinstance(peername, (list, tuple)) else peername)
