"""What is written in one turn of the loop leaves together at its end.

Each write to a socket wakes whoever reads it. A turn that serves ten requests and writes as it goes wakes the agent, or
the caller, again and again, since it has fallen asleep in between; on one machine that was a tenth of a request's cost.
"""

import asyncio
from collections.abc import Callable
from typing import Final, Protocol

MOST: Final = 16
"""So many messages wait at the most: the first one, and memory, for no more than that."""

FEW: Final = 4
"""With fewer speakers than that hardly anything leaves together, and each would wait for a turn of the loop."""
LARGE: Final = 64 * 1024
"""A longer message leaves at once: it would keep others waiting for its own copying."""
LEFT: Final = -1
"""No round: of what waits for none."""


class Books(Protocol):
    """What must be written down before anybody hears of it."""

    def seal(self) -> None:
        """All of it is from now on."""


class Outbox:
    """Messages of one loop's connections. Mutable: it is emptied once in a turn.

    `speakers` is how many may put something, as whoever owns it counts them. `first` is done before messages leave that
    waited. Nothing may be raised by it.

    A message leaves before anything that the loop is asked to do after it was put, so who waits for a next request, and
    then writes without an outbox, writes behind it. Whoever closes a connection that may have one here calls `flush`
    first, or it is lost. Nothing leaves before the books are sealed in which it stands.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._transports: list[asyncio.Transport] = []
        self._messages: list[bytes] = []
        self._books: Books | None = None
        self._is_due = False
        self.first: Callable[[], None] | None = None
        self.speakers = 0
        self.round = 0
        """Whether something has left since: it is another one after that."""

    def put(self, transport: asyncio.Transport, message: bytes, books: Books) -> int:
        """Write it to the transport at the end of this turn, unless that is closed by then; at once where few speak.

        Returns the `round` for as long as which it waits here; `LEFT` if it does not.
        """
        if self.speakers < FEW or len(message) > LARGE:
            books.seal()
            transport.write(message)
            return LEFT
        if len(self._messages) >= MOST:  # not before: whoever put the last one may have to say what is done `first`
            self.flush()
        if self._books is not books:
            self._stand_in(books)
        self._transports.append(transport)
        self._messages.append(message)
        if not self._is_due:
            self._is_due = True
            self._loop.call_soon(self._turn_ends)
        return self.round

    def flush(self) -> None:
        """Write now what there is."""
        if self._messages:
            self.round += 1
            if self._books is not None:
                self._books.seal()
            if self.first is not None:
                self.first()
            transports, messages = self._transports, self._messages
            self._transports, self._messages = [], []
            for index in range(len(messages)):
                transport = transports[index]
                if not transport.is_closing():
                    transport.write(messages[index])

    def _stand_in(self, books: Books) -> None:
        """Messages stand in these from now on; a process has hardly ever others."""
        if self._books is not None:
            self._books.seal()
        self._books = books

    def _turn_ends(self) -> None:
        self._is_due = False
        self.flush()
