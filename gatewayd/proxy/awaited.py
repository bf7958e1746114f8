"""What whoever calls on a connection waits for, and until when: the part of it that every call looks at."""

import asyncio
from collections.abc import Callable
from typing import Any, Final

from gatewayd.bell import Bell, Hearer
from gatewayd.errors import UpstreamTimeout
from gatewayd.proxy.answer import AnswerHead
from gatewayd.proxy.habit import Habit
from gatewayd.proxy.plain import PlainAnswer, plain_answer

_TICK: Final = 0.001  # seconds, to which loops round a moment


class Awaited:
    """One for each connection, which outlives its calls; aiohttp's `protocol` has the rest. Mutable: calls come and go.

    `is_quiet`: since it was found clean, nothing came but plain answers that were waited for, and nothing went wrong.
    A call that is answered plainly asks the protocol nothing, each look into which costs what fifty of these do.
    """

    __slots__ = (
        "_bell",
        "_due",
        "_is_followed",
        "_loop",
        "_now",
        "_timer",
        "_timer_at",
        "answer",
        "habit",
        "has_come",
        "is_listening",
        "is_quiet",
        "is_timed",
        "is_unheard",
        "is_unusual",
        "is_used",
        "parses_on",
        "protocol",
        "since",
        "transport",
    )

    def __init__(self, loop: asyncio.AbstractEventLoop, protocol: Any = None) -> None:
        self._loop = loop
        self._bell = Bell(loop)
        self.protocol = protocol  # until it is closed
        self.transport: asyncio.Transport | None = None  # the protocol's
        self.since = 0.0  # when it came back last, by `time.monotonic`
        self._now: Callable[[], float] = loop.time
        self._due = 0.0
        self._is_followed = False  # the bell is armed, and somebody may have heard it
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0
        self.answer: PlainAnswer | None = None
        self.habit: Habit | None = None  # how the agent's answers begin here
        self.has_come = False  # the protocol has a parsed head, or knows why there will be none
        self.is_listening = False  # what comes is an answer's
        self.is_quiet = False
        self.is_timed = False  # who waits is to be told that it is late
        self.is_unheard = False  # nothing came yet of the answer that is expected, which may be any but HEAD's
        self.is_unusual = False  # the last plain one did not begin so
        self.is_used = False  # there was a call before
        self.parses_on = False  # the parser of the last answer goes on with the next

    def expect(self, *, bodiless: bool) -> bool:
        """What comes now is an answer, `bodiless` for HEAD's; whether it needs a parser that is made for it."""
        self.is_used = True
        self._is_followed = False
        self.is_listening = True
        self.is_unheard = not bodiless
        if self.parses_on and not bodiless:
            return False
        self.parses_on = not bodiless
        return True

    def is_open(self) -> bool:
        """Whether it can be written to."""
        return (transport := self.transport) is not None and not transport.is_closing()

    def is_clean(self) -> bool:
        """Whether the last answer was whole, and nothing came behind it. What came plain was seen to be both."""
        if self.is_quiet:
            return True
        protocol = self.protocol
        return protocol is not None and not protocol.should_close and bool(protocol.is_between_answers())

    def hear(self, data: bytes) -> None:
        """What the loop calls: a plain answer that is waited for is taken, and who waits goes on.

        The protocol has all else, as long as there is one. Nothing is kept from its parser but what that need not know:
        where one message ends, another begins.
        """
        if self.is_unheard:
            self.is_unheard = False
            answer = self.habit.read(data) if self.habit is not None else None
            if answer is not None:
                self.is_unusual = False
            elif (answer := plain_answer(data)) is not None:
                self._get_used_to(answer.head)
            if answer is not None:
                self.is_listening = False
                self.answer = answer
                self._bell.ring()
                return
        self.is_quiet = False
        if self.protocol is not None:
            self.protocol.hear(data)

    def _get_used_to(self, head: AnswerHead) -> None:
        """What is said twice in another way than before is the habit now: who says two things in turn keeps one."""
        self.is_unusual = not self.is_unusual
        if self.habit is None or not self.is_unusual:
            self.habit = Habit(head) if head.said else None
            self.is_unusual = False

    def arrival(self) -> Bell | None:
        """To be awaited before an answer is taken; None if there is something to take already."""
        if self._is_followed:
            self._is_followed = False  # it knows what came, or waits on
            return self._bell
        if self.has_come or self.answer is not None:
            return None
        self._bell.arm()
        return self._bell

    def follow(self, hearer: Hearer) -> bool:
        """Let `hearer` be told of what comes, who does not await it; False if there is something to take already."""
        if self.has_come or self.answer is not None:
            return False
        self._is_followed = True
        self._bell.arm()
        self._bell.hear(hearer)
        return True

    def tell_nobody(self) -> None:
        """Whoever followed has left."""
        self._bell.hear(None)

    def come(self, error: BaseException | None = None) -> None:
        """The protocol has something for who waits, or nothing will come."""
        self.has_come = True
        if error is not None:
            self._bell.set_exception(error)
        else:
            self._bell.set_result(None)

    def take(self) -> PlainAnswer | None:
        """The plain answer, if one has come."""
        answer, self.answer = self.answer, None
        return answer

    @property
    def is_watched(self) -> bool:
        """Whether there is a timer."""
        return self._timer is not None

    def within(self, seconds: float) -> None:
        """Fail the protocol with UpstreamTimeout in so many seconds, unless `in_time`; of two, the newer counts.

        One timer serves all calls of a connection, since nearly all of them are in time.
        """
        self.is_timed, self._due = True, self._now() + seconds
        if self._timer is not None:
            if self._timer_at <= self._due:
                return
            self._timer.cancel()
        self._timer_at = self._due
        self._timer = self._loop.call_at(self._due, self._look)

    def in_time(self) -> None:
        """There is nothing to be late for any more."""
        self.is_timed = False

    def _look(self) -> None:
        self._timer = None
        if not self.is_timed:
            return
        if self._now() < self._due - _TICK:
            self._timer_at = self._due
            self._timer = self._loop.call_at(self._due, self._look)
        else:
            self.is_timed = False
            self.protocol.set_exception(UpstreamTimeout())

    def end(self) -> None:
        """The connection is gone."""
        self.transport = None
        self.is_quiet = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
