"""An answer to be awaited that may come without a task: by calls, as long as nothing is waited for but one bell.

To leave a coroutine and to enter it again, at each layer of the ring, costs a request more than what most of the layers
do. So what answers a request gives a `Course`: whoever wants the answer may `follow` it, and is told when it can go on,
or await it, from wherever it is by then. Both are the same steps; only awaiting may stand still between them.
"""

from collections.abc import Generator
from typing import Any

from aiohttp import web

from gatewayd.bell import Hearer
from gatewayd.incoming import Asked


class Course:
    """What has begun, and is awaited or followed by one, to its end. Mutable."""

    __slots__ = ()

    def follow(self, hearer: Hearer) -> bool:  # noqa: ARG002
        """Let `hearer` be told when it can `go_on`, or what it waited for fails; False if it must be awaited."""
        return False

    def go_on(self) -> web.StreamResponse | None:
        """The answer, or None if it must be awaited after all. Nothing is raised: awaiting raises it."""
        return None

    def fail(self, error: BaseException) -> None:
        """What was waited for fails with this, as if that had been raised where it is awaited, which comes next."""

    def __await__(self) -> Generator[Any, None, web.StreamResponse]:
        """All that is left of it. Raises what it comes to."""
        raise NotImplementedError


class Failed(Course):
    """What failed before it could be told what was to come of it."""

    __slots__ = ("_error",)

    def __init__(self, error: BaseException) -> None:
        self._error = error

    def __await__(self) -> Generator[Any, None, web.StreamResponse]:
        raise self._error


class OnItsWay:
    """An answer of which all was put on its way; `keep_alive`: another one may follow."""

    __slots__ = ("keep_alive", "status")

    def __init__(self, status: int, keep_alive: bool) -> None:
        self.status = status
        self.keep_alive = keep_alive


class Ring:
    """What answers requests by a course for each, which has begun when it is given. Nothing is raised before."""

    __slots__ = ()

    def begin(self, request: Asked) -> Course:
        raise NotImplementedError
