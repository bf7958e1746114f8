"""What one task waits for again and again, and goes on from at once: not in a later turn of the loop, nor by a future.

A task waits for whatever keeps the protocol of futures (`asyncio.isfuture`), and gives it what to call to go on. A
future asks the loop to call that; who knows that the loop is between two callbacks may call it there and then, which is
what the loop would do, without the turn.
"""

import asyncio
import sys
from collections.abc import Callable, Generator
from contextvars import Context
from typing import Any, Final

_tasks: Any = asyncio.tasks
_CURRENT: Final[dict[asyncio.AbstractEventLoop, object]] = _tasks._current_tasks  # noqa: SLF001
_IS_ELSEWHERE: Final = sys.version_info >= (3, 14)  # there each thread has its own, and the dictionary stays empty

_IDLE: Final = 0
_AWAITED: Final = 1
_RUNG: Final = 2
_CANCELLED: Final = 3


def is_stepping(loop: asyncio.AbstractEventLoop) -> bool:
    """Whether a task of the loop takes a step now.

    It is looked up where `asyncio.current_task` does, which is a function of Python's in 3.11.
    """
    return asyncio.current_task(loop) is not None if _IS_ELSEWHERE else loop in _CURRENT


class Hearer:
    """Who is told of a bell without being a task."""

    __slots__ = ()

    def rung(self) -> None:
        """Go on now."""

    def woken(self) -> None:
        """It was set or cancelled: let a task find out, in the loop's next turn."""


class Bell:
    """One task's, for all that it waits for in one place. Mutable: `arm` it for each time, and await it at once.

    Or let somebody `hear` it, once: whoever awaits it after that waits on, or finds what it was set to.

    Whoever knows it as a future (aiohttp does) may set its result or its exception, or cancel it, with the same
    outcome. All of that wakes in the loop's next turn, so it may be done in the middle of something; only `ring` does
    not wait.
    """

    __slots__ = ("_asyncio_future_blocking", "_context", "_error", "_hearer", "_loop", "_rung", "_state", "_wake")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._asyncio_future_blocking = False  # the task's own mark, by which it knows that this was awaited
        self._loop = loop
        # What a task is woken with: it asks that for a result, which costs it nothing of a future of asyncio's own.
        self._rung: asyncio.Future[None] = asyncio.Future(loop=loop)
        self._rung.set_result(None)
        self._state = _IDLE
        self._wake: Callable[[Any], object] | None = None
        self._context: Context | None = None
        self._hearer: Hearer | None = None
        self._error: BaseException | None = None

    def arm(self) -> None:
        """It is awaited from now on."""
        self._state = _AWAITED
        self._error = None

    def hear(self, hearer: Hearer | None) -> None:
        """Tell this one, whom no task is waiting beside; None: tell nobody any more."""
        self._hearer = hearer

    @property
    def is_awaited(self) -> bool:
        """Whether a task waits for it that nothing has woken yet."""
        return self._state == _AWAITED and self._wake is not None

    def ring(self) -> None:
        """Let who waits go on now, before this returns, or in the next turn where a task is asking.

        It must be the last thing that is done: whatever was true before may not be so after it.
        """
        if (hearer := self._hearer) is not None:
            self._ring_for(hearer)
            return
        wake, context = self._wake, self._context
        if self._state != _AWAITED or wake is None or context is None:
            return
        if is_stepping(self._loop):  # no task can take a step within another's
            self.set_result(None)
            return
        self._state = _RUNG
        self._wake = self._context = None
        context.run(wake, self._rung)

    def _ring_for(self, hearer: Hearer) -> None:
        if self._state != _AWAITED:
            return
        if is_stepping(self._loop):
            self.set_result(None)
            return
        self._state = _RUNG
        self._hearer = None
        hearer.rung()

    def __await__(self) -> Generator["Bell", None, None]:
        if self._state == _AWAITED:
            self._asyncio_future_blocking = True
            yield self
        self.result()

    def add_done_callback(self, wake: Callable[[Any], object], *, context: Context) -> None:
        """The task says how it goes on, while this is awaited."""
        self._wake, self._context = wake, context
        self._hearer = None

    def get_loop(self) -> asyncio.AbstractEventLoop:
        return self._loop

    def done(self) -> bool:
        return self._state != _AWAITED

    def result(self) -> None:
        """Raises what it was set to."""
        error, self._error = self._error, None
        if self._state == _CANCELLED:
            raise asyncio.CancelledError
        if error is not None:
            raise error

    def set_result(self, _result: None) -> None:
        """Let who waits go on in the loop's next turn."""
        self._end(_RUNG)

    def set_exception(self, error: BaseException) -> None:
        """The same, with an error."""
        if self._state == _AWAITED:
            self._error = error
            self._end(_RUNG)

    def cancel(self, msg: object = None) -> bool:  # noqa: ARG002
        """The same, cancelled; False if it was rung before."""
        if self._state != _AWAITED:
            return False
        self._end(_CANCELLED)
        return True

    def _end(self, state: int) -> None:
        if self._state != _AWAITED:
            return
        self._state = state
        if (hearer := self._hearer) is not None:
            self._hearer = None
            hearer.woken()
        elif self._wake is not None:
            self._loop.call_soon(self._wake, self, context=self._context)
            self._wake = self._context = None
