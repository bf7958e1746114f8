"""The requests of one connection, one after the other: aiohttp's own loop, without what each request pays for it.

aiohttp starts a task with a context of its own for every request, since its handlers may be anybody's. Ours is one
ring that keeps nothing in either. What is used of aiohttp's protocol stands in `USED`, and a test holds it.
"""

import asyncio
import logging
from typing import Any, Final, cast

from aiohttp import web, web_protocol
from aiohttp.http import StreamWriter
from aiohttp.streams import StreamReader
from aiohttp.web_exceptions import HTTPException
from aiohttp.web_protocol import PayloadAccessError, _ErrInfo
from aiohttp.web_server import Server

from gatewayd.bell import Bell
from gatewayd.build import stays_python
from gatewayd.edge.parser import Parsed
from gatewayd.edge.plain import PlainRequest
from gatewayd.edge.request import address
from gatewayd.edge.whole import WholeBody
from gatewayd.incoming import Asked, Caller, Incoming, Maker
from gatewayd.outbox import Outbox

logger = logging.getLogger(__name__)

USED: Final = (
    "_buffer_paused",
    "_close",
    "_current_request",
    "_force_close",
    "_handler_waiter",
    "_keepalive",
    "_keepalive_handle",
    "_keepalive_timeout",
    "_lingering_time",
    "_loop",
    "_make_error_handler",
    "_manager",
    "_messages",
    "_msg_queue_resume_size",
    "_next_keepalive_close_time",
    "_parser",
    "_paused",
    "_process_keepalive",
    "_request_factory",
    "_request_handler",
    "_request_in_progress",
    "_resume_reading_if_drained",
    "_task_handler",
    "_upgraded",
    "_waiter",
)
_READ_TOO_LATE: Final = PayloadAccessError()
_aiohttp: Any = web_protocol
_ERROR: Final[Parsed] = _aiohttp.ERROR


def has_ended(body: StreamReader) -> bool:
    """Whether all of it has come: a function of Python's says so, which nearly every body need not be asked."""
    return isinstance(body, WholeBody) or body.is_eof()


def _was_sent(response: web.StreamResponse) -> bool:
    """Whether it is a `Sent`; asking for its class would go through the register of an abstract one each time."""
    return getattr(response, "_reusable", None) is not None


def _whole(asked: Asked) -> web.Request:
    return asked.whole() if isinstance(asked, Incoming) else asked


def _let_go(asked: Asked) -> None:
    """It was answered; its task and it would keep each other."""
    if isinstance(asked, Incoming):
        asked.let_go()
    else:
        asked._task = None  # type: ignore[assignment]  # noqa: SLF001


