"""What every request of a connection looks at, or changes: in one object, which the compiler lays out.

A connection is one of aiohttp's, whose classes have slots of their own, so it stays Python's, where a look at a field
costs as much as a line of what is compiled. What aiohttp keeps of it that changes with each request is here too:
aiohttp finds it under its own name (`turns.kept`).
"""

import asyncio
from collections import deque
from typing import Any, Final

from aiohttp.streams import EMPTY_PAYLOAD, StreamReader

from gatewayd.bell import Bell
from gatewayd.edge.habit import Habit, habit_of
from gatewayd.edge.plain import PlainRequest, plain_request
from gatewayd.incoming import Asked, Caller, Incoming
from gatewayd.outbox import Books, Outbox

_NOTHING: Final = EMPTY_PAYLOAD


class Conversation:
    """A connection's, from its first byte to its last. Mutable: requests come, are answered, and go.

    `owed`: bytes until the next request begins, as far as that is known beyond doubt; negative for good once it is not.
    """

    __slots__ = (
        "asked",
        "begun",
        "bell",
        "body",
        "caller",
        "closes",
        "deadline",
        "deaf",
        "habit",
        "idle_timer",
        "idle_until",
        "is_behind",
        "is_busy",
        "is_over",
        "is_unusual",
        "keeps",
        "leaver",
        "longest_plain",
        "messages",
        "outbox",
        "owed",
        "plain",
        "said_in",
        "transport",
    )

    def __init__(self, loop: asyncio.AbstractEventLoop, outbox: Outbox) -> None:
        self.bell = Bell(loop)  # for which the connection's task waits between requests
        self.outbox = outbox
        self.caller: Caller | None = None  # known once there was a request
        self.plain: PlainRequest | None = None  # came whole, and is not begun; what was parsed comes behind it
        self.habit: Habit | None = None  # how its requests are written, but for their tokens
        self.is_unusual = False  # the last one was not written so
        self.owed = 0
        self.longest_plain = 0
        self.body: StreamReader = _NOTHING  # of the newest request, unless that was plain
        self.begun = b""  # a head that is not complete yet
        self.deadline: asyncio.TimerHandle | None = None  # of such a head
        self.deaf = False  # what still comes is thrown away: nobody can tell any more where a request begins
        self.said_in = -1  # the outbox's round in which the last answer was put there
        # aiohttp's
        self.messages: deque[Any] = deque()
        self.transport: asyncio.Transport | None = None
        self.asked: Asked | None = None  # who is being answered
        self.is_busy = False
        self.is_behind = False  # the caller does not take what is written
        self.leaver: asyncio.Future[None] | None = None  # waits until nobody is being answered
        self.closes = False  # after the present answer
        self.is_over = False
        self.keeps = True  # as the last answer said
        self.idle_until = 0.0
        self.idle_timer: asyncio.Handle | None = None

    @property
    def is_waiting(self) -> bool:
        """Whether the connection's task waits for a request, of which nothing has come.

        Then nothing stands in the queue, which it looks at before, and nothing holds reading up.
        """
        if self.bell.done() or self.begun or self.body is not _NOTHING:
            return False
        return not (self.deaf or self.closes or self.is_over)

    @property
    def waiter(self) -> Any:
        """The bell while the connection's task waits for a request; a future, as aiohttp takes it."""
        return None if self.bell.done() else self.bell

    @waiter.setter
    def waiter(self, _none: Any) -> None:
        """Aiohttp begins with none."""

    def take_plain(self, data: bytes) -> bool:
        """Take a plain request that came whole, which the parser need not see; else note where the next one begins.

        It is to be called where a request begins, with none before it that is not begun.
        """
        request = self.habit.read(data, self.longest_plain) if self.habit is not None else None
        if request is not None:
            self.is_unusual = False
        else:
            request = plain_request(data, self.longest_plain)
            if request is None:
                self.owed = -1
                return False
            self._get_used_to(request.said)
        self.owed = request.length - len(request.rest)
        if self.owed:
            return False
        self.plain = request
        self.body = _NOTHING
        self.be_in_time()
        if self.said_in == self.outbox.round:
            self.outbox.flush()  # it may write behind the answer before it, which has not left yet
        self.bell.ring()  # the last thing that is done here
        return True

    def _get_used_to(self, said: bytes) -> None:
        """What is said twice in another way than before is the habit now: who says two things in turn keeps one."""
        self.is_unusual = not self.is_unusual
        if self.habit is None or not self.is_unusual:
            self.habit = habit_of(said)
            self.is_unusual = False

    def be_in_time(self) -> None:
        """A head is complete."""
        if self.deadline is not None:
            self.deadline.cancel()
            self.deadline = None

    def say(self, answer: bytes, books: Books) -> None:
        """Write a whole answer, which ends no connection, with whatever else leaves in this turn of the loop.

        `books` are sealed before.
        """
        transport = self.transport
        if transport is None:
            return
        if self.plain is not None or self.messages:
            books.seal()
            transport.write(answer)  # the next one is begun at once, and may be written by anybody
        else:
            self.said_in = self.outbox.round
            self.outbox.put(transport, answer, books)

    def next_plain(self, protocol: Any, task: Any) -> Incoming | None:
        """The plain request that has come, for a ring; None if it is not one that is next, or for no ring."""
        plain, caller = self.plain, self.caller
        if plain is None or caller is None:
            return None
        self.plain = None
        method, path, version, head = plain.method, plain.path, plain.version, plain.head
        return Incoming(caller, plain, None, plain.rest, protocol, self, task, method, path, version, True, head)

    def begin(self, asked: Asked) -> None:
        """It is being answered from now on."""
        self.asked = asked
        self.is_busy = True
        self.outbox.speakers += 1

    def end(self, asked: Asked) -> None:
        """It was answered; its task and it would keep each other."""
        self.asked = None
        self.is_busy = False
        self.outbox.speakers -= 1
        if isinstance(asked, Incoming):
            asked.let_go()
        else:
            asked._task = None  # type: ignore[assignment]  # noqa: SLF001
        if self.leaver is not None:
            self.leaver.set_result(None)


def conversation_of(asked: Asked) -> Conversation | None:
    """The one of its connection; None where it came by a connection that is not ours."""
    talk = asked.talk if isinstance(asked, Incoming) else getattr(asked.protocol, "talk", None)
    return talk if isinstance(talk, Conversation) else None
