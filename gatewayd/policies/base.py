"""What a policy is: a middleware, how its rule is read from the settings, and how it explains itself.

A policy calls the handler once, never reads the body, and writes only its own fields of the Exchange. Most of them are
gates: they judge who comes in, and have nothing to do with what goes out. The gateway's own outermost ones are frames.
"""

from collections.abc import Awaitable, Callable, Generator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from gatewayd.bell import Hearer
from gatewayd.config.settings import RouteSettings, Settings
from gatewayd.course import Course
from gatewayd.errors import Refusal
from gatewayd.exchange import Exchange, exchange_of
from gatewayd.incoming import Asked
from gatewayd.model import Balance, Identity, Plan
from gatewayd.routing import Route

__all__ = [
    "Case",
    "Finding",
    "Frame",
    "Gate",
    "Handler",
    "Inner",
    "Middleware",
    "Policy",
    "gate",
    "middleware",
    "no_rule",
    "nothing_to_say",
]

Inner = Callable[[Asked], Awaitable[web.StreamResponse]]
"""What is further in than a policy: a handler that takes aiohttp's request or one of ours."""
Admit = Callable[[Exchange], Awaitable[None] | None]
"""Lets a request in by returning None, or what to await first, where that cannot be said at once. Raises Refusal."""


@dataclass(frozen=True, slots=True)
class Case:
    """A call that nobody makes, for policies to explain: who would make it, to what, and how they stand."""

    method: str
    route: Route
    identity: Identity | None
    refusal: Refusal | None
    plan: Plan | None
    balances: Mapping[str, Balance] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Finding:
    """What a policy would do, or did: "pass" or the refusal's status and code, and why."""

    decision: str
    reason: str

    @property
    def passes(self) -> bool:
        return self.decision == "pass"


def refused(refusal: Refusal, reason: str = "") -> Finding:
    """The finding that says a refusal."""
    return Finding(f"{refusal.status} {refusal.code}", reason or refusal.detail)


def middleware(function: Callable[..., Awaitable[web.StreamResponse]]) -> Middleware:
    """A policy's middleware, marked as aiohttp wants it; a function that was compiled takes no mark.

    It takes aiohttp's request or one of ours, and a handler of either.
    """
    marked: Middleware = web.middleware(partial(function))
    return marked


class Gate:
    """A middleware that only judges who comes in. The ring asks several of them in a row, without a frame for each."""

    __slots__ = ("admit",)

    def __init__(self, admit: Admit) -> None:
        self.admit = admit

    async def __call__(self, request: Asked, handler: Inner) -> web.StreamResponse:
        if (waiting := self.admit(exchange_of(request))) is not None:
            await waiting
        return await handler(request)


class Frame:
    """A middleware around what is further in, told of its beginning and its end, so that it never waits itself.

    The ring asks several of them in a row, within one coroutine (`surround`). What it tells is what a middleware knows
    by its `try`: `enter` is before it, `answered` is in it, `failed` is its `except`, and `left` its `finally`.
    """

    __slots__ = ()

    def enter(self, request: Asked) -> None:
        """The request comes in."""

    def answered(self, _request: Asked, response: web.StreamResponse) -> web.StreamResponse:
        """It was answered by this; what the answer becomes. What is raised here `failed` is told."""
        return response

    def failed(self, _request: Asked, _error: BaseException) -> Awaitable[web.StreamResponse] | None:
        """It failed; None to let it fail, or what comes to an answer instead."""
        return None

    def left(self, request: Asked) -> None:
        """It is over here, however it ended. What is raised here the frame around this one `failed` is told."""

    async def __call__(self, request: Asked, handler: Inner) -> web.StreamResponse:
        return await surround([self], handler, request)


def surround(frames: list[Frame], inner: Inner, request: Asked) -> "Stay":
    """What is further in, within these, the outermost first."""
    stay = Stay(frames, request)
    stay.begin(inner)
    return stay


