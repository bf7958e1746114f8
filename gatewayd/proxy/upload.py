"""The caller's body on its way to the agent, piece by piece, as fast as both sides allow."""

import asyncio

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.web_protocol import RequestPayloadError

from gatewayd.errors import BadRequest, BodyTooLarge, RequestTimeout, UpstreamReset, UpstreamTimeout
from gatewayd.exchange import Exchange
from gatewayd.proxy.upstream import Call, StaleConnectionError


class Upload:
    """Pumps a body that was not complete when its request was forwarded, in a task of its own.

    The task ends with the body, or with the Refusal that says why it will not: BodyTooLarge, BadRequest, or
    RequestTimeout after `silence` seconds without a byte, UpstreamTimeout when the agent takes nothing for `stall`
    seconds. An agent that closes is no error here, since it may have answered; whoever waits for that learns it.
    """

    def __init__(
        self, exchange: Exchange, request: web.Request, call: Call, *, limit: int, silence: float, stall: float
    ) -> None:
        self._exchange = exchange
        self._request = request
        self._call = call
        self._limit = limit
        self._silence = silence
        self._stall = stall
        self._chunked = exchange.head.chunked
        self.task = asyncio.create_task(self._pump(), name=f"upload {exchange.request_id}")

    @property
    def complete(self) -> bool:
        """Whether the whole body was handed to the agent."""
        return self.task.done() and not self.task.cancelled() and self.task.exception() is None and self.task.result()

    async def stop(self) -> None:
        """End the task and wait until it is over."""
        self.task.cancel()
        await asyncio.wait({self.task})
        if not self.task.cancelled():
            self.task.exception()  # seen, so nobody warns about it

    async def _pump(self) -> bool:
        if self._exchange.head.expects_continue and (transport := self._request.transport) is not None:
            transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        try:
            while chunk := await self._next():
                self._call.send(frame(chunk, chunked=self._chunked))
                await self._drain()
            if self._chunked:
                self._call.send(b"0\r\n\r\n")
        except (UpstreamReset, StaleConnectionError):
            return False
        return True

    async def _drain(self) -> None:
        try:
            async with asyncio.timeout(self._stall or None):
                await self._call.drain()
        except TimeoutError:
            raise UpstreamTimeout("The agent stopped taking the body.") from None

    async def _next(self) -> bytes:
        try:
            async with asyncio.timeout(self._silence or None):
                chunk = await self._request.content.readany()
        except TimeoutError:
            raise RequestTimeout("The body stopped coming.") from None
        except (RequestPayloadError, HttpProcessingError):
            raise BadRequest("The body's framing is broken.") from None
        count_body(self._exchange, len(chunk), self._limit)
        return chunk


def count_body(exchange: Exchange, size: int, limit: int) -> None:
    """Add to what the caller has sent. Raises BodyTooLarge above the route's limit."""
    exchange.bytes_in += size
    if exchange.bytes_in > limit:
        raise BodyTooLarge(f"This route takes at most {limit} bytes.")


def frame(chunk: bytes, *, chunked: bool) -> bytes:
    """The bytes as the agent's framing wants them (RFC 9112 section 7.1)."""
    return b"%x\r\n%b\r\n" % (len(chunk), chunk) if chunked else chunk
