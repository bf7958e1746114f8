"""Servers that say exactly what they are told, for callers; and clients that do, for the agent."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

from gatewayd.prove.agent import HOST

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def listening(handle: Handler, path: str = "") -> AsyncIterator[int]:
    """A server on a free port, or on a path; at the end every connection has ended."""
    serving: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with suppress(OSError, EOFError):
                await handle(reader, writer)
        finally:
            writer.transport.abort()
            with suppress(OSError):
                await writer.wait_closed()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving.add(asyncio.ensure_future(serve(reader, writer)))

    if path:
        server = await asyncio.start_unix_server(connected, path)
    else:
        server = await asyncio.start_server(connected, HOST, 0)
    try:
        yield 0 if path else server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)


class Saying:
    """Where a server listens that says one thing to each request, and hangs up after it if told to."""

    def __init__(self, answer: bytes, *, hang_up: bool) -> None:
        self._answer = answer
        self._hang_up = hang_up
        self.requests: list[bytes] = []
        self.connections = 0
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        again = True
        while again:
            self.requests.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(self._answer)
            await writer.drain()
            again = not self._hang_up
        writer.close()
        await writer.wait_closed()


@asynccontextmanager
async def saying(answer: bytes, *, hang_up: bool = False) -> AsyncIterator[Saying]:
    server = Saying(answer, hang_up=hang_up)
    async with listening(server.serve) as server.port:
        yield server
