"""The agent of the benches: fixed answers, long bodies and event streams, from raw protocols on the load's own loop."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from time import perf_counter_ns
from typing import Final, cast

from tests.bench.plane.wire import ANSWER, LAST_CHUNK, REQUEST_END

PIECE: Final = b"z" * 262_144
PREFIX: Final = "/api/bench"
"""Under it, any path answers a POST at once; `/body/BYTES` and `/events/MILLISECONDS` answer a GET."""


class Agent(asyncio.Protocol):
    """One connection of the gateway's to the agent."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport
        self._chunked = False
        self._tail = b""
        self._open = asyncio.Event()
        self._open.set()
        self._task: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Enough of HTTP for one request at a time whose body has a known end."""
        if data.startswith(b"GET "):
            self._task = asyncio.ensure_future(self._stream(data.split(b" ", 2)[1].decode()))
            return
        if data.startswith(b"POST "):
            self._chunked = b"chunked" in data
        ended = (self._tail + data).endswith(LAST_CHUNK if self._chunked else REQUEST_END)
        self._tail = b"" if ended else (self._tail + data)[-len(REQUEST_END) :]
        if ended:
            self.answer(self._transport)

    def answer(self, transport: asyncio.Transport) -> None:
        transport.write(ANSWER)

    def pause_writing(self) -> None:
        self._open.clear()

    def resume_writing(self) -> None:
        self._open.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self._open.set()
        if self._task is not None:
            self._task.cancel()

    def close(self) -> None:
        self._transport.abort()

    async def _stream(self, path: str) -> None:
        *_, kind, number = path.split("/")
        await (self._body(int(number)) if kind == "body" else self._events(int(number) / 1e3))

    async def _body(self, size: int) -> None:
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: %d\r\n\r\n" % size
        self._transport.write(head)
        while size > 0:
            self._transport.write(PIECE if size >= len(PIECE) else PIECE[:size])
            size -= len(PIECE)
            await self._open.wait()

    async def _events(self, pause: float) -> None:
        """Each event is the moment at which it was sent, in nanoseconds; the first one comes with the head."""
        head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
        self._transport.write(head + _event())
        while pause:
            await asyncio.sleep(pause)
            self._transport.write(_event())


def _event() -> bytes:
    event = b"data: %020d\n\n" % perf_counter_ns()
    return b"%x\r\n%b\r\n" % (len(event), event)


@asynccontextmanager
async def agent() -> AsyncIterator[int]:
    """Its port."""
    async with serving(Agent) as port:
        yield port


@asynccontextmanager
async def serving(protocol: Callable[[], Agent]) -> AsyncIterator[int]:
    """The port of a server of such connections; they end with it."""
    connections: list[Agent] = []

    def connection() -> Agent:
        connections.append(protocol())
        return connections[-1]

    server = await asyncio.get_running_loop().create_server(connection, "127.0.0.1", 0, backlog=4096)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for each in connections:
            each.close()
        await asyncio.sleep(0)
