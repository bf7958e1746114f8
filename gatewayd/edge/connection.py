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
from gatewayd.edge.request import EdgeRequest
from gatewayd.edge.turns import has_ended
from gatewayd.errors import BadRequest, InternalError, Refusal, VersionUnsupported
from gatewayd.framing import check_line
from gatewayd.plain import LONGEST
from gatewayd.trailers import Fields

logger = logging.getLogger(__name__)

USED: Final = (
    "_buffer_paused",
    "_loop",
    "_manager",
    "_message_tail",
    "_parser",
    "_reading_paused",
    "_request_count",
    "_resume_transport_reading",
    "_upgraded",
)
_BLANK: Final = b"\r\n\r\n"
_HTTP: Final = b" HTTP/"
_ORDINARY: Final = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"})
_VERSIONS: Final = ((1, 1), (1, 0))

Malformed = Callable[[web.BaseRequest, Refusal], web.StreamResponse]


@stays_python
class EdgeConnection(AwaitedHeads):
    """A request head must be complete in time; broken framing is answered as a problem document and logged."""

    __slots__ = ("_chunked", "_chunks", "_malformed", "common")

    def __init__(self, manager: Server, *, limits: EdgeLimits, malformed: Malformed, **options: Any) -> None:
        super().__init__(manager, limits=limits, **options)
        self.talk.longest_plain = min(LONGEST, limits.max_target)
        self._malformed = malformed
        self._chunked = False  # it is chunked, and its end was not dealt with
        self._chunks = Chunks()
        self.common: dict[str, Any] | None = None  # with what its requests begin, once there was one

    def connection_lost(self, exc: BaseException | None) -> None:
        self.common = None  # which has this connection
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        talk = self.talk
        if talk.deaf:
            return
        if talk.owed > 0:
            talk.owed -= len(data)
        elif data and not talk.owed:
            if (talk.is_waiting or self._is_clear()) and talk.take_plain(data):
                return
            talk.owed = talk.owed or -1
        parsed, in_body = self._request_count, not has_ended(talk.body)
        super().data_received(data)
        if self._request_count == parsed + 1 and not in_body and not talk.begun and self._is_ordinary(data):
            return
        if self._request_count != parsed:
            said, count = talk.begun + data, self._request_count - parsed
            self.stop_waiting()
            self._judge(count, said, alone=count == 1 and not in_body)
            self._notice_next_head(data)
        elif data and not in_body and not self._upgraded:
            self.count_head(data)
        elif self._chunked:
            self._count_framing(len(data))
        if self._chunked and not talk.deaf:
            self._end_chunks(data)

    def _is_clear(self) -> bool:
        """Whether what comes now is the beginning of a request, and no other one is to be begun before it."""
        talk = self.talk
        busy = talk.plain is not None or talk.messages or talk.begun or self._upgraded or talk.is_over or talk.closes
        return not (busy or self._reading_paused or self._buffer_paused) and has_ended(talk.body)

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
            or self.talk.deaf
            or (body is EMPTY_PAYLOAD and not data.endswith(_BLANK))
            or not data.startswith(_HTTP, len(message.method) + 1 + len(message.path))
        ):
            return False
        self.talk.be_in_time()
        self.talk.body = body
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
                self.talk.deaf = True
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
            self.talk.body, self._chunked = body, bool(message.chunked)
            self._chunks.begin()

    def _keep_messages(self, count: int) -> None:
        while len(self._messages) > count:
            self._messages.pop()

    def _break_body(self, *, queued: bool) -> None:
        """A parser error in the middle of a body is queued as a next request; who reads that body must hear of it."""
        if self.talk.body.is_eof():
            return
        if queued or self._current_request is not None:
            self.talk.body.set_exception(RequestPayloadError("broken framing"))
        self.talk.body.feed_eof()

    def _count_framing(self, size: int) -> None:
        worth_it = self._chunks.count(size, self.talk.body.total_bytes)
        if worth_it or self._reading_paused:
            return
        self.talk.body.set_exception(BadRequest("The body's chunks carry too little."))
        self.talk.body.feed_eof()
        self._end_after_this()

    def _end_chunks(self, data: bytes) -> None:
        """Behind a chunked body, start with a new parser: aiohttp's puts the trailer into the next request's head.

        That cannot be done once the next head has begun; but a message ends, and no head begins, with an empty line.
        """
        self._chunks.hear(data)
        if not self.talk.body.is_eof():
            return
        self._chunked = False
        if self._chunks.end(self.talk.body):
            self._parser = new_parser(self, self._loop, self._limits)
            self.talk.owed = 0
        else:
            self._end_after_this()

    def trailers_of(self, body: StreamReader) -> Fields:
        """The trailer fields of a body that has ended; they are known as soon as it is at its end."""
        return self._chunks.trailers_of(body)

    def _end_after_this(self) -> None:
        """What was taken is answered, then the connection ends."""
        self._chunked = False
        self.talk.deaf = True
        if self._messages and self._messages[-1][1] is self.talk.body:
            message: Parsed
            message, body = self._messages[-1]
            assert not isinstance(message, _ErrInfo)
            self._messages[-1] = (last_of_connection(message), body)
        else:
            self.close()  # too late to say so

    def _notice_next_head(self, data: bytes) -> None:
        """Bytes behind a request without a body begin the next one; behind a sized body that cannot be told."""
        if self.talk.deaf or self._upgraded or self.talk.body is not EMPTY_PAYLOAD or data.endswith(_BLANK):
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
            self.talk.deaf = True
            await self.linger()
        return response, gone

    def _may_hear_more(self, request: web.BaseRequest) -> bool:
        """Whether bytes may still come on a connection that ends with this request's answer.

        A caller who did not say that it ends may be sending the next request; over TLS, though, no end could be told.
        """
        if self.talk.deaf or not request.content.is_eof():
            return True
        return request.keep_alive and self.transport is not None and self.transport.can_write_eof()
