"""A call on one connection: aiohttp's parser and what is around it, without its client on top.

A call writes one buffer and reads the parsed head back. This room, `body`, `connector` and `upstream` alone touch
aiohttp's client protocol; `tests/proxy/test_call.py` fails loudly if an upgrade moves something under them. Every
failure leaves as a Refusal.
"""

import asyncio
from typing import Any, Final

from aiohttp import ClientConnectionError, ServerDisconnectedError
from aiohttp.http import RawResponseMessage, StreamWriter
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.streams import EofStream

from gatewayd.bell import Hearer
from gatewayd.build import stays_python
from gatewayd.errors import Refusal, UpstreamProtocol, UpstreamReset
from gatewayd.outbox import Books
from gatewayd.proxy.answer import AnswerHead, judge
from gatewayd.proxy.awaited import Awaited
from gatewayd.proxy.body import Body, body_of
from gatewayd.proxy.connector import AgentProtocol
from gatewayd.proxy.idle import Idle
from gatewayd.proxy.whole import Whole
from gatewayd.sent import hang_up

_MAX_INTERIM: Final = 16


@stays_python
class StaleConnectionError(Exception):
    """A pooled connection turned out to be closed before it gave a byte: the agent may not have seen the request."""


class Call:
    """One request on one connection. End it with `release` when both sides are done, else with `abort`."""

    __slots__ = (
        "_awaited",
        "_bodiless",
        "_idle",
        "_interim",
        "_patience",
        "_reused",
        "body",
        "protocol",
    )

    def __init__(self, idle: Idle, connection: Awaited) -> None:
        """`connection` is one that was just found open, in this step of the loop, and `idle` where it goes back to."""
        self._idle = idle
        self._awaited = connection
        self.protocol: AgentProtocol = connection.protocol
        self._reused = connection.is_used
        self._bodiless = False
        self._interim = 0
        self._patience = 0.0
        self.body: Body | Whole | None = None
        idle.outbox.speakers += 1

    @property
    def is_complete(self) -> bool:
        """Whether the whole answer has come and was taken."""
        return self.body is not None and self.body.at_end

    def expect(self, *, bodiless: bool) -> None:
        """Prepare for the answer; `bodiless` for HEAD, whose answer has none whatever its fields say."""
        self._bodiless = bodiless
        if self._awaited.expect(bodiless=bodiless):
            self.protocol.prepare(bodiless=bodiless)

    def send(self, data: bytes) -> None:
        """Write without waiting. Raises StaleConnectionError on a pooled connection, UpstreamReset on a fresh one."""
        transport = self._awaited.transport
        if transport is None or transport.is_closing():
            raise self._broken()
        transport.write(data)

    def ask(self, request: bytes, books: Books) -> None:
        """As `send`, of a whole request: it leaves with whatever else does in this turn of the loop, `books` sealed.

        A connection that was pooled was found open just now.
        """
        transport = self._awaited.transport
        if transport is None or (not self._reused and transport.is_closing()):
            raise self._broken()
        self._idle.outbox.put(transport, request, books)

    async def drain(self) -> None:
        """Wait until the agent takes more (back-pressure). Raises UpstreamReset if it never will."""
        if not self.protocol.writing_paused:
            return
        try:
            await StreamWriter(self.protocol, asyncio.get_running_loop()).drain()
        except ConnectionError:
            raise UpstreamReset from None

    def start_clock(self, patience: float) -> None:
        """From now on the answer must come within `patience` seconds (0: ever); an interim one starts it anew."""
        if patience and self.body is None:
            self._patience = patience
            self._awaited.within(patience)

    async def answer(self) -> AnswerHead:
        """The next head; after one that is not interim, `body` is there.

        Raises UpstreamProtocol, UpstreamReset, UpstreamTimeout, StaleConnectionError, or what the call was failed with.
        """
        awaited = self._awaited
        try:
            if (arrival := awaited.arrival()) is not None:
                await arrival
            if (plain := self.plain_answer()) is not None:
                return plain
            found: Any = self.protocol.take()  # `Parsed` says why
        except HttpProcessingError:
            raise UpstreamProtocol from None
        except ServerDisconnectedError as error:
            raise self._broken(spoke=isinstance(error.message, RawResponseMessage)) from None
        except (ClientConnectionError, EofStream, OSError):
            raise self._broken() from None
        message, reader = found
        head = judge(message, bodiless=self._bodiless)
        if head.is_interim:
            self._count_interim()
        else:
            awaited.in_time()
            self.body = body_of(reader, self.protocol, head)
        return head

    def plain_answer(self) -> AnswerHead | None:
        """The head of a plain answer, if one has come; `body` is there then."""
        awaited = self._awaited
        if (plain := awaited.take()) is None:
            return None
        awaited.in_time()
        self.body = plain
        return plain.head

    def follow(self, hearer: Hearer) -> bool:
        """Let `hearer` be rung when there is a plain answer, and woken for all else; False if that is to be awaited."""
        return self._awaited.follow(hearer)

    def tell_nobody(self) -> None:
        """Whoever followed has left."""
        self._awaited.tell_nobody()

    def _count_interim(self) -> None:
        self._interim += 1
        if self._interim > _MAX_INTERIM:
            raise UpstreamProtocol("The agent sent too many interim answers.")
        if self._awaited.is_timed:
            self.start_clock(self._patience)

    def _broken(self, *, spoke: bool = False) -> Exception:
        return UpstreamReset() if spoke or self._interim or not self._reused else StaleConnectionError()

    def fail(self, refusal: Refusal) -> None:
        """Whoever waits for the answer, or for more of its body, is told this instead. What has come stays there."""
        self.protocol.set_exception(refusal)
        if self.body is not None:
            self.body.fail(refusal)

    def serve_nobody_else(self) -> None:
        """Let the connection end with this call."""
        self.protocol.force_close()

    def release(self) -> None:
        """Let others call on the connection, or close it if it is not clean; what was written still goes out."""
        self._awaited.in_time()
        if self.body is not None:
            self.body.detach()
        self._idle.outbox.speakers -= 1
        transport = self._awaited.transport
        if self._idle.keep(self._awaited):
            return
        self._idle.close(self._awaited)
        if transport is not None and transport.is_closing():
            hang_up(transport)

    def abort(self) -> None:
        """Close the connection now: the agent sees at once that nobody listens."""
        self._awaited.in_time()
        self._idle.outbox.speakers -= 1
        transport = self._awaited.transport
        self._idle.close(self._awaited)
        if transport is not None:
            transport.abort()
