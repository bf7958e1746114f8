"""The caller's body on its way to the agent, piece by piece, as fast as both sides allow."""

import asyncio

from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.web_protocol import RequestPayloadError

from gatewayd.errors import (
    BadRequest,
    BodyTooLarge,
    ClientClosed,
    Refusal,
    RequestTimeout,
    UpstreamReset,
    UpstreamTimeout,
)
from gatewayd.exchange import Exchange
from gatewayd.incoming import Asked
from gatewayd.proxy.call import Call, StaleConnectionError
from gatewayd.proxy.rule import Forwarding
from gatewayd.trailers import Trailed, last_chunk


class Upload:
    """Pumps a body that was not complete when its request was forwarded, in a task of its own.

    When all of it has gone, the agent's time for an answer begins. When it will not go on, the call fails with the
    reason: BodyTooLarge, BadRequest, ClientClosed, RequestTimeout for a caller who stopped sending, UpstreamTimeout
    for an agent that stopped taking. An agent that closes is no reason, since it may have answered.
    """

    def __init__(self, exchange: Exchange, request: Asked, call: Call, rule: Forwarding) -> None:
        self._exchange = exchange
        self._request = request
        self._call = call
        self._rule = rule
        self._chunked = exchange.head.chunked
        self.complete = False
        """Whether the whole body was handed to the agent."""
        self._task = asyncio.create_task(self._pump(), name=f"upload {exchange.request_id}")

    async def stop(self) -> None:
        """End the task and wait until it is over."""
        self._task.cancel()
        await asyncio.wait({self._task})

    async def _pump(self) -> None:
        if self._exchange.head.expects_continue and (transport := self._request.transport) is not None:
            transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        try:
            await self._send_all()
        except (UpstreamReset, StaleConnectionError):
            return
        except Refusal as refusal:
            self._call.fail(refusal)
            return
        self.complete = True
        self._call.start_clock(self._rule.first_byte)

    async def _send_all(self) -> None:
        while chunk := await self._next():
            self._call.send(frame(chunk, chunked=self._chunked))
            await self._drain()
        if self._chunked:
            self._call.send(end_of_chunks(self._exchange, self._request, self._call))

    async def _drain(self) -> None:
        try:
            async with asyncio.timeout(self._rule.idle or None):
                await self._call.drain()
        except TimeoutError:
            if self._call.protocol.writing_paused:
                raise UpstreamTimeout("The agent stopped taking the body.") from None

    async def _next(self) -> bytes:
        try:
            chunk = await self._read()
        except (RequestPayloadError, HttpProcessingError):
            raise BadRequest("The body's framing is broken.") from None
        except OSError:
            raise ClientClosed from None
        count_body(self._exchange, len(chunk), self._rule.max_body)
        return chunk

    async def _read(self) -> bytes:
        """A loop that stood still hears at once that time is over and what came meanwhile: that was in time."""
        content = self._request.content
        try:
            async with asyncio.timeout(self._rule.silence or None):
                return await content.readany()
        except TimeoutError:
            if content._buffer or content.is_eof() or content.exception() is not None:  # noqa: SLF001  # no public way
                return content.read_nowait()
            raise RequestTimeout("The body stopped coming.") from None


def count_body(exchange: Exchange, size: int, limit: int) -> None:
    """Add to what the caller has sent. Raises BodyTooLarge above the route's limit."""
    exchange.bytes_in += size
    if exchange.bytes_in > limit:
        raise BodyTooLarge(f"This route takes at most {limit} bytes.")


def end_of_chunks(exchange: Exchange, request: Asked, call: Call) -> bytes:
    """What ends the agent's copy of a chunked body that has come to its end, the trailer section included.

    Raises HeadersTooLarge or BadRequest if that cannot be read. An agent may take what it got behind a body for a
    part of the next request's head, so nobody else's request follows on the same connection.
    """
    content, edge = request.content, request.protocol
    if isinstance(refusal := content.exception(), Refusal):
        raise refusal
    fields = edge.trailers_of(content) if isinstance(edge, Trailed) else []
    if fields:
        call.serve_nobody_else()
    return last_chunk(fields, exchange.head.hops)


def frame(chunk: bytes, *, chunked: bool) -> bytes:
    """The bytes as the agent's framing wants them (RFC 9112 section 7.1)."""
    return b"%x\r\n%b\r\n" % (len(chunk), chunk) if chunked else chunk
