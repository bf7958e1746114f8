"""Who calls the gateway: one connection each, kept as long as it lasts, and every answer told as it was seen."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from time import monotonic
from typing import Final, Protocol

from gatewayd.prove.agent import HOST
from gatewayd.prove.wire import Head, read_body, read_head

PATIENCE: Final = 20.0
"""Seconds after which an answer counts as lost: the gateway would have given up long before."""
_TOLD: Final = 120
_REQUEST: Final = "GET {target} HTTP/1.1\r\nHost: gateway\r\nAuthorization: Bearer {token}\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a caller saw of one call. `status` 0: the connection broke before there was a head; times are monotonic."""

    sent: float
    ended: float
    status: int = 0
    fields: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    whole: bool = False

    @property
    def id(self) -> str:
        """The request's; empty if no head came."""
        return self.fields.get("x-request-id", "")

    @property
    def told(self) -> str:
        """In words."""
        if not self.status:
            return f"nothing came in {self.ended - self.sent:.3f} s"
        broken = "" if self.whole else ", and broke off"
        return f"{self.status} after {self.ended - self.sent:.3f} s{broken}: {self.body[:_TOLD]!r}"

    @property
    def brief(self) -> "Answer":
        """The same without what takes room, if it went well."""
        if self.status != 200 or not self.whole:
            return self
        return replace(self, fields={"x-request-id": self.id}, body=b"")


class Listener(Protocol):
    """Who is called: `port` may be another one after it was away."""

    port: int


class Caller:
    """Mutable: it has a connection or not. One call at a time."""

    def __init__(self, listener: Listener) -> None:
        self.listener = listener
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def call(self, target: str, token: str) -> Answer:
        """Whatever happens is told by the answer."""
        sent, head = monotonic(), None
        try:
            async with asyncio.timeout(PATIENCE):
                reader = await self._say(target, token)
                head = await read_head(reader)
                body = await read_body(reader, head)
        except (OSError, EOFError, ValueError):
            self.leave()
            return _seen(sent, head)
        if head.fields.get("connection") == "close":
            self.leave()
        return Answer(sent, monotonic(), head.status, head.fields, body, whole=True)

    async def begin(self, target: str, token: str, *, head: bool) -> None:
        """Send a request, and wait for the head of its answer if so told. Raises OSError and EOFError."""
        reader = await self._say(target, token)
        if head:
            await read_head(reader)

    def leave(self) -> None:
        """Hang up, whatever is under way; harmless without a connection."""
        if self._streams is not None:
            self._streams[1].transport.abort()
            self._streams = None

    async def _say(self, target: str, token: str) -> asyncio.StreamReader:
        if self._streams is None or self._streams[0].at_eof():
            self.leave()
            self._streams = await asyncio.open_connection(HOST, self.listener.port)
        reader, writer = self._streams
        writer.write(_REQUEST.format(target=target, token=token).encode())
        return reader


def _seen(sent: float, head: Head | None) -> Answer:
    if head is None:
        return Answer(sent, monotonic())
    return Answer(sent, monotonic(), head.status, head.fields)
