"""What a policy is: a middleware, how its rule is read from the settings, and how it explains itself.

A policy calls the handler once, never reads the body, and writes only its own fields of the Exchange. Most of them are
gates: they judge who comes in, and have nothing to do with what goes out. The gateway's own outermost ones are frames.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from gatewayd.config.settings import RouteSettings, Settings
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
        """It is over here, however it ended. Nothing is raised."""

    async def __call__(self, request: Asked, handler: Inner) -> web.StreamResponse:
        return await surround([self], handler, request)


async def surround(frames: list[Frame], inner: Inner, request: Asked) -> web.StreamResponse:
    """What is further in, within these, the outermost first."""
    error: BaseException | None = None
    response: web.StreamResponse | None = None
    depth = 0
    try:
        for frame in frames:
            frame.enter(request)
            depth += 1
        response = await inner(request)
    except BaseException as failure:
        error = failure
    while depth:
        depth -= 1
        frame = frames[depth]
        mending: Awaitable[web.StreamResponse] | None = None
        try:
            if response is not None:
                response = frame.answered(request, response)
        except BaseException as failure:
            error, response = failure, None
        try:  # nothing that is compiled may wait while it handles an error
            if error is not None and (mending := frame.failed(request, error)) is not None:
                response = await mending
                error = None
        except BaseException as failure:
            error = failure
        frame.left(request)
    if response is not None:
        return response
    assert error is not None
    try:
        raise error
    finally:
        error = None  # its traceback has this frame, which would have it


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
