"""aiohttp's parser of requests: which one it must be, how large it lets things grow, and what its errors mean."""

import asyncio
import re
from dataclasses import dataclass
from typing import Any, Final

from aiohttp.base_protocol import BaseProtocol
from aiohttp.http import HttpRequestParser, RawRequestMessage
from aiohttp.http_exceptions import BadHttpMessage, HttpProcessingError, LineTooLong
from aiohttp.web_protocol import MAX_MSG_QUEUE_SIZE, RequestPayloadError

from gatewayd.errors import BadRequest, HeadersTooLarge, Refusal, StartError, UriTooLong, VersionUnsupported

READ_BUFFER: Final = 64 * 1024
MAX_FIELDS: Final = 1024
_MAX_TARGET: Final = 16 * 1024
_LONGEST_METHOD: Final = 16
_TOO_MANY: Final = "Too many headers received"
# What llhttp says of a version that is well-formed but not its own, and of the preface of HTTP/2.
_VERSIONS: Final = ("Bad status line:\n  Invalid HTTP version:", "Pause on PRI/Upgrade:")


Parsed = Any
"""A request's head. aiohttp's types say a named tuple; what its parser in C gives is a class with the same fields."""


@dataclass(frozen=True, slots=True)
class EdgeLimits:
    """Seconds and bytes; `header_timeout` is for a whole request head, the first of a connection included."""

    header_timeout: float
    keepalive_timeout: float
    max_header_bytes: int
    max_connections: int

    @property
    def max_target(self) -> int:
        """So far below the whole head's limit that a target too long is always the first to be noticed."""
        return min(_MAX_TARGET, self.max_header_bytes - _LONGEST_METHOD)

    @property
    def max_field(self) -> int:
        """For the parser: above the whole head's limit, and never `max_target`, by which LineTooLong is told apart."""
        return self.max_header_bytes + 1


class RefusedHead(Exception):
    """Carries our refusal through aiohttp's own path for requests that it could not parse."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.code)
        self.refusal = refusal


def require_c_parser() -> None:
    """Raises StartError unless aiohttp parses with llhttp: its parser in Python is more lenient than we may be."""
    if HttpRequestParser.__module__ != "aiohttp._http_parser":
        raise StartError(
            "aiohttp runs without its C extensions, whose HTTP parser is needed: "
            "install an aiohttp wheel for this Python, and unset AIOHTTP_NO_EXTENSIONS"
        )


def new_parser(protocol: BaseProtocol, loop: asyncio.AbstractEventLoop, limits: EdgeLimits) -> HttpRequestParser:
    """A parser as `RequestHandler` makes it for itself."""
    return HttpRequestParser(
        protocol,
        loop,
        READ_BUFFER,
        max_line_size=limits.max_target,
        max_field_size=limits.max_field,
        max_headers=MAX_FIELDS,
        payload_exception=RequestPayloadError,
        auto_decompress=False,
        max_msg_queue_size=MAX_MSG_QUEUE_SIZE,
    )


def speaks_http(said: bytes, method: str, target: str) -> bool:
    """Whether a request that came in these bytes called its protocol HTTP.

    llhttp takes RTSP and ICE for it in some methods, with their versions, and tells nobody.
    """
    if b" RTSP/" not in said and b" ICE/" not in said:
        return True
    line = rb"^%b +%b +(?:RTSP|ICE)/" % (re.escape(method.encode()), re.escape(target.encode(errors="surrogateescape")))
    return re.search(line, said, re.MULTILINE) is None


def last_of_connection(message: Parsed) -> Parsed:
    """The same request, as if its caller had said that no other one follows."""
    return RawRequestMessage(
        message.method,
        message.path,
        message.version,
        message.headers,
        message.raw_headers,
        True,
        message.compression,
        message.upgrade,
        message.chunked,
        message.url,
    )


def refusal_for(exc: BaseException | None, limits: EdgeLimits) -> Refusal | None:
    """What an error of the parser means to a caller; None if it is no error of the parser."""
    if isinstance(exc, RefusedHead):
        return exc.refusal
    if isinstance(exc, LineTooLong):
        return UriTooLong() if exc.args[1] == limits.max_target else HeadersTooLarge()
    if isinstance(exc, BadHttpMessage) and exc.message == _TOO_MANY:
        return HeadersTooLarge()
    if isinstance(exc, HttpProcessingError):
        if exc.message.startswith(_VERSIONS):
            return VersionUnsupported()
        return BadRequest("The request is not valid HTTP/1.1.")
    return None
