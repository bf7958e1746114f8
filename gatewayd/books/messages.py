"""What workers and their bookkeeper say to each other: JSON arrays, one a line, the word first."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any, Final, cast

import orjson

logger = logging.getLogger(__name__)

HIGH_WATER: Final = 4 * 1024 * 1024
"""Bytes that may wait to be read by the other side; beyond them it is taken for dead."""

Message = list[Any]


class Messenger(asyncio.Protocol):
    """One end of a connection. Mutable: it gathers lines. `hear` is called for each message, `lose` at the end.

    What is said in one turn of the loop leaves in one write: a crowd's wishes are many, and a write costs more than
    what it says.
    """

    def __init__(self, hear: Callable[["Messenger", Message], None], lose: Callable[["Messenger"], None]) -> None:
        self._hear = hear
        self._lose = lose
        self._begun = b""
        self._said: list[bytes] = []
        self._loop: asyncio.AbstractEventLoop
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one in all but its class
        self._loop = asyncio.get_running_loop()

    def data_received(self, data: bytes) -> None:
        *lines, self._begun = (self._begun + data).split(b"\n")
        for line in lines:
            try:
                self._hear(self, orjson.loads(line))
            except Exception:  # a fault of ours, and the other side cannot know what came of its words
                logger.exception("a message between worker and bookkeeper could not be handled")
                self.hang_up()
                return

    def connection_lost(self, error: Exception | None) -> None:  # noqa: ARG002
        self._transport = None
        self._lose(self)

    def say(self, *message: Any) -> None:
        """Send it if the other side is there; else it is gone, as all that was on its way."""
        if self._transport is None:
            return
        line = orjson.dumps(message)
        if not self._said:
            self._loop.call_soon(self._send)
        self._said.append(line)

    def hang_up(self) -> None:
        """What was said before has left by then."""
        self._send()
        if self._transport is not None:
            self._transport.abort()

    def _send(self) -> None:
        said, self._said = self._said, []
        if (transport := self._transport) is None or not said:
            return
        if transport.get_write_buffer_size() > HIGH_WATER:
            transport.abort()
        else:
            transport.write(b"\n".join(said) + b"\n")
