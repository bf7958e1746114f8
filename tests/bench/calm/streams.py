"""Event streams and WebSockets that stay open through whatever happens to the daemon, and how many of them do not."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final

PERIOD: Final = 1.0  # seconds between the pieces of a stream
_GET: Final = "GET /api/email/stream HTTP/1.1\r\nHost: a\r\nAuthorization: {token}\r\n{more}\r\n"
_UPGRADE: Final = (
    "Connection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)
_SWITCHED: Final = (
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
)
_EVENTS: Final = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


async def ticking(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """The agent: a frame or an event now, and another each period, for as long as somebody listens."""
    upgrades = b"pgrade" in await reader.readuntil(b"\r\n\r\n")
    head, piece = (_SWITCHED, b"\x81\x04data") if upgrades else (_EVENTS, b"c\r\ndata: data\n\n\r\n")
    writer.write(head)
    listens = True
    while listens:
        writer.write(piece)
        await writer.drain()
        with suppress(TimeoutError):
            async with asyncio.timeout(PERIOD):
                listens = bool(await reader.read(4096))


class Streams:
    """Half of them of each kind. Mutable: they may break."""

    def __init__(self) -> None:
        self._readers: list[asyncio.Task[None]] = []

    async def open(self, port: int, token: str, count: int) -> None:
        """So many, each until its first piece is there."""
        for number in range(count):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(_GET.format(token=token, more=_UPGRADE if number % 2 else "").encode())
            await reader.readuntil(b"data")
            self._readers.append(asyncio.create_task(_read(reader, writer)))

    @property
    def broken(self) -> int:
        """How many have ended, though nobody here ended them."""
        return sum(each.done() for each in self._readers)

    async def close(self) -> None:
        for each in self._readers:
            each.cancel()
        await asyncio.gather(*self._readers, return_exceptions=True)


async def _read(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        with suppress(ConnectionError):
            while await reader.read(65536):
                pass
    finally:
        writer.close()


@asynccontextmanager
async def streaming(port: int, token: str, count: int) -> AsyncIterator[Streams]:
    """So many open streams, until the end of the `with`."""
    streams = Streams()
    try:
        await streams.open(port, token, count)
        yield streams
    finally:
        await streams.close()
