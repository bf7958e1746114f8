"""Callers in no hurry, and a gateway and an agent that they call."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

from tests.agents import Script, raw_agent, read_body
from tests.gateways import RunningGateway, running_gateway
from tests.patience import PATIENCE

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
QUICK = 'header_timeout = "200ms"\nbody_timeout = "300ms"\nmax_header_bytes = "4KiB"'
ROUTES = """
[routes.email]
prefix = "/api/email"
upstream = "{upstream}"
public = true
[routes.rag]
prefix = "/api/rag"
upstream = "{upstream}"
"""


@asynccontextmanager
async def gateway_before(
    path: Path, script: Script, server: str = QUICK
) -> AsyncIterator[tuple[RunningGateway, list[bytearray]]]:
    async with (
        raw_agent(script) as agent,
        running_gateway(path, routes=ROUTES.format(upstream=agent.url), server=server) as gateway,
    ):
        yield gateway, agent.received


async def listening(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    """An agent that takes what comes, as it comes, and says nothing."""
    while await reader.read(65536):
        pass


def answering_when(go: asyncio.Event) -> Script:
    """An agent that takes each request whole, and answers it once it may."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_body(await reader.readuntil(b"\r\n\r\n"), reader)
        await go.wait()
        writer.write(OK)
        await writer.drain()

    return answer


class Caller:
    """A caller in no hurry: `pause` is how it paces itself, and what comes meanwhile is kept."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writer = writer
        self.got = b""
        self._reader = reader
        self._reading = asyncio.create_task(self._read())
        self._news = asyncio.Event()

    async def _read(self) -> None:
        try:
            while chunk := await self._reader.read(65536):
                self.got += chunk
                self._news.set()
        except ConnectionError:
            pass

    @property
    def ended(self) -> bool:
        return self._reading.done()

    async def pause(self, seconds: float) -> None:
        await asyncio.wait({self._reading}, timeout=seconds)

    async def hear(self, words: bytes, count: int = 1) -> bytes:
        async with asyncio.timeout(PATIENCE):
            while self.got.count(words) < count:
                self._news.clear()
                await self._news.wait()
        return self.got

    async def all(self) -> bytes:
        async with asyncio.timeout(PATIENCE):
            await self._reading
        return self.got

    def close(self) -> None:
        self._reading.cancel()
        self.writer.close()


@asynccontextmanager
async def caller(port: int) -> AsyncIterator[Caller]:
    calling = Caller(*await asyncio.open_connection("127.0.0.1", port))
    try:
        yield calling
    finally:
        calling.close()


def is_refused(answer: bytes, status: int, code: str) -> bool:
    head, _, body = answer.partition(b"\r\n\r\n")
    return (
        head.startswith(b"HTTP/1.1 %d " % status)
        and b"\r\nConnection: close" in head
        and b"\r\nContent-Type: application/problem+json" in head
        and json.loads(body)["code"] == code
    )


def pieces(data: bytes, size: int) -> Iterable[bytes]:
    return (data[start : start + size] for start in range(0, len(data), size))
