"""What every request of a connection looks at, or changes: in one object, which the compiler lays out.

A connection is one of aiohttp's, whose classes have slots of their own, so it stays Python's, where a look at a field
costs as much as a line of what is compiled. What aiohttp keeps of it that changes with each request is here too:
aiohttp finds it under its own name (`turns.kept`).
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, Final

from aiohttp.streams import EMPTY_PAYLOAD, StreamReader

from gatewayd.bell import Bell, Hearer, is_stepping
from gatewayd.course import Course, Failed, OnItsWay, Ring
from gatewayd.edge.habit import Habit, habit_of
from gatewayd.edge.plain import PlainRequest, plain_request
from gatewayd.incoming import Asked, Caller, Incoming
from gatewayd.outbox import LEFT, Books, Outbox

_NOTHING: Final = EMPTY_PAYLOAD


class Conversation(Hearer):
    """A connection's, from its first byte to its last. Mutable: requests come, are answered, and go.

    A plain request is begun here, and its answer ends here, while the connection's task waits for its bell. The task is
    woken for all else: whatever has to wait for more than the agent's answer, fails, or is no request of that kind. So
    it is the task that ends the connection for a fault of ours, wherever that is: an agent's is no place to raise it.

    `owed`: bytes until the next request begins, as far as that is known beyond doubt; negative for good once it is not.
    """

    __slots__ = (
        "asked",
        "begun",
        "bell",
        "body",
        "caller",
        "closes",
        "course",
        "deadline",
        "deaf",
        "habit",
        "has_spoken",
        "idle_for",
        "idle_timer",
        "idle_until",
        "is_behind",
        "is_busy",
        "is_over",
        "is_unusual",
        "keeps",
        "leaver",
        "longest_plain",
        "look",
        "loop",
        "messages",
        "now",
        "outbox",
        "owed",
        "plain",
        "protocol",
        "ring",
        "said_in",
        "task",
        "transport",
    )

    def __init__(self, loop: asyncio.AbstractEventLoop, outbox: Outbox) -> None:
        self.loop = loop
        self.now: Callable[[], float] = loop.time
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
        self.said_in = LEFT  # the outbox's round for as long as which the last answer waits there
        self.protocol: Any = None  # as long as its task serves
        self.task: asyncio.Task[None] | None = None
        self.ring: Ring | None = None  # that can do without the task
        self.course: Course | None = None  # of who is being answered, as long as that needs no task
        # aiohttp's
        self.messages: deque[Any] = deque()
        self.transport: asyncio.Transport | None = None
        self.asked: Asked | None = None  # who is being answered
        self.has_spoken = False  # to whom something of an answer was written, which can become no other one
        self.is_busy = False
        self.is_behind = False  # the caller does not take what is written
        self.leaver: asyncio.Future[None] | None = None  # waits until nobody is being answered
        self.closes = False  # after the present answer
        self.is_over = False
        self.keeps = True  # as the last answer said
        self.idle_for = 0.0  # seconds at most between two requests
        self.look: Callable[[], object] | None = None  # whether they are over
        self.idle_until = 0.0
        self.idle_timer: asyncio.Handle | None = None

    @property
    def is_waiting(self) -> bool:
        """Whether the connection's task waits for a request, of which nothing has come.

        Then nothing stands in the queue, which it looks at before, and nothing holds reading up.
        """
        if self.asked is not None or self.bell.done() or self.begun or self.body is not _NOTHING:
            return False
        return not (self.deaf or self.closes or self.is_over)

    @property
    def waiter(self) -> Any:
        """The bell while the connection's task waits for a request; a future, as aiohttp takes it."""
        return None if self.asked is not None or self.bell.done() else self.bell

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
        self._answer()  # the last thing that is done here
        return True

    def _answer(self) -> None:
        """Begin the plain request that has come, unless another one is being answered."""
        if self.asked is not None:
            return
        bell, ring = self.bell, self.ring
        if ring is None or not bell.is_awaited or is_stepping(self.loop):
            bell.ring()  # its task takes it
            return
        asked = self.next_plain()
        assert asked is not None
        self.begin(asked)
        if not self._is_followed(ring, asked):
            bell.ring()

    def _is_followed(self, ring: Ring, asked: Incoming) -> bool:
        """Whether the answer, which is begun now, is heard of without the task."""
        try:
            self.course = course = ring.begin(asked)
            return course.follow(self)
        except BaseException as failure:
            self._fail(failure)
        return False

    def rung(self) -> None:
        """The agent's answer has come: who is being answered goes on, and the next one may come."""
        course = self.course
        if course is None or not self.bell.is_awaited:  # the task was woken, and finds the answer
            return
        if not self._is_done(course):
            self.bell.ring()

    def _is_done(self, course: Course) -> bool:
        """Whether it is answered, and there is nothing to do for the task."""
        try:
            response = course.go_on()
            if response is None or not self._may_follow(response):
                return False
            self.end()
            if self.closes or self.is_over:
                self.plain = None  # nor is what came behind it answered
                self.messages.clear()
                return False
            if self.plain is not None or self.messages:
                return False
            self.be_idle()
        except BaseException as failure:
            self._fail(failure)
            return False
        return True

    def _fail(self, failure: BaseException) -> None:
        """Have it raised where the task awaits the answer, or the next request if there is nobody to be answered."""
        if self.asked is None:
            self.bell.set_exception(failure)
        elif self.course is None:
            self.course = Failed(failure)
        else:
            self.course.fail(failure)

    def woken(self) -> None:
        """What is being answered goes on with its task, in the loop's next turn."""
        self.bell.set_result(None)

    def _may_follow(self, response: object) -> bool:
        """Whether another answer may follow on this one at once."""
        return isinstance(response, OnItsWay) and response.keep_alive and not self.is_behind

    def be_idle(self) -> None:
        """Nothing is being answered: one timer serves all requests of a connection."""
        self.idle_until = self.now() + self.idle_for
        if self.idle_timer is None and self.look is not None:
            self.idle_timer = self.loop.call_at(self.idle_until, self.look)

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

    def say(self, answer: bytes, books: Books) -> int:
        """Write a whole answer, which ends no connection, with whatever else leaves in this turn of the loop.

        `books` are sealed before. Returns the outbox's round for as long as which it waits there, or `LEFT`.
        """
        transport = self.transport
        if transport is None:
            return LEFT
        if self.plain is not None or self.messages:
            books.seal()
            transport.write(answer)  # the next one is begun at once, and may be written by anybody
            return LEFT
        self.said_in = said_in = self.outbox.put(transport, answer, books)
        return said_in

    def next_plain(self) -> Incoming | None:
        """The plain request that has come, for a ring; None if it is not one that is next, or for no ring."""
        plain, caller = self.plain, self.caller
        if plain is None or caller is None:
            return None
        self.plain = None
        method, path, version, head = plain.method, plain.path, plain.version, plain.head
        protocol, task = self.protocol, self.task
        return Incoming(caller, plain, None, plain.rest, protocol, self, task, method, path, version, True, head)

    def begin(self, asked: Asked) -> None:
        """It is being answered from now on."""
        self.asked = asked
        self.has_spoken = False
        self.is_busy = True
        self.outbox.speakers += 1

    def end(self) -> None:
        """It was answered; its task and it would keep each other."""
        asked, self.asked = self.asked, None
        self.course = None
        self.is_busy = False
        self.outbox.speakers -= 1
        if self.leaver is not None and not self.leaver.done():  # who waited may have lost patience
            self.leaver.set_result(None)
        if isinstance(asked, Incoming):
            asked.let_go()
        elif asked is not None:
            asked._task = None  # type: ignore[assignment]  # noqa: SLF001


def conversation_of(asked: Asked) -> Conversation | None:
    """The one of its connection; None where it came by a connection that is not ours."""
    talk = asked.talk if isinstance(asked, Incoming) else getattr(asked.protocol, "talk", None)
    return talk if isinstance(talk, Conversation) else None
