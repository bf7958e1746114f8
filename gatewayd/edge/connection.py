"""One caller's connection. aiohttp parses and answers; the deadlines it lacks and its own error page are ours.

What is used of aiohttp's server protocol beyond its public methods stands in `USED`, and a test holds it.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Any, Final

from aiohttp import web
from aiohttp.http import HttpVersion11
from aiohttp.streams import EMPTY_PAYLOAD, StreamReader
from aiohttp.web_protocol import RequestPayloadError, _ErrInfo
from aiohttp.web_server import Server

from gatewayd.build import stays_python
from gatewayd.edge.parser import (
    MAX_FIELDS,
    READ_BUFFER,
    EdgeLimits,
    Parsed,
    RefusedHead,
    last_of_connection,
    new_parser,
    refusal_for,
    speaks_http,
)
from gatewayd.edge.plain import plain_request
from gatewayd.edge.request import EdgeRequest
from gatewayd.edge.turns import Turns
from gatewayd.edge.whole import WholeBody
from gatewayd.errors import (
    BadRequest,
    HeadersTooLarge,
    InternalError,
    Overloaded,
    Refusal,
    RequestTimeout,
    VersionUnsupported,
)
from gatewayd.framing import check_line
from gatewayd.plain import LONGEST
from gatewayd.sent import hang_up
from gatewayd.trailers import Fields, heard, section

logger = logging.getLogger(__name__)

USED: Final = (
    "_buffer_paused",
    "_close",
    "_current_request",
    "_force_close",
    "_loop",
    "_manager",
    "_message_tail",
    "_messages",
    "_parser",
    "_reading_paused",
    "_request_count",
    "_resume_transport_reading",
    "_upgraded",
    "_waiter",
)
# These two are not final, so that tests can shorten them in a compiled build too.
_LINGERING = 2.0  # seconds that a refused caller is still read, so that the answer is not reset away
_LONGEST_STALL = 300.0  # seconds without any room to write; routes are stricter by their idle timeout
_BLANK: Final = b"\r\n\r\n"
_HTTP: Final = b" HTTP/"
_ORDINARY: Final = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"})
_VERSIONS: Final = ((1, 1), (1, 0))
# What chunks may take beside the data in them: for each byte so many, and so many more for all of a body.
_FRAMING_PER_BYTE: Final = 16
_FRAMING_FREE: Final = 64 * 1024

Malformed = Callable[[web.BaseRequest, Refusal], web.StreamResponse]


@stays_python
class EdgeConnection(Turns):
    """A request head must be complete in time; broken framing is answered as a problem document and logged."""

    __slots__ = (
        "_begun",
        "_body",
        "_chunked",
        "_deadline",
        "_deaf",
        "_framed",
        "_last_bytes",
        "_limits",
        "_line",
        "_longest_plain",
        "_malformed",
        "_owed",
        "_stalled",
        "_trailers",
    )

    def __init__(self, manager: Server, *, limits: EdgeLimits, malformed: Malformed, **options: Any) -> None:
        super().__init__(
            manager,
            keepalive_timeout=limits.keepalive_timeout,
            max_line_size=limits.max_target,
            max_field_size=limits.max_field,
            max_headers=MAX_FIELDS,
            read_bufsize=READ_BUFFER,
            auto_decompress=False,
            **options,
        )
        self._limits = limits
        self._longest_plain = min(LONGEST, limits.max_target)
        self._malformed = malformed
        self._deadline: asyncio.TimerHandle | None = None
        self._begun = b""  # a head that is not complete yet
        self._deaf = False  # what still comes is thrown away: nobody can tell any more where a request begins
        self._body: StreamReader = EMPTY_PAYLOAD  # of the newest request
        self._chunked = False  # it is chunked, and its end was not dealt with
        self._framed = 0  # bytes of it, the framing included, not counting what came with its head
        self._last_bytes = b""
        # Bytes until the next request begins, as far as that is known beyond doubt; negative for good once it is not.
        self._owed = 0
        self._line: asyncio.Transport | None = None  # to the caller; aiohttp forgets it before all was sent
        self._stalled: asyncio.TimerHandle | None = None
        self._trailers: list[tuple[StreamReader, Fields]] = []  # of bodies that may still be read

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._line = self.transport
        self._wait_for_head()
        assert self._manager is not None
        crowd = len(self._manager.connections) - self._limits.max_connections
        if crowd > 64 + self._limits.max_connections // 8:
            self.force_close()  # too many even to be told so
        elif crowd > 0:
            self._refuse(Overloaded("The gateway has as many connections as it may."))

    def connection_lost(self, exc: BaseException | None) -> None:
        self._stop_waiting()
        self._line = None
        if self._stalled is not None:
            self._stalled.cancel()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """The caller is behind. One that takes nothing for long is cut off, whoever it is that writes."""
        super().pause_writing()
        self._stalled = self._loop.call_later(_LONGEST_STALL, self.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._stalled is not None:
            self._stalled.cancel()

    def force_close(self) -> None:
        """Close, and let the caller take what was written, for some seconds."""
        super().force_close()
        if self._line is not None:
            hang_up(self._line)

    def end(self) -> None:
        """After the present answer if there is one to come, else now."""
        if self._waiter is not None and not self._begun:
            self.force_close()
        else:
            self.close()

    def abort(self) -> None:
        """End the connection now, whatever was not taken yet."""
        if self._line is not None:
            self._line.abort()

    def data_received(self, data: bytes) -> None:
        if self._deaf:
            return
        if not self._owed:
            if data and self._took_plain(data):
                return
        elif self._owed > 0:
            self._owed -= len(data)
        parsed, in_body = self._request_count, not self._body.is_eof()
        super().data_received(data)
        if self._request_count == parsed + 1 and not in_body and not self._begun and self._is_ordinary(data):
            return
        if self._request_count != parsed:
            said, count = self._begun + data, self._request_count - parsed
            self._stop_waiting()
            self._judge(count, said, alone=count == 1 and not in_body)
            self._notice_next_head(data)
        elif data and not in_body and not self._upgraded:
            self._count_head(data)
        elif self._chunked:
            self._count_framing(len(data))
        if self._chunked and not self._deaf:
            self._end_chunks(data)

    def _took_plain(self, data: bytes) -> bool:
        """Take a plain request that came whole, which the parser need not see; else note where the next one begins."""
        self._owed = -1
        busy = self._messages or self._begun or self._upgraded or self._force_close or self._close
        if busy or self._reading_paused or self._buffer_paused or not self._body.is_eof():
            return False
        request: Parsed = plain_request(data, self._longest_plain)
        if request is None:
            return False
        missing = request.length - len(request.rest)
        if missing:
            self._owed = missing
            return False
        self._owed = 0
        self._body = WholeBody(request.rest, self) if request.length else EMPTY_PAYLOAD
        self._framed = 0
        self._request_count += 1
        self._messages.append((request, self._body))
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        if (waiter := self._waiter) is not None and not waiter.done():
            waiter.set_result(None)
        return True

    def resume_reading(self, resume_parser: bool = True) -> None:
        """Aiohttp asks for it at the end of every body."""
        if resume_parser or self._reading_paused:
            super().resume_reading(resume_parser)

    def _is_ordinary(self, data: bytes) -> bool:
        """Whether that was one request and no more, whole or with a sized body to come: then it is noted, and fine."""
        message: Parsed
        message, body = self._messages[-1]
        if (
            isinstance(message, _ErrInfo)
            or message.chunked
            or message.method not in _ORDINARY
            or message.version not in _VERSIONS
            or self._upgraded
            or self._deaf
            or (body is EMPTY_PAYLOAD and not data.endswith(_BLANK))
            or not data.startswith(_HTTP, len(message.method) + 1 + len(message.path))
        ):
            return False
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        self._body, self._framed = body, 0
        return True

    def _judge(self, count: int, said: bytes, *, alone: bool = False) -> None:
        """Look at the newest `count` requests before anybody handles them.

        They came in what was `said`; `alone`: that begins with the only one.
        """
        messages = self._messages
        message: Parsed
        for index in range(len(messages) - count, len(messages)):
            message, body = messages[index]
            if isinstance(message, _ErrInfo):
                self._break_body(queued=index > 0)
                self._deaf = True
                return
            if self._chunked:
                self._keep_messages(index)
                self._end_after_this()
                return
            try:
                check_line(message.method, message.path, message.version)
                ordinary = alone and said.startswith(_HTTP, len(message.method) + 1 + len(message.path))
                if not ordinary and not speaks_http(said, message.method, message.path):
                    raise VersionUnsupported
            except Refusal as refusal:
                self._keep_messages(index)
                self._refuse(refusal)
                return
            self._body, self._chunked, self._framed = body, bool(message.chunked), 0

    def _keep_messages(self, count: int) -> None:
        while len(self._messages) > count:
            self._messages.pop()

    def _break_body(self, *, queued: bool) -> None:
        """A parser error in the middle of a body is queued as a next request; who reads that body must hear of it."""
        if self._body.is_eof():
            return
        if queued or self._current_request is not None:
            self._body.set_exception(RequestPayloadError("broken framing"))
        self._body.feed_eof()

    def _count_framing(self, size: int) -> None:
        """Chunks that carry next to nothing would be an upload that no limit of a body ends."""
        self._framed += size
        if self._reading_paused or self._framed <= _FRAMING_FREE + _FRAMING_PER_BYTE * self._body.total_bytes:
            return
        self._body.set_exception(BadRequest("The body's chunks carry too little."))
        self._body.feed_eof()
        self._end_after_this()

    def _end_chunks(self, data: bytes) -> None:
        """Behind a chunked body, start with a new parser: aiohttp's puts the trailer into the next request's head.

        That cannot be done once the next head has begun; but a message ends, and no head begins, with an empty line.
        """
        self._last_bytes = heard(self._last_bytes, data)
        if not self._body.is_eof():
            return
        self._chunked = False
        if self._last_bytes.endswith(_BLANK):
            self._parser = new_parser(self, self._loop, self._limits)
            self._owed = 0
            self._keep_trailers()
        else:
            self._end_after_this()
        self._last_bytes = b""

    def _keep_trailers(self) -> None:
        """Of the body that has just ended; with trailers that cannot be read it was not a good one."""
        try:
            fields = section(self._last_bytes)
        except Refusal as refusal:
            self._body.set_exception(refusal)
            return
        if fields:
            in_use = [each for each in self._trailers if each[0].exception() is None]  # aiohttp sets one at the end
            self._trailers = [*in_use, (self._body, fields)]

    def trailers_of(self, body: StreamReader) -> Fields:
        """The trailer fields of a body that has ended; they are known as soon as it is at its end."""
        return next((fields for ended, fields in self._trailers if ended is body), [])

    def _end_after_this(self) -> None:
        """What was taken is answered, then the connection ends."""
        self._chunked = False
        self._deaf = True
        if self._messages and self._messages[-1][1] is self._body:
            message: Parsed
            message, body = self._messages[-1]
            assert not isinstance(message, _ErrInfo)
            self._messages[-1] = (last_of_connection(message), body)
        else:
            self.close()  # too late to say so

    def _notice_next_head(self, data: bytes) -> None:
        """Bytes behind a request without a body begin the next one; behind a sized body that cannot be told."""
        if self._deaf or self._upgraded or self._body is not EMPTY_PAYLOAD or data.endswith(_BLANK):
            return
        end = data.rfind(_BLANK)
        if rest := data[end + len(_BLANK) if end >= 0 else 0 :].lstrip(b"\r\n"):
            self._count_head(rest)

    def _count_head(self, piece: bytes) -> None:
        if not self._begun:
            self.keep_alive(True)  # stops aiohttp's timer for idle connections: this one is not idle now
        self._begun += piece
        if len(self._begun) > self._limits.max_header_bytes:
            self._refuse(HeadersTooLarge())
        elif self._deadline is None:
            self._wait_for_head()

    def _wait_for_head(self) -> None:
        self._deadline = self._loop.call_later(self._limits.header_timeout, self._head_is_late)

    def _stop_waiting(self) -> None:
        self._begun = b""
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _head_is_late(self) -> None:
        self._deadline = None
        if self._begun:
            self._refuse(RequestTimeout("The request head did not arrive in time."))
        else:
            self.force_close()  # it never said a word, so nobody waits for an answer

    def _refuse(self, refusal: Refusal) -> None:
        """Answer a head that is not complete as aiohttp answers one that it cannot parse, and read no more."""
        self._stop_waiting()
        self._deaf = True
        self._messages.append((_ErrInfo(refusal.status, RefusedHead(refusal), ""), EMPTY_PAYLOAD))
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,  # noqa: ARG002
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002
    ) -> web.StreamResponse:
        """A request was not parsed, or failed outside the ring. The parser's words quote the input: they go nowhere."""
        refusal = refusal_for(exc, self._limits)
        if refusal is None:
            logger.error("a request failed outside the ring of policies", exc_info=exc)
            refusal = InternalError()
        request._version = HttpVersion11  # noqa: SLF001  # aiohttp would answer in the version of what it did not parse
        if isinstance(request, EdgeRequest):
            request.version = HttpVersion11
        response = self._malformed(request, refusal)
        response.force_close()
        return response

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Judge what aiohttp parses only now, behind a declined upgrade; and let a last answer arrive."""
        parsed, tail = self._request_count, self._message_tail
        response, gone = await super().finish_response(request, resp, start_time)
        if self._request_count != parsed:
            self._judge(self._request_count - parsed, tail)
        if not gone and not response.keep_alive and self._may_hear_more(request):
            await self._linger()
        return response, gone

    def _may_hear_more(self, request: web.BaseRequest) -> bool:
        """Whether bytes may still come on a connection that ends with this request's answer.

        A caller who did not say that it ends may be sending the next request; over TLS, though, no end could be told.
        """
        if self._deaf or not request.content.is_eof():
            return True
        return request.keep_alive and self.transport is not None and self.transport.can_write_eof()

    async def _linger(self) -> None:
        """Read on until the caller has hung up: closing with bytes unread resets the answer (RFC 9112 section 9.6)."""
        self._deaf = True
        if self.transport is not None and not self.transport.is_closing():
            if self.transport.can_write_eof():
                self.transport.write_eof()
            self._resume_transport_reading()
            await asyncio.sleep(_LINGERING)  # cancelled when the connection is lost
        self.force_close()
