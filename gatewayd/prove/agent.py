"""The agent behind the gateway: it remembers every request that reached it, and ends its answers as it is told.

A caller tells it how by the query of its request:

    quantity=3         the answer states X-Usage-Quantity: 3
    after=0.005        it is given after so many seconds
    end=short          what becomes of it: one of `ENDINGS`
"""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from time import monotonic
from typing import Final, Literal, cast, get_args
from urllib.parse import parse_qsl

from gatewayd.prove.wire import Head

HOST: Final = "127.0.0.1"
PIECE: Final = b"a piece of the answer"
PROMISED: Final = 4 * len(PIECE)
"""Bytes of a whole body."""

Ending = Literal["sized", "chunked", "short", "unterminated", "reset", "silent", "endless"]
ENDINGS: Final[tuple[Ending, ...]] = get_args(Ending)
"""Whole answers, with a length or in chunks; broken ones: fewer bytes than promised, no last chunk, and a reset
connection; and those that never end: nothing at all is said, or a head and one piece."""
_TERMINATOR: Final = b"0\r\n\r\n"
_RESET: Final = struct.pack("ii", 1, 0)


class Visit:
    """A request that reached the agent. Mutable: it ends. Times are monotonic seconds, None for what did not happen."""

    __slots__ = ("answered", "id", "left", "target", "user")

    def __init__(self, head: Head) -> None:
        self.id = head.fields["x-request-id"]
        self.user = head.fields["x-user-id"]
        self.target = head.target
        self.answered: float | None = None
        """When the whole answer was written."""
        self.left: float | None = None
        """When the gateway hung up before that."""

    @property
    def query(self) -> dict[str, str]:
        return dict(parse_qsl(self.target.partition("?")[2]))

    @property
    def quantity(self) -> int | None:
        """Units that it states."""
        stated = self.query.get("quantity")
        return None if stated is None else int(stated)


class Agent:
    """Mutable: its memory of visits grows."""

    def __init__(self) -> None:
        self.visits: list[Visit] = []
        self._waiting: list[asyncio.Future[None]] = []
        self.port = 0

    async def visit_of(self, user: str) -> Visit:
        """The user's first, once it has come."""
        await self.until(lambda: bool(self.visits_of(user)))
        return self.visits_of(user)[0]

    async def until(self, it_happened: Callable[[], bool]) -> None:
        """Wait for what comes of a visit that begins, or is given up."""
        while not it_happened():
            news: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(news)
            await news

    def tell(self) -> None:
        """Something happened."""
        waiting, self._waiting = self._waiting, []
        for news in waiting:
            if not news.done():
                news.set_result(None)

    def visits_of(self, user: str) -> list[Visit]:
        return [visit for visit in self.visits if visit.user == user]


@asynccontextmanager
async def running_agent() -> AsyncIterator[Agent]:
    """An agent on a free port of the loopback interface, for as long as the `with` lasts."""
    agent = Agent()
    server = await asyncio.get_running_loop().create_server(lambda: _Line(agent), HOST, 0)
    agent.port = server.sockets[0].getsockname()[1]
    try:
        yield agent
    finally:
        server.close()


class _Line(asyncio.Protocol):
    """A connection from the gateway; requests have no body here. Mutable: one visit at a time is under way."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent
        self._coming = b""
        self._visit: Visit | None = None
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        text, end, rest = (self._coming + data).partition(b"\r\n\r\n")
        if not end:
            self._coming = text
            return
        self._coming = rest
        visit = self._visit = Visit(Head.parsed(text))
        self._agent.visits.append(visit)
        self._agent.tell()
        query = visit.query
        if after := float(query.get("after", 0)):
            asyncio.get_running_loop().call_later(after, self._answer, visit, query)
        else:
            self._answer(visit, query)

    def connection_lost(self, error: Exception | None) -> None:  # noqa: ARG002
        self._transport = None
        if self._visit is not None and self._visit.answered is None:
            self._visit.left = monotonic()
            self._agent.tell()

    def _answer(self, visit: Visit, query: Mapping[str, str]) -> None:
        ending = cast("Ending", query.get("end", "sized"))
        if self._transport is None or ending == "silent":
            return
        self._transport.write(_said(query.get("quantity"), ending))
        if ending in ("sized", "chunked"):
            visit.answered = monotonic()
        elif ending == "reset":
            self._reset()
        elif ending != "endless":
            self._transport.close()

    def _reset(self) -> None:
        """Close so that the other side sees a reset (RST), once it had the time to read what was said."""
        assert self._transport is not None
        sock = cast("socket.socket", self._transport.get_extra_info("socket"))
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        asyncio.get_running_loop().call_later(0.01, self._transport.abort)


def _said(quantity: str | None, ending: Ending) -> bytes:
    stated = "" if quantity is None else f"X-Usage-Quantity: {quantity}\r\n"
    if ending in ("sized", "short"):
        framing, body = f"Content-Length: {PROMISED}", PIECE * (4 if ending == "sized" else 3)
    else:
        chunk = b"%x\r\n%b\r\n" % (len(PIECE), PIECE)
        framing, body = "Transfer-Encoding: chunked", chunk * 4 + _TERMINATOR if ending == "chunked" else chunk
    return f"HTTP/1.1 200 OK\r\n{stated}{framing}\r\n\r\n".encode() + body
