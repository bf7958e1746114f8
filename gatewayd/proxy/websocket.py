"""What becomes of a request after a 101: bytes both ways, untouched, until one side closes (RFC 6455)."""

import asyncio
from typing import Final

from aiohttp import web
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http import StreamWriter

from gatewayd.errors import ClientClosed, UpstreamProtocol
from gatewayd.exchange import Exchange
from gatewayd.model import Outcome
from gatewayd.proxy.headers import answer_head
from gatewayd.proxy.upstream import Answer, Call
from gatewayd.sent import Sent, break_off

_CLOSE: Final = 0x8


def is_switched(answer: Answer, asked: str | None) -> None:
    """Raises UpstreamProtocol for a 101 that nobody asked for, or to another protocol (RFC 9110 section 15.2.2)."""
    named = [value.strip().lower() for name, value in answer.raw_headers if name.lower() == b"upgrade"]
    if asked is None or named != [asked.encode()]:
        raise UpstreamProtocol("The agent switched protocols unasked.")


class CloseSpotter:
    """Watches one direction's frames go by and notes a Close frame; it never holds a byte of them back.

    RFC 6455 section 5.2: two bytes, then 0, 2 or 8 of length, 4 of mask, then as many of payload.
    """

    __slots__ = ("_header", "_skip", "seen")

    def __init__(self) -> None:
        self.seen = False
        self._header = bytearray()
        self._skip = 0

    def feed(self, data: bytes) -> None:
        position = 0
        while position < len(data):
            if self._skip:
                step = min(self._skip, len(data) - position)
                self._skip -= step
                position += step
                continue
            self._header.append(data[position])
            position += 1
            self._read_header()

    def _read_header(self) -> None:
        header = self._header
        if len(header) < 2:
            return
        code = header[1] & 0x7F
        extended = {126: 2, 127: 8}.get(code, 0)
        if len(header) < 2 + extended:
            return
        length = int.from_bytes(header[2:], "big") if extended else code
        self._skip = length + (4 if header[1] & 0x80 else 0)
        self.seen = self.seen or header[0] & 0x0F == _CLOSE
        header.clear()


class Direction:
    """A payload parser, as aiohttp calls it: what one side sends is written to the other, with back-pressure."""

    __slots__ = ("_drain", "_source", "_tunnel", "_writer", "bytes", "spotter", "sink")

    def __init__(self, tunnel: "Tunnel", source: BaseProtocol, sink: BaseProtocol) -> None:
        self._tunnel = tunnel
        self._source = source
        self.sink = sink
        self._writer = StreamWriter(sink, asyncio.get_running_loop())
        self._drain: asyncio.Task[None] | None = None
        self.spotter = CloseSpotter()
        self.bytes = 0

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        """Pass `data` on. The pair says that no protocol error was found and nothing is left over."""
        transport = self.sink.transport
        if transport is not None and not transport.is_closing():
            self.bytes += len(data)
            self.spotter.feed(data)
            transport.write(data)
            self._tunnel.touched()
            if self.sink.writing_paused and self._drain is None:
                self._hold_back()
        return False, b""

    def feed_eof(self) -> None:
        """This side has ended, and with it the tunnel."""
        self._tunnel.ended_by(self)

    def _hold_back(self) -> None:
        if self._source.transport is not None:
            self._source.transport.pause_reading()
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
        if self._drain is not None:
            self._drain.cancel()


class Tunnel(Sent):
    """Bytes both ways until a side closes, or neither says anything for `idle` seconds (0: no bound)."""

    def __init__(self, exchange: Exchange, request: web.Request, call: Call, answer: Answer, idle: float) -> None:
        super().__init__(101, keep_alive=False)
        self._exchange = exchange
        self._request = request
        self._call = call
        self._answer = answer
        self._idle = idle
        self._loop = asyncio.get_running_loop()
        self._ended: asyncio.Future[Direction | None] = self._loop.create_future()
        self._last = self._loop.time()
        self._watch: asyncio.TimerHandle | None = None
        self._up = Direction(self, request.protocol, call.protocol)
        self._down = Direction(self, call.protocol, request.protocol)

    async def run(self) -> None:
        """Returns when the tunnel has ended. Raises ClientClosed if the caller was gone before it began."""
        transport = self._request.transport
        if transport is None:
            raise ClientClosed
        switch = [(b"Connection", b"Upgrade"), (b"Upgrade", self._exchange.head.upgrade.encode())]  # type: ignore[union-attr]
        answer = self._answer
        self._exchange.sent = True
        transport.write(answer_head(101, answer.reason, answer.raw_headers, switch, self._exchange.fields))
        try:
            self._call.protocol.set_parser(self._down, None)
            self._request.protocol.set_parser(self._up)  # type: ignore[arg-type]  # it asks for no more than a parser
            self._check_idle()
            await self._ended
        finally:
            self._stop()

    def touched(self) -> None:
        self._last = self._loop.time()

    def ended_by(self, direction: Direction | None) -> None:
        if not self._ended.done():
            self._ended.set_result(direction)

    @property
    def outcome(self) -> Outcome:
        """An agent that drops the connection without a Close frame on either side has broken off."""
        abrupt = self._ended.done() and self._ended.result() is self._down and not self.closing
        return Outcome.FAILED if abrupt else Outcome.DELIVERED

    @property
    def closing(self) -> bool:
        """Whether either side has said that it closes."""
        return self._up.spotter.seen or self._down.spotter.seen

    def break_off(self) -> None:
        super().break_off()
        break_off(self._request, reset=False)

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
        if (transport := self._request.transport) is not None:
            transport.close()
