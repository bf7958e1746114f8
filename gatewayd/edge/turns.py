"""The requests of one connection, one after the other: aiohttp's own loop, without what each request pays for it.

aiohttp starts a task with a context of its own for every request, since its handlers may be anybody's. Ours is one
ring that keeps nothing in either. What is used of aiohttp's protocol stands in `USED`, and a test holds it.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final, cast

from aiohttp import web, web_protocol
from aiohttp.http import StreamWriter
from aiohttp.streams import EMPTY_PAYLOAD, StreamReader
from aiohttp.web_exceptions import HTTPException
from aiohttp.web_protocol import PayloadAccessError, _ErrInfo
from aiohttp.web_server import Server

from gatewayd.build import stays_python
from gatewayd.course import Ring
from gatewayd.edge.conversation import Conversation
from gatewayd.edge.parser import Parsed
from gatewayd.edge.request import address
from gatewayd.edge.whole import WholeBody, stream_of
from gatewayd.incoming import Asked, Caller, Incoming, Maker
from gatewayd.outbox import Outbox

logger = logging.getLogger(__name__)

USED: Final = (
    "_buffer_paused",
    "_keepalive_timeout",
    "_lingering_time",
    "_loop",
    "_make_error_handler",
    "_msg_queue_resume_size",
    "_parser",
    "_process_keepalive",
    "_request_factory",
    "_request_handler",
    "_resume_reading_if_drained",
    "_task_handler",
    "_upgraded",
)
_READ_TOO_LATE: Final = PayloadAccessError()
_aiohttp: Any = web_protocol
_ERROR: Final[Parsed] = _aiohttp.ERROR

Handler = Callable[[Asked], Awaitable[web.StreamResponse]]


def has_ended(body: StreamReader) -> bool:
    """Whether all of it has come: a function of Python's says so, which nearly every body need not be asked."""
    return isinstance(body, WholeBody) or body.is_eof()


def _was_sent(response: web.StreamResponse) -> bool:
    """Whether it is a `Sent`; asking for its class would go through the register of an abstract one each time."""
    return getattr(response, "_reusable", None) is not None


def _whole(asked: Asked) -> web.Request:
    return asked.whole() if isinstance(asked, Incoming) else asked


def kept(name: str) -> Any:
    """A field of aiohttp's that stands in the connection's conversation, under that name."""

    def find(edge: "Turns") -> Any:
        return getattr(edge.talk, name)

    def keep(edge: "Turns", value: Any) -> None:
        setattr(edge.talk, name, value)

    return property(find, keep)


