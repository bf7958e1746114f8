"""One way to use both clients, so that one suite says how both behave."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

from gatewayd_sdk import AsyncGateway, Gateway

from tests.agents import RawAgent, Script, raw_agent, read_body

KINDS = ("asyncio", "blocking")
CUT = b"\0cut here"
"""At the end of an answer: the connection ends with it."""
Use = Callable[[Any], Any]


async def using(kind: str, base_url: str, do: Use, **options: Any) -> Any:
    """What `do` returns for a client of this kind; the blocking one runs in a thread, and both are closed."""
    if kind == "asyncio":
        async with AsyncGateway(base_url, **options) as client:
            return await do(client)

    def run() -> Any:
        with Gateway(base_url, **options) as client:
            return do(client)

    return await asyncio.to_thread(run)


def http(status: int, body: str | bytes = b"", *fields: str) -> bytes:
    """An answer as bytes."""
    raw = body.encode() if isinstance(body, str) else body
    lines = [f"HTTP/1.1 {status} Whatever", f"Content-Length: {len(raw)}", "X-Request-ID: req-1", *fields, "", ""]
    return "\r\n".join(lines).encode() + raw


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
async def server(*answers: bytes) -> AsyncIterator[RawAgent]:
    async with raw_agent(saying(*answers)) as agent:
        yield agent


def sent(agent: RawAgent) -> list[bytes]:
    """The heads of the requests that came, in the order of the connections."""
    heads = []
    for each in agent.received:
        heads += [piece for piece in bytes(each).split(b"\r\n\r\n") if b" HTTP/1.1" in piece]
    return heads


def field(head: bytes, name: str) -> str | None:
    for line in head.decode("latin-1").split("\r\n"):
        key, _, value = line.partition(":")
        if key.lower() == name.lower():
            return value.strip()
    return None
