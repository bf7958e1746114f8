"""The agent's answer on its way to the caller: head as it came, body as it comes, one write per message if small."""

import asyncio
from email.utils import formatdate
from typing import Final

from aiohttp import web
from aiohttp.http import HttpVersion11

from gatewayd.errors import ClientClosed
from gatewayd.exchange import Exchange
from gatewayd.model import Outcome
from gatewayd.proxy.answer import AnswerHead
from gatewayd.proxy.body import Body
from gatewayd.proxy.headers import answer_head, connection_named
from gatewayd.sent import Sent, break_off
from gatewayd.trailers import announcement, last_chunk

_HOLD_HEAD_BELOW: Final = 64 * 1024


class Relay(Sent):
    """Passes one answer on to one caller: `run` all but its last piece, `finish` that one, else `break_off`."""

    def __init__(
        self, exchange: Exchange, request: web.Request, head: AnswerHead, body: Body, *, idle: float, reusable: bool
    ) -> None:
        modern = request.version >= HttpVersion11
        self._in_chunks = head.has_body and head.length is None and modern
        self._until_close = head.has_body and head.length is None and not modern
        super().__init__(head.status, keep_alive=reusable and request.keep_alive and not self._until_close)
        self._exchange = exchange
        self._request = request
        self._source = body
        self._idle = idle
        self._last = b""
        self._end = b""
        self._fields = head.raw_headers
        self._pending = answer_head(
            head.status, head.reason, head.raw_headers, self._framing(head, request), exchange.fields
        )
        # A small answer of known size may wait for its first bytes, to leave in one write with them.
        self._may_wait = head.length is not None and head.length <= _HOLD_HEAD_BELOW

    def _framing(self, head: AnswerHead, request: web.Request) -> list[tuple[bytes, bytes]]:
        fields = []
        if head.length is not None and head.status != 204:  # RFC 9110 section 8.6
            fields.append((b"Content-Length", b"%d" % head.length))
        elif self._in_chunks:
            fields.append((b"Transfer-Encoding", b"chunked"))
            if announced := [value for name, value in head.raw_headers if name.lower() == b"trailer"]:
                fields += announcement(announced, connection_named(head.raw_headers))
        if not any(name.lower() == b"date" for name, _ in head.raw_headers):  # RFC 9110 section 6.6.1
            fields.append((b"Date", formatdate(self._exchange.clock.utc(), usegmt=True).encode()))
        if not self.keep_alive:
            fields.append((b"Connection", b"close"))
        elif request.version < HttpVersion11:
            fields.append((b"Connection", b"keep-alive"))
        return fields

    @property
    def outcome(self) -> Outcome:
        """What came of it, once `run` has returned."""
        return Outcome.DELIVERED if self.status < 500 else Outcome.FAILED

    async def run(self) -> None:
        """Pass on all but the last piece. Raises what the body raises, and ClientClosed once the caller is gone."""
        self._last = self._source.take() if self._source.is_whole else await self._stream()
        self._exchange.bytes_out += len(self._last)
        if self._in_chunks:
            trailers = self._source.trailers()
            self._end = last_chunk(trailers, connection_named(self._fields) if trailers else ())

    async def _stream(self) -> bytes:
        source = self._source
        if not self._may_wait:
            self._write(b"")
        while (chunk := await source.read(self._idle)) and not source.at_end:
            await self._send(chunk)
        return chunk

    async def _send(self, chunk: bytes) -> None:
        """Send a piece, with the head before it if that still waits; returns when there is room again.

        A caller who takes nothing for `idle` seconds (0: for ever) is given up.
        """
        self._exchange.bytes_out += len(chunk)
        self._write(b"%x\r\n%b\r\n" % (len(chunk), chunk) if self._in_chunks else chunk)
        if self._request.protocol.writing_paused and not await self._has_room():
            raise ClientClosed

    async def _has_room(self) -> bool:
        """Wait until the caller has taken most of what was written; whether it did."""
        try:
            async with asyncio.timeout(self._idle or None):
                await self._request.writer.drain()
        except (TimeoutError, ConnectionError):
            return False
        return True

    async def write_eof(self, data: bytes = b"") -> None:  # noqa: ARG002
        """The next request of this connection waits until this answer was taken, or answers would pile up here."""
        if self._request.protocol.writing_paused and not await self._has_room():
            break_off(self._request, reset=True)

    def finish(self) -> None:
        """Send the last piece and the end of the message, in one write with all that still waits.

        The books are closed by now, so a caller who left meanwhile changes nothing.
        """
        chunk = self._last
        if self._in_chunks:
            chunk = b"%x\r\n%b\r\n%b" % (len(chunk), chunk, self._end) if chunk else self._end
        transport = self._request.transport
        if (chunk or self._pending) and transport is not None and not transport.is_closing():
            self._write(chunk)

    def break_off(self) -> None:
        """The rest will not come, and the caller must be able to see that."""
        super().break_off()
        break_off(self._request, reset=self._until_close)

    def _write(self, data: bytes) -> None:
        transport = self._request.transport
        if transport is None or transport.is_closing():
            raise ClientClosed
        if self._pending:
            self._exchange.sent = True
            data, self._pending = self._pending + data, b""
        transport.write(data)


def send_interim(request: web.Request, head: AnswerHead) -> None:
    """Pass a 1xx on to a caller who can read it; 100 is between us and whoever waits for it (RFC 9110 section 15.2)."""
    transport = request.transport
    if request.version >= HttpVersion11 and head.status != 100 and transport is not None:
        transport.write(answer_head(head.status, head.reason, head.raw_headers, (), ()))
