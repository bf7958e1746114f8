"""A caller on a raw socket, who sees every byte and tells how an answer ended; and the scripts of agents to call."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from tests.agents import Script, answering, read_body
from tests.gateways import RunningGateway
from tests.patience import PATIENCE

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
RESET = struct.pack("ii", 1, 0)

# whole: to its end · short: the connection ended before the message did · reset: it was torn down
Ending = Literal["whole", "short", "reset"]
Fields = list[tuple[str, str]]


@dataclass
class Heard:
    """One answer as it came; `interim` has the heads of the 1xx before it, `trailers` what stood behind its chunks."""

    status: int
    reason: str
    fields: Fields
    body: bytes = b""
    ending: Ending = "whole"
    interim: list["Heard"] = field(default_factory=list)
    trailers: Fields = field(default_factory=list)

    def all(self, name: str) -> list[str]:
        return [value for each, value in self.fields if each.lower() == name.lower()]

    def __getitem__(self, name: str) -> str:
        (value,) = self.all(name)
        return value

    @property
    def closes(self) -> bool:
        return "close" in self.all("connection")


def split(line: str) -> tuple[str, str]:
    name, colon, value = line.partition(": ")
    assert colon, line
    return name, value


class Caller:
    """One connection to a gateway."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def to(cls, port: int, *, window: int = 0) -> "Caller":
        """`window`: the receive buffer, for a caller that is to feel back-pressure soon."""
        sock = socket.socket()
        if window:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port))
        return cls(*await asyncio.open_connection(sock=sock, limit=window or 1 << 16))

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def head(self) -> Heard:
        """The next head, interim or not."""
        async with asyncio.timeout(PATIENCE):
            status_line, *lines = (await self.reader.readuntil(b"\r\n\r\n"))[:-4].decode("latin-1").split("\r\n")
        version, status, reason = status_line.split(" ", 2)
        assert version in {"HTTP/1.1", "HTTP/1.0"}
        return Heard(int(status), reason, [split(line) for line in lines])

    async def hear(self, method: str = "GET") -> Heard:
        """The next answer, to its end."""
        interim = []
        while (heard := await self.head()).status < 200 and heard.status != 101:
            interim.append(heard)
        heard.interim = interim
        body = bytearray()
        try:
            async with asyncio.timeout(PATIENCE):
                await self._body(heard, method, body)
        except asyncio.IncompleteReadError as error:
            body += error.partial
            heard.ending = "short"
        except ConnectionResetError:
            heard.ending = "reset"
        heard.body = bytes(body)
        return heard

    async def _body(self, heard: Heard, method: str, body: bytearray) -> None:
        if method == "HEAD" or heard.status in (101, 204, 304):
            return
        if heard.all("transfer-encoding") == ["chunked"]:
            while piece := await self._data():
                body += piece
            while line := (await self.reader.readuntil(b"\r\n"))[:-2]:
                heard.trailers.append(split(line.decode("latin-1")))
        elif lengths := heard.all("content-length"):
            length = int(*lengths)
            while len(body) < length:
                body += await self._some(length - len(body))
        else:
            while piece := await self.reader.read(1 << 16):
                body += piece

    async def _some(self, most: int) -> bytes:
        if not (piece := await self.reader.read(most)):
            raise asyncio.IncompleteReadError(b"", most)
        return piece

    async def chunk(self) -> bytes:
        """The next chunk, empty at the end of a body without trailers."""
        if not (piece := await self._data()):
            assert await self.reader.readexactly(2) == b"\r\n"
        return piece

    async def _data(self) -> bytes:
        if not (size := int(await self.reader.readuntil(b"\r\n"), 16)):
            return b""
        piece = await self.reader.readexactly(size)
        assert await self.reader.readexactly(2) == b"\r\n"
        return piece

    async def gone(self) -> bytes:
        """What else comes until the gateway closes."""
        async with asyncio.timeout(PATIENCE):
            try:
                return await self.reader.read()
            except ConnectionResetError:
                return b""

    def leave(self) -> None:
        """Hang up at once, whatever is under way."""
        self.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self.writer.transport.abort()


def message(
    gateway: RunningGateway,
    method: str = "GET",
    path: str = "/api/email/x",
    *,
    fields: Sequence[str] = (),
    body: bytes = b"",
    version: str = "1.1",
    token: str = "",
) -> bytes:
    """A request as bytes, of the user ann; a body is announced by its length unless the fields say otherwise."""
    token = token or gateway.token("ann")
    lines = [f"{method} {path} HTTP/{version}", "Host: gateway.test", f"Authorization: Bearer {token}"]
    if body and not any(each.lower().startswith(("content-length:", "transfer-encoding:")) for each in fields):
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, *fields, "", ""]).encode("latin-1") + body


@asynccontextmanager
async def calling(gateway: RunningGateway, *, window: int = 0) -> AsyncIterator[Caller]:
    caller = await Caller.to(gateway.port, window=window)
    try:
        yield caller
    finally:
        caller.writer.transport.abort()


async def call(gateway: RunningGateway, method: str = "GET", path: str = "/api/email/x", **more: Any) -> Heard:
    """One request on a connection of its own."""
    async with calling(gateway) as caller:
        await caller.send(message(gateway, method, path, **more))
        return await caller.hear(method)


def chunked(*pieces: bytes) -> bytes:
    return b"".join([b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces]) + b"0\r\n\r\n"


async def beat() -> None:
    """Let the loop turn until what was sent has arrived: loopback delivers at once, and we share one loop."""
    for _ in range(20):
        await asyncio.sleep(0)


def reset(writer: asyncio.StreamWriter) -> None:
    """Tear the connection down."""
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    writer.transport.abort()


def saying(*parts: bytes, then: Literal["close", "reset", "stay", "serve", "again"] = "stay") -> Script:
    """Reads one request and says the parts, each arriving on its own; then ends so, unless it is played `again`."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_body(await reader.readuntil(b"\r\n\r\n"), reader)
        for part in parts:
            writer.write(part)
            await writer.drain()
            await beat()
        if then == "reset":
            reset(writer)
        elif then == "stay":
            await reader.read()
        elif then == "serve":
            await answering(OK)(reader, writer)

    return script


def at_first(script: Script, then: bytes = OK) -> Script:
    """Plays this on the first connection and gives the same good answer on all others."""
    connections = 0

    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await (script if connections == 1 else answering(then))(reader, writer)

    return play