@stays_python
class Turns(web.RequestHandler):
    """Takes requests as they are parsed, has each answered, and waits for the next while the connection lasts."""

    __slots__ = ("_bell", "_caller", "_outbox", "_ring_of", "_said_in")

    def __init__(
        self, manager: Server, *, outbox: Outbox, ring_of: web.Application | None = None, **options: Any
    ) -> None:
        """`ring_of` is the application whose ring the handler is; without, it gets requests of aiohttp's."""
        super().__init__(manager, **options)
        self._bell = Bell(self._loop)
        self._outbox = outbox
        self._said_in = -1  # the outbox's round in which its last answer was put there
        self._ring_of = ring_of
        self._caller: Caller | None = None

    def say(self, answer: bytes) -> None:
        """Write a whole answer, which ends no connection, with whatever else leaves in this turn of the loop."""
        transport = self.transport
        if transport is None:
            return
        if self._messages:
            transport.write(answer)  # the next one is begun at once, and may be written by anybody
        else:
            self._said_in = self._outbox.round
            self._outbox.put(transport, answer)

    def _go_on(self) -> None:
        """A request has come: if one is waited for, it is begun now. Nothing may be done behind this.

        It writes behind the answer before it, which may not have left yet.
        """
        if self._said_in == self._outbox.round:
            self._outbox.flush()
        self._bell.ring()

    async def start(self) -> None:  # noqa: C901  # every request would pay for each step that is a call
        """The connection's one task, from its first byte to its last answer."""
        # Only aiohttp's own way to cancel it; an eager task runs before it has a name here.
        task = self._task_handler or asyncio.current_task()
        assert task is not None
        loop, bell, messages = self._loop, self._bell, self._messages
        while not self._force_close:
            if not messages:
                bell.arm()
                self._waiter = cast("asyncio.Future[None]", bell)
                try:
                    await bell
                finally:
                    self._waiter = None
            message: Parsed
            message, payload = messages.popleft()
            if self._parser is not None and not isinstance(message, PlainRequest):
                self._parser.message_consumed()
            if self._buffer_paused and len(messages) <= self._msg_queue_resume_size:
                self._resume_reading_if_drained()
            try:
                if not await self._turn(message, payload, task):
                    break
            except Exception:
                logger.exception("a connection was closed by an error of ours")
                self.force_close()
            except BaseException:
                self.force_close()
                raise
            if not self._keepalive or self._close or self._force_close:
                break
            # One timer serves all requests of a connection.
            self._next_keepalive_close_time = closes = loop.time() + self._keepalive_timeout
            if self._keepalive_handle is None:
                self._keepalive_handle = loop.call_at(closes, self._process_keepalive)
        if not self._force_close:
            self._task_handler = None
            if self.transport is not None:
                self._outbox.flush()
                self.transport.close()

    async def _turn(self, message: Parsed, payload: StreamReader, task: "asyncio.Task[None]") -> bool:
        """Have one request answered; whether the caller was there to the end."""
        manager, handler = self._manager, self._request_handler
        assert manager is not None
        assert handler is not None
        manager.requests_count += 1
        if isinstance(message, _ErrInfo):
            handler = self._make_error_handler(message)
            message = _ERROR
        asked: Asked
        if self._ring_of is None or message is _ERROR:
            asked = self._make(message, payload, task)
        else:
            asked = self._incoming(message, payload, task)
        self._request_in_progress = True
        self._outbox.speakers += 1
        self._current_request = cast("web.Request", asked)
        try:
            try:
                response = await handler(cast("web.Request", asked))
            except HTTPException as answer:
                response = answer
            except Exception as error:
                response = self.handle_error(_whole(asked), 500, error)
            finally:
                self._current_request = None
            if (keeps := response.keep_alive) and _was_sent(response) and not (self._upgraded or self._paused):
                gone = False  # it is on its way, and nothing is left to do
            else:
                response, gone = await self.finish_response(_whole(asked), response, None)
                keeps = response.keep_alive
        finally:
            self._request_in_progress = False
            self._outbox.speakers -= 1
            _let_go(asked)
            if self._handler_waiter is not None:
                self._handler_waiter.set_result(None)
        if gone:
            return False
        self._keepalive = bool(keeps)
        if message.chunked or not has_ended(payload):
            await self._end_body(message, payload)
        return True

    def _incoming(self, message: Parsed, content: StreamReader, task: "asyncio.Task[None]") -> Incoming:
        """The request as the ring takes it."""
        caller = self._caller or self._be_caller()
        if isinstance(message, PlainRequest):
            method, path, version, stays = message.method, message.path, message.version, True
            return Incoming(caller, message, content, self, task, method, path, version, stays, message.head)
        method, path, version, stays = message.method, message.path, message.version, not message.should_close
        return Incoming(caller, message, content, self, task, method, path, version, stays, None)

    def _be_caller(self) -> Caller:
        """What its requests have in common is known once there is one."""
        assert self._ring_of is not None
        make = cast("Maker", self._request_factory)
        self._caller = found = Caller(self._ring_of, make, address(self.peername), self.ssl_context)
        return found

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