@stays_python
class Turns(web.RequestHandler):
    """Takes requests as they are parsed, has each answered, and waits for the next while the connection lasts."""

    __slots__ = ("_outbox", "_ring_of", "talk")

    _close = kept("closes")
    _current_request = kept("asked")
    _force_close = kept("is_over")
    _handler_waiter = kept("leaver")
    _keepalive = kept("keeps")
    _keepalive_handle = kept("idle_timer")
    _messages = kept("messages")
    _next_keepalive_close_time = kept("idle_until")
    _paused = kept("is_behind")
    _request_in_progress = kept("is_busy")
    _waiter = kept("waiter")
    transport = kept("transport")

    def __init__(
        self, manager: Server, *, outbox: Outbox, ring_of: web.Application | None = None, **options: Any
    ) -> None:
        """`ring_of` is the application whose ring the handler is; without, it gets requests of aiohttp's."""
        self.talk = Conversation(options["loop"], outbox)
        super().__init__(manager, **options)
        self._outbox = outbox
        self._ring_of = ring_of

    async def start(self) -> None:
        """The connection's one task, from its first byte to its last answer."""
        # Only aiohttp's own way to cancel it; an eager task runs before it has a name here.
        task = self._task_handler or asyncio.current_task()
        assert task is not None
        talk = self.talk
        ring: Any = self._request_handler
        talk.protocol, talk.task = self, task
        talk.idle_for, talk.look = self._keepalive_timeout, self._process_keepalive
        if self._ring_of is not None:
            make = cast("Maker", self._request_factory)
            talk.caller = Caller(self._ring_of, make, stream_of, address(self.peername), self.ssl_context)
            talk.ring = ring if isinstance(ring, Ring) else None
        try:
            await self._serve()
        finally:
            if talk.asked is not None:
                talk.end()
            talk.protocol = talk.task = talk.ring = talk.look = None  # which have it
        if not talk.is_over:
            self._task_handler = None
            if talk.transport is not None:
                self._outbox.flush()
                talk.transport.close()

    async def _serve(self) -> None:
        """Take turns until no other request may follow."""
        talk = self.talk
        try:
            while not talk.is_over:
                if talk.plain is None and not talk.messages:
                    await self._wait()
                    if talk.asked is None and self._is_done():
                        return  # behind an answer that needed no task
                if not await self._take_turn() or talk.closes or talk.is_over:
                    return
                talk.be_idle()
        except Exception:
            logger.exception("a connection was closed by an error of ours")
            self.force_close()
        except BaseException:
            self.force_close()
            raise

    async def _wait(self) -> None:
        """Until there is a request, of which one may have come to need the task. Others come and go meanwhile."""
        talk = self.talk
        talk.bell.arm()
        try:
            await talk.bell
        except BaseException as error:
            if talk.course is None:
                raise
            talk.course.fail(error)

    async def _take_turn(self) -> bool:
        """Answer a request; whether another one may follow. What it holds is gone with it: who idles holds nothing."""
        talk = self.talk
        message: Parsed = None
        payload: StreamReader = EMPTY_PAYLOAD
        plain = True
        course: Awaitable[web.StreamResponse] | None = talk.course
        asked = talk.asked
        if course is None or asked is None:
            handler = cast("Handler", self._request_handler)
            asked = talk.next_plain()
            if asked is None:
                plain = False
                message, payload = self._next()
                asked, handler = self._asked(message, payload)
            talk.begin(asked)
        try:
            try:
                response = await (course or handler(asked))
            except HTTPException as answer:
                response = answer
            except Exception as error:
                if talk.has_spoken:
                    raise
                response = self.handle_error(_whole(asked), 500, error)
            gone, keeps = False, response.keep_alive
            if not keeps or talk.is_behind or not _was_sent(response) or (not plain and self._upgraded):
                response, gone = await self.finish_response(_whole(asked), response, None)
                keeps = response.keep_alive
            # else it is on its way, and nothing is left to do
        finally:
            talk.end()
        if gone:
            return False
        talk.keeps = bool(keeps)
        if not plain and (message.chunked or not has_ended(payload)):
            await self._end_body(message, payload)
        return talk.keeps

    def _is_done(self) -> bool:
        """Whether no answer is to come any more. Who asked before it was to end is answered, as long as it is there."""
        talk = self.talk
        return talk.is_over or (talk.closes and talk.plain is None and not talk.messages)

    def _next(self) -> tuple[Parsed, StreamReader]:
        """The next request's head and body."""
        talk = self.talk
        if (plain := talk.plain) is not None:
            talk.plain = None
            return plain, stream_of(plain.rest, self)
        found: tuple[Parsed, StreamReader] = talk.messages.popleft()
        if self._parser is not None:
            self._parser.message_consumed()
        if self._buffer_paused and len(talk.messages) <= self._msg_queue_resume_size:
            self._resume_reading_if_drained()
        return found

    def _asked(self, message: Parsed, content: StreamReader) -> tuple[Asked, Handler]:
        """The request, and who answers it."""
        talk = self.talk
        task = talk.task
        assert task is not None
        if isinstance(message, _ErrInfo):
            answers = cast("Handler", self._make_error_handler(message))
            return self._make(_ERROR, content, task), answers
        handler = cast("Handler", self._request_handler)
        if talk.caller is None:
            return self._make(message, content, task), handler
        method, path, version, stays = message.method, message.path, message.version, not message.should_close
        asked = Incoming(talk.caller, message, content, b"", self, talk, task, method, path, version, stays, None)
        return asked, handler

    def _make(self, message: Parsed, content: StreamReader, task: "asyncio.Task[None]") -> web.Request:
        """The request as aiohttp has it; ours make a writer for whoever asks, which is nobody where answers pass."""
        factory = self._request_factory
        assert factory is not None
        writer: Any = None if hasattr(factory, "makes_writer") else StreamWriter(self, self._loop)
        return cast("web.Request", factory(message, content, self, writer, task))

    async def _end_body(self, message: Parsed, payload: StreamReader) -> None:
        """Read what nobody wanted of it, for a while; a connection with a rest of a body on it cannot go on."""
        if not payload.is_eof():
            if not self._force_close and self._lingering_time:
                await self._read_rest(payload)
            if not payload.is_eof() and not self._force_close:
                self.close()
        if message.chunked:
            payload.set_exception(_READ_TOO_LATE)

    async def _read_rest(self, payload: StreamReader) -> None:
        try:
            async with asyncio.timeout(self._lingering_time):
                while not payload.is_eof():
                    await payload.readany()
        except TimeoutError:
            return
