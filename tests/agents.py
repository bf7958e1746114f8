"""Agents that tests command: raw sockets that say exactly what they are told, and keep what they were sent."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import ExitStack, asynccontextmanager

from tests.patience import PATIENCE

Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class RawAgent:
    """Keeps every byte that came in, one `bytearray` a connection, and plays a script on each connection."""

    def __init__(self, script: Script, scheme: str = "http") -> None:
        self._script = script
        self._scheme = scheme
        self.received: list[bytearray] = []
        self.closed = asyncio.Event()
        self.port = 0
        # A script that waits for what never comes is kept by nobody else, and would be collected with its connection.
        self._serving: set[asyncio.Task[None] | None] = set()

    @property
    def url(self) -> str:
        return f"{self._scheme}://127.0.0.1:{self.port}/api/email"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        kept = bytearray()
        self.received.append(kept)
        recorded = Recording(reader, kept)
        self._serving.add(task := asyncio.current_task())
        try:
            await self._script(recorded, writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # cancelled by the end of the loop only, which would say so at length
        finally:
            self._serving.discard(task)
            self.closed.set()
            writer.close()


class Recording(asyncio.StreamReader):
    """A reader that keeps what was read through it."""

    def __init__(self, reader: asyncio.StreamReader, kept: bytearray) -> None:
        super().__init__()
        self._reader = reader
        self._kept = kept

    async def read(self, n: int = -1) -> bytes:
        data = await self._reader.read(n)
        self._kept += data
        return data

    async def readuntil(self, separator: bytes = b"\n") -> bytes:  # type: ignore[override]
        data = await self._reader.readuntil(separator)
        self._kept += data
        return data

    async def readexactly(self, n: int) -> bytes:
        data = await self._reader.readexactly(n)
        self._kept += data
        return data


def answering(answer: bytes) -> Script:
    """Reads a head (and a body of the length that it states), gives this answer, and so on until the other closes."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            await read_body(head, reader)
            writer.write(answer)
            await writer.drain()

    return script


async def read_body(head: bytes, reader: asyncio.StreamReader) -> bytes:
    """The body that a head announces, its framing left as it is."""
    lower = head.lower()
    if b"transfer-encoding: chunked" in lower:
        return await read_chunks(reader)
    for line in lower.split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return await reader.readexactly(int(line.partition(b":")[2]))
    return b""


async def read_chunks(reader: asyncio.StreamReader) -> bytes:
    """A chunked body as it came, its trailer section included."""
    body = line = await reader.readuntil(b"\r\n")
    while size := int(line.partition(b";")[0], 16):
        body += await reader.readexactly(size + 2)
        line = await reader.readuntil(b"\r\n")
        body += line
    while line != b"\r\n":
        line = await reader.readuntil(b"\r\n")
        body += line
    return body


@asynccontextmanager
async def raw_agent(script: Script, tls: ssl.SSLContext | None = None) -> AsyncIterator[RawAgent]:
    agent = RawAgent(script, "https" if tls is not None else "http")
    server = await asyncio.start_server(agent.serve, "127.0.0.1", 0, limit=1 << 20, ssl=tls)
    agent.port = server.sockets[0].getsockname()[1]
    try:
        yield agent
    finally:
        server.close()


@asynccontextmanager
async def deaf_agent() -> AsyncIterator[str]:
    """The address of one that is there and takes no connection: whoever connects waits (its queue is full)."""
    with ExitStack() as stack:
        listening = stack.enter_context(socket.socket())
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        for _ in range(8):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listening.getsockname())
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/api/email"


async def talk(port: int, data: bytes, *, until: bytes | None = None, patience: float = PATIENCE) -> bytes:
    """Send raw bytes and read until the other side closes, or until `until` has come."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    answer = b""
    try:
        writer.write(data)
        async with asyncio.timeout(patience):
            while until is None or until not in answer:
                try:
                    chunk = await reader.read(65536)
                except ConnectionError:
                    break
                if not chunk:
                    break
                answer += chunk
    finally:
        writer.close()
    return answer
