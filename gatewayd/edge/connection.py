"""One caller's connection. aiohttp parses and answers; the deadlines it lacks and its own error page are ours.

What is used of aiohttp's server protocol beyond its public methods stands in `USED`, and a test holds it.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from aiohttp import web
from aiohttp.http_exceptions import BadHttpMessage, LineTooLong
from aiohttp.streams import EMPTY_PAYLOAD
from aiohttp.web_protocol import RequestPayloadError, _ErrInfo
from aiohttp.web_server import Server

from gatewayd.errors import BadRequest, HeadersTooLarge, Overloaded, Refusal, RequestTimeout, UriTooLong

MAX_TARGET: Final = 16 * 1024
_MAX_FIELDS: Final = 1024
USED: Final = ("_messages", "_current_request", "_request_count", "_upgraded", "_waiter", "_loop")

Malformed = Callable[[web.BaseRequest, Refusal], web.StreamResponse]


@dataclass(frozen=True, slots=True)
class EdgeLimits:
    """Seconds and bytes; `header_timeout` is for a whole request head, the first of a connection included."""

    header_timeout: float
    keepalive_timeout: float
    max_header_bytes: int
    max_connections: int

    @property
    def max_field(self) -> int:
        """For the parser: above the whole section's limit, and never MAX_TARGET, by which LineTooLong is told apart."""
        return self.max_header_bytes + (2 if self.max_header_bytes + 1 == MAX_TARGET else 1)


class _RefusedHead(Exception):
    """Carries our refusal through aiohttp's own path for requests that it could not parse."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.code)
        self.refusal = refusal


class EdgeConnection(web.RequestHandler):
    """A request head must be complete in time; broken framing is answered as a problem document and logged."""

    __slots__ = ("_deadline", "_head_bytes", "_limits", "_malformed", "_refused")

    def __init__(self, manager: Server, *, limits: EdgeLimits, malformed: Malformed, **options: Any) -> None:
        super().__init__(
            manager,
            keepalive_timeout=limits.keepalive_timeout,
            max_line_size=MAX_TARGET,
            max_field_size=limits.max_field,
            max_headers=_MAX_FIELDS,
            auto_decompress=False,
            **options,
        )
        self._limits = limits
        self._malformed = malformed
        self._deadline: asyncio.TimerHandle | None = None
        self._head_bytes = 0
        self._refused = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._wait_for_head()
        if self._manager is not None and len(self._manager.connections) > self._limits.max_connections:
            self._refuse(Overloaded("The gateway has as many connections as it may."))

    def connection_lost(self, exc: BaseException | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        heads = self._request_count
        super().data_received(data)
        if self._request_count != heads:
            self._stop_waiting()
            self._tell_of_broken_body()
        elif self._waiter is not None and not self._messages:  # nothing is being served: these bytes begin a head
            self._head_bytes += len(data)
            if self._head_bytes > self._limits.max_header_bytes + MAX_TARGET:
                self._refuse(HeadersTooLarge())
            elif self._deadline is None:
                self._wait_for_head()

    def _tell_of_broken_body(self) -> None:
        """A parser error in the middle of a body is queued as a next request; who reads that body must hear of it."""
        request = self._current_request
        if request is not None and self._messages and isinstance(self._messages[-1][0], _ErrInfo):
            request.content.set_exception(RequestPayloadError("broken framing"))

    def _wait_for_head(self) -> None:
        if self._limits.header_timeout:
            self._deadline = self._loop.call_later(self._limits.header_timeout, self._head_is_late)

    def _stop_waiting(self) -> None:
        self._head_bytes = 0
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _head_is_late(self) -> None:
        self._deadline = None
        if self._head_bytes:
            self._refuse(RequestTimeout("The request head did not arrive in time."))
        else:
            self.force_close()  # it never said a word, so nobody waits for an answer

    def _refuse(self, refusal: Refusal) -> None:
        """Answer a head that is not complete as aiohttp answers one that it cannot parse, and read no more."""
        self._stop_waiting()
        self._refused = True
        self._messages.append((_ErrInfo(refusal.status, _RefusedHead(refusal), ""), EMPTY_PAYLOAD))
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,  # noqa: ARG002
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002
    ) -> web.StreamResponse:
        """A request was not parsed. The parser's own words quote the input, so they go nowhere."""
        response = self._malformed(request, refusal_for(exc))
        response.force_close()
        return response


def refusal_for(exc: BaseException | None) -> Refusal:
    """What an error of the parser means to a caller."""
    if isinstance(exc, _RefusedHead):
        return exc.refusal
    if isinstance(exc, LineTooLong):
        return UriTooLong() if exc.args[1] == MAX_TARGET else HeadersTooLarge()
    if isinstance(exc, BadHttpMessage) and exc.message == "Too many headers received":
        return HeadersTooLarge()
    return BadRequest("The request is not valid HTTP/1.1.")
