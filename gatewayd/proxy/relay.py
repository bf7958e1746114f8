"""The agent's answer on its way to the caller: head as it came, body as it comes, one write per message if small."""

import asyncio
from email.utils import formatdate
from typing import Final, cast

from aiohttp import web
from aiohttp.http import HttpVersion11

from gatewayd.course import OnItsWay
from gatewayd.edge.conversation import conversation_of
from gatewayd.errors import ClientClosed
from gatewayd.exchange import Exchange
from gatewayd.incoming import Asked, Incoming
from gatewayd.model import Outcome
from gatewayd.proxy.answer import TRAILER, AnswerHead
from gatewayd.proxy.body import Body
from gatewayd.proxy.farewell import RETRY_EVENT, is_between_events
from gatewayd.proxy.headers import answer_message
from gatewayd.proxy.whole import Whole
from gatewayd.sent import break_off
from gatewayd.trailers import announcement, last_chunk

_HOLD_HEAD_BELOW: Final = 64 * 1024


class Relay(OnItsWay):
    """Passes one answer on to one caller: `run` all but its last piece, `finish` that one, else `break_off`.

    At the end it is what is told to aiohttp of it, its `response`.
    """

    __slots__ = (
        "_end",
        "_exchange",
        "_framing",
        "_head",
        "_idle",
        "_in_chunks",
        "_is_pending",
        "_last",
        "_may_wait",
        "_own",
        "_protocol",
        "_request",
        "_source",
        "_talk",
        "_until_close",
    )

    def __init__(
        self,
        exchange: Exchange,
        request: Asked,
        head: AnswerHead,
        body: Body | Whole,
        idle: float,
        reusable: bool,  # keywords would cost each answer a dictionary
    ) -> None:
        modern = _is_modern(request)
        unsized = head.has_body and head.length is None
        self._in_chunks = unsized and modern
        self._until_close = unsized and not modern
        stays: bool = reusable and request.keep_alive and not self._until_close
        super().__init__(head.status, stays)
        self._last = b""
        self._end = b""
        self._exchange = exchange
        self._request = request
        self._protocol = request.protocol
        self._talk = conversation_of(request)
        self._source = body
        self._idle = idle
        self._head = head
        self._own = exchange.added
        self._framing = head.sized
        if self._in_chunks or not (stays and modern and head.is_dated):
            self._frame(stays, modern)
        self._is_pending = True  # the head has not gone out
        # A small answer of known size may wait for its first bytes, to leave in one write with them.
        self._may_wait = head.length is not None and head.length <= _HOLD_HEAD_BELOW

    def _frame(self, stays: bool, modern: bool) -> None:
        """What our side says besides the length: how a body is framed, the moment, what becomes of the connection."""
        framing, section = self._framing, self._head.section
        if self._in_chunks:
            announced = announcement(section.named.get(TRAILER, ()), section.hops)
            framing = b"".join([b"Transfer-Encoding: chunked\r\n", *[b"%b: %b\r\n" % each for each in announced]])
        if not self._head.is_dated:  # RFC 9110 section 6.6.1
            framing += b"Date: %b\r\n" % formatdate(self._exchange.clock.utc(), usegmt=True).encode()
        if not stays:
            framing += b"Connection: close\r\n"
        elif not modern:
            framing += b"Connection: keep-alive\r\n"
        self._framing = framing

    @property
    def outcome(self) -> Outcome:
        """What came of it, once `run` has returned."""
        return Outcome.DELIVERED if self.status < 500 else Outcome.FAILED

    async def run(self) -> None:
        """Pass on all but the last piece. Raises what the body raises, and ClientClosed once the caller is gone."""
        if not self.pass_whole():
            self._end_with(await self._stream())

    def pass_whole(self) -> bool:
        """As `run`, of a body that has come; whether it had."""
        if not self._source.is_whole:
            return False
        self._end_with(self._source.take())
        return True

    def _end_with(self, last: bytes) -> None:
        self._last = last
        self._exchange.bytes_out += len(last)
        if self._in_chunks:
            trailers = self._source.trailers()
            self._end = last_chunk(trailers, self._head.section.hops)

    async def _stream(self) -> bytes:
        source = self._source
        if not self._may_wait:
            self._write(b"")
        while (chunk := await source.read(self._idle)) and not source.at_end:
            if (cut := self._exchange.cut) is not None:
                raise cut  # between two events, which what has come since might not be
            await self._send(chunk)
        return chunk

    async def _send(self, chunk: bytes) -> None:
        """Send a piece, with the head before it if that still waits; returns when there is room again.

        A caller who takes nothing for `idle` seconds (0: for ever) is given up.
        """
        self._exchange.bytes_out += len(chunk)
        self._last = chunk
        self._write(b"%x\r\n%b\r\n" % (len(chunk), chunk) if self._in_chunks else chunk)
        if self._protocol.writing_paused and not await self._has_room():
            raise ClientClosed

    async def _has_room(self) -> bool:
        """Wait until the caller has taken most of what was written; whether it did."""
        try:
            async with asyncio.timeout(self._idle or None):
                await self._request.writer.drain()
        except TimeoutError:
            return not self._protocol.writing_paused  # a loop that stood still hears at once of both
        except ConnectionError:
            return False
        return True

    def finish(self) -> None:
        """Send the last piece and the end of the message, in one write with all that still waits.

        The books are closed by now, so a caller who left meanwhile changes nothing; they are sealed before it leaves.
        """
        chunk = self._last
        if self._in_chunks:
            chunk = b"%x\r\n%b\r\n%b" % (len(chunk), chunk, self._end) if chunk else self._end
        talk = self._talk
        transport = talk.transport if talk is not None else self._protocol.transport
        books = self._exchange.generation.ledger
        if not (chunk or self._is_pending) or transport is None or transport.is_closing():
            books.seal()  # there may be an end that is no byte: that of the connection
            return
        if self._is_pending and self.keep_alive and talk is not None:
            self._exchange.leaves = talk.say(self._with_head(chunk), books)
        else:
            books.seal()
            self._write(chunk)

    @property
    def can_say_goodbye(self) -> bool:
        """Whether these are server-sent events in the clear, and the caller has whole ones."""
        transport = self._protocol.transport
        if not self._in_chunks or self._is_pending or transport is None or transport.is_closing():
            return False
        return is_between_events(self._head.section.fields, self._last)

    def say_goodbye(self) -> None:
        """End server-sent events, with the time to wait before coming again; else it breaks off.

        The answer looks whole by that, so it is said as `finish` is: when the books are closed and sealed.
        """
        transport = self._protocol.transport
        if transport is not None and self.can_say_goodbye:
            transport.write(b"%x\r\n%b\r\n0\r\n\r\n" % (len(RETRY_EVENT), RETRY_EVENT))
        self.break_off()

    def break_off(self) -> None:
        """The rest will not come, and the caller must be able to see that."""
        self.keep_alive = False
        break_off(self._request, reset=self._until_close)

    def response(self) -> web.StreamResponse:
        """Itself, which has all that a connection asks of an answer that is on its way (`Sent`)."""
        return cast("web.StreamResponse", self)

    _reusable = True
    """By which `Sent` is known, whatever it says of the connection in `keep_alive`."""

    def force_close(self) -> None:
        """No other request follows."""
        self.keep_alive = False

    async def prepare(self, request: web.BaseRequest) -> None:
        """The head is on its way."""

    async def write_eof(self, data: bytes = b"") -> None:  # noqa: ARG002
        """The body is on its way; the next request waits until it was taken."""
        await self.be_taken()

    async def be_taken(self) -> None:
        """The next request of this connection waits until this answer was taken, or answers would pile up here."""
        if self._protocol.writing_paused and not await self._has_room():
            break_off(self._request, reset=True)

    def _write(self, data: bytes) -> None:
        transport = self._protocol.transport
        if transport is None or transport.is_closing():
            raise ClientClosed
        transport.write(self._with_head(data) if self._is_pending else data)

    def _with_head(self, data: bytes) -> bytes:
        """What is to be written, with the head before it, which goes out now."""
        exchange = self._exchange
        exchange.sent = True
        if self._talk is not None:
            self._talk.has_spoken = True
        self._is_pending = False
        return answer_message(self._head, exchange.ids(), self._own, self._framing, data)


def _is_modern(request: Asked) -> bool:
    """Whether it came by HTTP/1.1. A plain one did, of which no tuple need be asked."""
    if isinstance(request, Incoming) and request.plain_head is not None:
        return True
    return bool(request.version >= HttpVersion11)


def send_interim(request: Asked, head: AnswerHead) -> None:
    """Pass a 1xx on to a caller who can read it; 100 is between us and whoever waits for it (RFC 9110 section 15.2)."""
    transport = request.transport
    if request.version >= HttpVersion11 and head.status != 100 and transport is not None:
        transport.write(answer_message(head, b"", "", b"", b""))
