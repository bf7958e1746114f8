"""What becomes of a request after a 101: bytes both ways, untouched, until one side closes (RFC 6455)."""

import asyncio
from typing import Final

from aiohttp.base_protocol import BaseProtocol
from aiohttp.http import StreamWriter

from gatewayd.edge.conversation import conversation_of
from gatewayd.errors import ClientClosed, UpstreamReset
from gatewayd.exchange import Exchange
from gatewayd.incoming import Asked
from gatewayd.model import Outcome
from gatewayd.proxy.answer import AnswerHead
from gatewayd.proxy.call import Call
from gatewayd.proxy.farewell import GOING_AWAY, SERVICE_RESTART, close_frame
from gatewayd.proxy.headers import answer_message
from gatewayd.proxy.websocket import CloseSpotter
from gatewayd.sent import Sent, break_off, hang_up

_GOODBYE: Final = 1.0  # seconds that a caller has to say goodbye too


class Direction:
    """A payload parser, as aiohttp calls it: what one side sends is written to the other, with back-pressure."""

    __slots__ = ("_drain", "_open", "_source", "_tunnel", "_writer", "bytes", "sink", "spotter")

    def __init__(self, tunnel: "Tunnel", source: BaseProtocol, sink: BaseProtocol) -> None:
        self._tunnel = tunnel
        self._source = source
        self.sink = sink
        self._writer = StreamWriter(sink, asyncio.get_running_loop())
        self._drain: asyncio.Task[None] | None = None
        self._open = True
        self.spotter = CloseSpotter()
        self.bytes = 0

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        """Pass `data` on. The pair says that no protocol error was found and nothing is left over."""
        transport = self.sink.transport
        if self._open and transport is not None and not transport.is_closing():
            self.bytes += len(data)
            self.spotter.feed(data)
            transport.write(data)
            if self._tunnel.is_parting and self.spotter.seen:
                self._tunnel.ended_by(None)
            self._tunnel.touched()
            if self.sink.writing_paused:
                self._hold_back()
        return False, b""

    def feed_eof(self) -> None:
        """The source has ended, and with it the tunnel."""
        self._tunnel.ended_by(self)

    def _hold_back(self) -> None:
        """Pausing once is not enough: aiohttp resumes a source after handing over what it had kept for the parser."""
        if self._source.transport is not None:
            self._source.transport.pause_reading()
        if self._drain is None:
            self._drain = asyncio.create_task(self._go_on())

    async def _go_on(self) -> None:
        try:
            await self._writer.drain()
        except ConnectionError:
            return
        self._drain = None
        if self._source.transport is not None:
            self._source.transport.resume_reading()

    def stop(self) -> None:
        self._open = False
        if self._drain is not None:
            self._drain.cancel()


class Tunnel(Sent):
    """Bytes both ways until a side closes, or neither says anything for `idle` seconds (0: no bound)."""

    def __init__(
        self, exchange: Exchange, request: Asked, call: Call, head: AnswerHead, protocol: bytes, idle: float
    ) -> None:
        super().__init__(101, keep_alive=False)
        self._exchange = exchange
        self._request = request
        self._call = call
        self._head = head
        self._protocol = protocol
        self._idle = idle
        self._loop = asyncio.get_running_loop()
        self._ended: asyncio.Future[Direction | None] = self._loop.create_future()
        self._last = self._loop.time()
        self._watch: asyncio.TimerHandle | None = None
        self.is_parting = False
        self._up = Direction(self, request.protocol, call.protocol)
        self._down = Direction(self, call.protocol, request.protocol)

    @property
    def outcome(self) -> Outcome:
        """What came of it, once `run` has returned."""
        return Outcome.FAILED if self.is_parting else Outcome.DELIVERED

    @property
    def closing(self) -> bool:
        """Whether either side has said that it closes."""
        return self._up.spotter.seen or self._down.spotter.seen

    async def run(self) -> None:
        """Returns when the tunnel has ended.

        Raises UpstreamReset if the agent dropped it without a Close frame on either side, and ClientClosed if the
        caller was gone before it began.
        """
        self._switch()
        try:
            self._call.protocol.set_parser(self._down, None)
            self._request.protocol.set_parser(self._up)  # type: ignore[arg-type]  # it asks for no more than a parser
            self._check_idle()
            ended_by = await self._ended
            if self.is_parting:
                await self._say_goodbye()
        finally:
            self._stop()
        if ended_by is self._down and not self.closing:
            raise UpstreamReset("The agent dropped the connection.")

    def _switch(self) -> None:
        transport, head, exchange = self._request.transport, self._head, self._exchange
        if transport is None or transport.is_closing():
            raise ClientClosed
        switch = b"Connection: Upgrade\r\nUpgrade: %b\r\n" % self._protocol
        exchange.sent = True
        if (talk := conversation_of(self._request)) is not None:
            talk.has_spoken = True
        transport.write(answer_message(head, exchange.ids(), exchange.added, switch, b""))

    @property
    def can_say_goodbye(self) -> bool:
        """Whether the caller has whole frames, and neither side has ended it."""
        transport = self._request.transport
        if transport is None or transport.is_closing() or self._ended.done() or self.closing:
            return False
        return self._down.spotter.between_frames

    def part(self) -> None:
        """Let `run` close it by WebSocket's own way. Nothing more is passed on to the caller."""
        self.is_parting = True
        self._down.stop()
        self.ended_by(None)

    async def _say_goodbye(self) -> None:
        """The last word is said when the books are closed and sealed; the caller has a moment to answer."""
        self._ended = self._loop.create_future()
        await self._exchange.close_books()
        transport, agent = self._request.transport, self._call.protocol.transport
        if transport is None or transport.is_closing():
            raise ClientClosed
        transport.write(close_frame(SERVICE_RESTART))
        if agent is not None and self._up.spotter.between_frames and not self.closing:
            agent.write(close_frame(GOING_AWAY, masked=True))
        await asyncio.wait({self._ended}, timeout=_GOODBYE)

    def finish(self) -> None:
        """Close the caller's side; what was written to it still arrives."""
        self._exchange.generation.ledger.seal()
        if (transport := self._request.transport) is not None:
            hang_up(transport)

    def response(self) -> "Tunnel":
        """What aiohttp asks when it is done."""
        return self

    def break_off(self) -> None:
        super().break_off()
        break_off(self._request, reset=False)

    def touched(self) -> None:
        self._last = self._loop.time()

    def ended_by(self, direction: Direction | None) -> None:
        if not self._ended.done():
            self._ended.set_result(direction)

    def _check_idle(self) -> None:
        if not self._idle:
            return
        left = self._last + self._idle - self._loop.time()
        if left <= 0:
            self.ended_by(None)
        else:
            self._watch = self._loop.call_later(left, self._check_idle)

    def _stop(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
        self._up.stop()
        self._down.stop()
        self._exchange.bytes_in += self._up.bytes
        self._exchange.bytes_out += self._down.bytes