class Stay(Course):
    """One request's within frames that stand in a row. Mutable: it knows how deep that is in, and what came of it."""

    __slots__ = ("_depth", "_error", "_frames", "_inner", "_mending", "_request", "_response")

    def __init__(self, frames: list[Frame], request: Asked) -> None:
        self._frames = frames
        self._request = request
        self._depth = 0
        self._inner: Awaitable[web.StreamResponse] | None = None  # while its answer is waited for
        self._mending: Awaitable[web.StreamResponse] | None = None  # the same of what comes to an answer instead
        self._response: web.StreamResponse | None = None
        self._error: BaseException | None = None

    def begin(self, inner: Inner) -> None:
        """Enter, and begin what is further in."""
        try:
            for frame in self._frames:
                frame.enter(self._request)
                self._depth += 1
            self._inner = inner(self._request)
        except BaseException as failure:
            self._error = failure

    def follow(self, hearer: Hearer) -> bool:
        inner = self._inner
        return isinstance(inner, Course) and inner.follow(hearer)

    def go_on(self) -> web.StreamResponse | None:
        inner = self._inner
        assert isinstance(inner, Course)
        if (response := inner.go_on()) is None:
            return None
        self._inner = None
        self._response = response
        self._leave()
        return self._response if self._mending is None else None

    def fail(self, error: BaseException) -> None:
        if isinstance(self._inner, Course):
            self._inner.fail(error)

    def __await__(self) -> Generator[Any, None, web.StreamResponse]:
        return self._run().__await__()

    async def _run(self) -> web.StreamResponse:
        if (inner := self._inner) is not None:
            self._inner = None
            try:
                self._response = await inner
            except BaseException as failure:
                self._error = failure
        if self._mending is None:
            self._leave()
        while (mending := self._mending) is not None:
            try:
                self._response = await mending
                self._error = None
            except BaseException as failure:
                self._error = failure
            self._step_out()
            self._leave()
        if self._response is not None:
            return self._response
        error, self._error = self._error, None
        assert error is not None
        try:
            raise error
        finally:
            error = None  # its traceback has this frame, which would have it

    def _leave(self) -> None:
        """Leave all frames, or those before one that has something to wait for."""
        while self._depth:
            frame = self._frames[self._depth - 1]
            try:
                if self._response is not None:
                    self._response = frame.answered(self._request, self._response)
            except BaseException as failure:
                self._error, self._response = failure, None
            try:
                if self._error is not None and (mending := frame.failed(self._request, self._error)) is not None:
                    self._mending = mending
                    return
            except BaseException as failure:
                self._error = failure
            self._step_out()

    def _step_out(self) -> None:
        self._mending = None
        self._depth -= 1
        try:
            self._frames[self._depth].left(self._request)
        except BaseException as failure:
            self._error, self._response = failure, None


def gate(admit: Admit) -> Middleware:
    """The middleware of a policy that is one."""
    return middleware(Gate(admit))


def no_rule(_settings: Settings, _route: RouteSettings | None) -> object | None:
    """For a policy that holds for every route alike."""
    return None


def nothing_to_say(_case: Case) -> Finding | None:
    """For a policy that decides nothing."""
    return None


def nothing_decided(_exchange: Exchange) -> Finding | None:
    """The same, of a request that was made."""
    return None


def refused_with(exchange: Exchange, reason: str) -> Finding:
    """The finding that says with what an exchange was refused."""
    return Finding(f"{exchange.status} {exchange.code}", reason)


@dataclass(frozen=True, slots=True)
class Policy:
    """`rule` makes the policy's rule for a route (None: for paths that no route claims), or None for no rule.

    `explain` says what would be decided of a call that nobody makes, `decided` what was of one that has ended.
    """

    name: str
    middleware: Middleware
    rule: Callable[[Settings, RouteSettings | None], object | None] = no_rule
    explain: Callable[[Case], Finding | None] = nothing_to_say
    decided: Callable[[Exchange], Finding | None] = nothing_decided
