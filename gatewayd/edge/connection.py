"""One caller's connection. aiohttp parses and answers; the deadlines it lacks and its own error page are ours.

What is used of aiohttp's server protocol beyond its public methods, here and in the classes that this one goes on
from (`heads`, `line`), stands in `USED`, and a test holds it.
"""

import logging
from collections.abc import Callable
from typing import Any, Final

from aiohttp import web
from aiohttp.http import HttpVersion11
from aiohttp.streams import EMPTY_PAYLOAD, StreamReader
from aiohttp.web_protocol import RequestPayloadError, _ErrInfo
from aiohttp.web_server import Server

from gatewayd.build import stays_python
from gatewayd.edge.chunks import Chunks
from gatewayd.edge.heads import AwaitedHeads
from gatewayd.edge.parser import EdgeLimits, Parsed, last_of_connection, new_parser, refusal_for, speaks_http
from gatewayd.edge.plain import plain_request
from gatewayd.edge.request import EdgeRequest
from gatewayd.edge.turns import has_ended
from gatewayd.edge.whole import WholeBody
from gatewayd.errors import BadRequest, InternalError, Refusal, VersionUnsupported
from gatewayd.framing import check_line
from gatewayd.plain import LONGEST
from gatewayd.trailers import Fields

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
_BLANK: Final = b"\r\n\r\n"
_HTTP: Final = b" HTTP/"
_ORDINARY: Final = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"})
_VERSIONS: Final = ((1, 1), (1, 0))

Malformed = Callable[[web.BaseRequest, Refusal], web.StreamResponse]


@stays_python
class EdgeConnection(AwaitedHeads):
    """A request head must be complete in time; broken framing is answered as a problem document and logged."""

    __slots__ = ("_body", "_chunked", "_chunks", "_longest_plain", "_malformed", "_owed", "common")

    def __init__(self, manager: Server, *, limits: EdgeLimits, malformed: Malformed, **options: Any) -> None:
        super().__init__(manager, limits=limits, **options)
        self._longest_plain = min(LONGEST, limits.max_target)
        self._malformed = malformed
        self._body: StreamReader = EMPTY_PAYLOAD  # of the newest request
        self._chunked = False  # it is chunked, and its end was not dealt with
        self._chunks = Chunks()
        # Bytes until the next request begins, as far as that is known beyond doubt; negative for good once it is not.
        self._owed = 0
        self.common: dict[str, Any] | None = None  # with what its requests begin, once there was one

    def connection_lost(self, exc: BaseException | None) -> None:
        self.common = None  # which has this connection
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._deaf:
            return
        if not self._owed:
            if data and self._took_plain(data):
                return
        elif self._owed > 0:
            self._owed -= len(data)
        parsed, in_body = self._request_count, not has_ended(self._body)
        super().data_received(data)
        if self._request_count == parsed + 1 and not in_body and not self._begun and self._is_ordinary(data):
            return
        if self._request_count != parsed:
            said, count = self._begun + data, self._request_count - parsed
            self.stop_waiting()
            self._judge(count, said, alone=count == 1 and not in_body)
            self._notice_next_head(data)
        elif data and not in_body and not self._upgraded:
            self.count_head(data)
        elif self._chunked:
            self._count_framing(len(data))
        if self._chunked and not self._deaf:
            self._end_chunks(data)

    def _took_plain(self, data: bytes) -> bool:
        """Take a plain request that came whole, which the parser need not see; else note where the next one begins."""
        self._owed = -1
        busy = self._messages or self._begun or self._upgraded or self._force_close or self._close
        if busy or self._reading_paused or self._buffer_paused or not has_ended(self._body):
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
        self._request_count += 1
        self._messages.append((request, self._body))
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        self._go_on()
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
        self._body = body
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
                self.refuse(refusal)
                return
            self._body, self._chunked = body, bool(message.chunked)
            self._chunks.begin()

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
        worth_it = self._chunks.count(size, self._body.total_bytes)
        if worth_it or self._reading_paused:
            return
        self._body.set_exception(BadRequest("The body's chunks carry too little."))
        self._body.feed_eof()
        self._end_after_this()

    def _end_chunks(self, data: bytes) -> None:
        """Behind a chunked body, start with a new parser: aiohttp's puts the trailer into the next request's head.

        That cannot be done once the next head has begun; but a message ends, and no head begins, with an empty line.
        """
        self._chunks.hear(data)
        if not self._body.is_eof():
            return
        self._chunked = False
        if self._chunks.end(self._body):
            self._parser = new_parser(self, self._loop, self._limits)
            self._owed = 0
        else:
            self._end_after_this()

    def trailers_of(self, body: StreamReader) -> Fields:
        """The trailer fields of a body that has ended; they are known as soon as it is at its end."""
        return self._chunks.trailers_of(body)

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
            self.count_head(rest)

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
            self._deaf = True
            await self.linger()
        return response, gone

    def _may_hear_more(self, request: web.BaseRequest) -> bool:
        """Whether bytes may still come on a connection that ends with this request's answer.

        A caller who did not say that it ends may be sending the next request; over TLS, though, no end could be told.
        """
        if self._deaf or not request.content.is_eof():
            return True
        return request.keep_alive and self.transport is not None and self.transport.can_write_eof()
