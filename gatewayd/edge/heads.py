"""The heads of one connection's requests, while they come: each has its time and its size, and may be refused."""

import asyncio
from typing import Any

from aiohttp.streams import EMPTY_PAYLOAD
from aiohttp.web_protocol import _ErrInfo
from aiohttp.web_server import Server

from gatewayd.build import stays_python
from gatewayd.edge.line import CallerLine
from gatewayd.edge.parser import MAX_FIELDS, READ_BUFFER, EdgeLimits, RefusedHead
from gatewayd.errors import Draining, HeadersTooLarge, Overloaded, Refusal, RequestTimeout


@stays_python
class AwaitedHeads(CallerLine):
    """A head must be complete in time, and a connection must be one of those that there may be."""

    __slots__ = ("_limits",)

    def __init__(self, manager: Server, *, limits: EdgeLimits, **options: Any) -> None:
        super().__init__(
            manager,
            keepalive_timeout=limits.keepalive_timeout,
            max_line_size=limits.max_target,
            max_field_size=limits.max_field,
            max_headers=MAX_FIELDS,
            read_bufsize=READ_BUFFER,
            auto_decompress=False,
            **options,
        )
        self._limits = limits

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._wait_for_head()
        assert self._manager is not None
        crowd = len(self._manager.connections) - self._limits.max_connections
        if crowd > 64 + self._limits.max_connections // 8:
            self.force_close()  # too many even to be told so
        elif crowd > 0:
            self.refuse(Overloaded("The gateway has as many connections as it may."))

    def connection_lost(self, exc: BaseException | None) -> None:
        self.stop_waiting()
        super().connection_lost(exc)

    def end(self) -> None:
        """After the present answer if there is one to come, else now."""
        if self._waiter is None:
            self.close()
        elif self.talk.begun:
            self.refuse(Draining())  # there is half a head, of somebody who waits for an answer
        else:
            self.force_close()

    def count_head(self, piece: bytes) -> None:
        """Some more of a head came, which is not complete with it."""
        talk = self.talk
        if not talk.begun:
            self.keep_alive(True)  # stops aiohttp's timer for idle connections: this one is not idle now
        talk.begun += piece
        if len(talk.begun) > self._limits.max_header_bytes:
            self.refuse(HeadersTooLarge())
        elif talk.deadline is None:
            self._wait_for_head()

    def stop_waiting(self) -> None:
        """A head is complete, or none is to come."""
        self.talk.begun = b""
        self.talk.be_in_time()

    def refuse(self, refusal: Refusal) -> None:
        """Answer a head that is not complete as aiohttp answers one that it cannot parse, and read no more."""
        self.stop_waiting()
        self.talk.deaf = True
        self._messages.append((_ErrInfo(refusal.status, RefusedHead(refusal), ""), EMPTY_PAYLOAD))
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _wait_for_head(self) -> None:
        self.talk.deadline = self._loop.call_later(self._limits.header_timeout, self._head_is_late)

    def _head_is_late(self) -> None:
        self.talk.deadline = None
        if self.talk.begun:
            self.refuse(RequestTimeout("The request head did not arrive in time."))
        else:
            self.force_close()  # it never said a word, so nobody waits for an answer
