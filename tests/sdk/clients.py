"""One way to use both clients, so that one suite says how both behave."""

import asyncio
import inspect
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from gatewayd_sdk import AsyncGateway, Gateway

from tests.agents import RawAgent, Script, raw_agent, read_body
from tests.patience import PATIENCE
from tests.pauses import skip

KINDS = ("asyncio", "blocking")
CUT = b"\0cut here"
"""At the end of an answer: the connection ends with it."""
Use = Callable[[Any], Any]


async def using(kind: str, base_url: str, do: Use, **options: Any) -> Any:
    """What `do` returns for a client of this kind, both closed at the end.

    Written with `each`, `items` and `entered` it works for both: the blocking client has a thread, and a loop in it
    for nothing but the scenario's own `await`s.
    """
    if kind == "asyncio":
        async with AsyncGateway(base_url, **options) as client:
            return await each(do(client))

    def run() -> Any:
        with Gateway(base_url, **options) as client:
            done = do(client)
            return asyncio.run(done) if inspect.iscoroutine(done) else done

    return await asyncio.to_thread(run)


def time_passes(kind: str, monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """So much of it at once, for clients of this kind."""
    if kind == "asyncio":
        return skip(seconds)
    later = SimpleNamespace(monotonic=lambda: time.monotonic() + seconds)
    for module in ("handshake", "reading", "transport", "websocket"):
        monkeypatch.setattr(f"gatewayd_sdk._blocking.{module}.time", later)
    return None


async def each(value: Any) -> Any:
    """What a call gives, whichever client made it."""
    return await value if inspect.isawaitable(value) else value


async def items(values: Any) -> AsyncIterator[Any]:
    """What an iterator of either client gives."""
    if hasattr(values, "__aiter__"):
        async for value in values:
            yield value
    else:
        for value in values:
            yield value


async def listed(values: Any) -> list[Any]:
    return [value async for value in items(values)]


@asynccontextmanager
async def entered(manager: Any) -> AsyncIterator[Any]:
    """What a context manager of either client gives."""
    if hasattr(manager, "__aenter__"):
        async with manager as value:
            yield value
    else:
        with manager as value:
            yield value


def http(status: int, body: str | bytes = b"", *fields: str) -> bytes:
    """An answer as bytes."""
    raw = body.encode() if isinstance(body, str) else body
    lines = [f"HTTP/1.1 {status} Whatever", f"Content-Length: {len(raw)}", "X-Request-ID: req-1", *fields, "", ""]
    return "\r\n".join(lines).encode() + raw


def chunked(status: int, *chunks: bytes, fields: tuple[str, ...] = (), whole: bool = True) -> bytes:
    """An answer in chunks, without the last one unless it is to be `whole`."""
    lines = [f"HTTP/1.1 {status} Whatever", "Transfer-Encoding: chunked", "X-Request-ID: req-1", *fields, "", ""]
    body = b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks)
    return "\r\n".join(lines).encode() + body + (b"0\r\n\r\n" if whole else CUT)


def saying(*answers: bytes) -> Script:
    """Gives the answers one after the other over all connections, the last one for ever; b"" closes instead."""
    rest: Iterator[bytes] = iter(answers)
    last = answers[-1]

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            await read_body(head, reader)
            if not (answer := next(rest, last)):
                return
            writer.write(answer.removesuffix(CUT))
            await writer.drain()
            if answer.endswith(CUT):
                return

    return script


@asynccontextmanager
async def listening(script: Script) -> AsyncIterator[RawAgent]:
    """A server that is not gone before it noticed that its clients are."""
    serving: set[asyncio.Task[Any]] = set()

    async def noted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        serving.add(task)
        await script(reader, writer)

    async with raw_agent(noted) as agent:
        yield agent
        for _ in range(10):  # a connection that was made is one that the loop has yet to hear of
            await asyncio.sleep(0)
        if serving:
            _, late = await asyncio.wait(serving, timeout=PATIENCE)
            assert not late, "a client left a connection behind"


@asynccontextmanager
async def server(*answers: bytes) -> AsyncIterator[RawAgent]:
    async with listening(saying(*answers)) as agent:
        yield agent


def sent(agent: RawAgent) -> list[bytes]:
    """The heads of the requests that came, in the order of the connections."""
    heads = []
    for each_one in agent.received:
        heads += [piece for piece in bytes(each_one).split(b"\r\n\r\n") if b" HTTP/1.1" in piece]
    return heads


def field(head: bytes, name: str) -> str | None:
    for line in head.decode("latin-1").split("\r\n"):
        key, _, value = line.partition(":")
        if key.lower() == name.lower():
            return value.strip()
    return None
