"""The agent's answer on its way to the caller: head as it came, body as it comes, one write per message if small."""

import asyncio
from typing import Final

from aiohttp import web
from aiohttp.http import HttpVersion11

from gatewayd.errors import ClientClosed
from gatewayd.exchange import Exchange
from gatewayd.proxy.headers import answer_head
from gatewayd.proxy.upstream import Answer, Interim
from gatewayd.sent import Sent, break_off

_HOLD_HEAD_BELOW: Final = 64 * 1024


class Relay(Sent):
    """Writes one answer to one caller and counts it. Raises ClientClosed once the caller is gone."""

    def __init__(self, exchange: Exchange, request: web.Request, answer: Answer, *, reusable: bool) -> None:
        modern = request.version >= HttpVersion11
        self._chunked = answer.has_body and answer.length is None and modern
        self._until_close = answer.has_body and answer.length is None and not modern
        keep_alive = reusable and request.keep_alive and not self._until_close
        super().__init__(answer.status, keep_alive=keep_alive)
        self._exchange = exchange
        self._request = request
        self._pending = answer_head(
            answer.status, answer.reason, answer.raw_headers, self._framing(answer, request), exchange.fields
        )
        # A small answer of known size may wait for its first bytes, to leave in one write with them.
        self.may_hold_head = answer.has_body and answer.length is not None and answer.length <= _HOLD_HEAD_BELOW

    def _framing(self, answer: Answer, request: web.Request) -> list[tuple[bytes, bytes]]:
        fields = []
        if answer.length is not None and answer.status != 204:  # RFC 9110 section 8.6
            fields.append((b"Content-Length", b"%d" % answer.length))
        elif self._chunked:
            fields.append((b"Transfer-Encoding", b"chunked"))
        if not self.keep_alive:
            fields.append((b"Connection", b"close"))
        elif request.version < HttpVersion11:
            fields.append((b"Connection", b"keep-alive"))
        return fields

    def start(self) -> None:
        """Send the head without waiting for a body."""
        if self._pending:
            self._write(b"")

    async def send(self, chunk: bytes, patience: float) -> None:
        """Send a piece of the body, with the head before it if that still waits; returns when there is room again.

        A caller who takes nothing for `patience` seconds (0: for ever) is given up.
        """
        self._exchange.bytes_out += len(chunk)
        self._write(b"%x\r\n%b\r\n" % (len(chunk), chunk) if self._chunked else chunk)
        if self._request.protocol.writing_paused:
            await self._wait_for_room(patience)

    async def _wait_for_room(self, patience: float) -> None:
        try:
            async with asyncio.timeout(patience or None):
                await self._request.writer.drain()
        except (TimeoutError, ConnectionError):
            raise ClientClosed from None

    def finish(self, chunk: bytes = b"") -> None:
        """Send the last piece and the end of the message, in one write with all that still waits."""
        if self._chunked:
            chunk = b"%x\r\n%b\r\n0\r\n\r\n" % (len(chunk), chunk) if chunk else b"0\r\n\r\n"
        if chunk or self._pending:
            self._write(chunk)

    def break_off(self) -> None:
        """The rest will not come, and the caller must be able to see that."""
        self.force_close()
        break_off(self._request, reset=self._until_close)

    def _write(self, data: bytes) -> None:
        transport = self._request.transport
        if transport is None or transport.is_closing():
            raise ClientClosed
        if self._pending:
            self._exchange.sent = True
            data, self._pending = self._pending + data, b""
        transport.write(data)


def send_interim(request: web.Request, interim: Interim) -> None:
    """Pass a 1xx on to a caller who can read it; 100 is between us and whoever waits for it (RFC 9110 section 15.2)."""
    transport = request.transport
    if request.version >= HttpVersion11 and interim.status != 100 and transport is not None:
        transport.write(answer_head(interim.status, interim.reason, interim.raw_headers, (), ()))
