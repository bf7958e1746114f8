"""What a bench says of itself: what it measures, in which unit, what is aimed at, and how one round is made."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, AbstractContextManager, AsyncExitStack, contextmanager
from dataclasses import dataclass
from functools import wraps
from typing import Any

from gatewayd.commands.common import new_event_loop

Measured = Mapping[str, float]
Round = Callable[[], Measured]
AsyncRound = Callable[[], Awaitable[Measured]]


class Unavailable(Exception):
    """What the bench compares with is not on this machine; the message says what."""


@dataclass(frozen=True, slots=True)
class Target:
    """Made by `at_most` and `at_least`."""

    bound: float
    upper: bool

    def met(self, figure: float) -> bool:
        return figure <= self.bound if self.upper else figure >= self.bound

    def __str__(self) -> str:
        return f"{'≤' if self.upper else '≥'} {self.bound:,g}"


def at_most(bound: float) -> Target:
    return Target(bound, upper=True)


def at_least(bound: float) -> Target:
    return Target(bound, upper=False)


@dataclass(frozen=True, slots=True)
class Figure:
    """One number that every round of a bench gives, under this name."""

    name: str
    unit: str
    what: str
    target: Target | None = None


@dataclass(frozen=True, slots=True)
class Bench:
    """Something to be measured, in a process of its own.

    `open` is given the scale (1 is the whole work of a round; less, for a quick look) and yields a round, which gives
    a number for each of the figures. It may start other processes: they run beside the core of measurement, to which
    the bench itself is bound before its first round if `pinned`. `peer`: the program that it measures gatewayd beside
    and that `make test` does not install. Picklable: `open` is a module's own function.
    """

    name: str
    figures: tuple[Figure, ...]
    open: Callable[[float], AbstractContextManager[Round]]
    pinned: bool = True
    peer: str | None = None


@dataclass(frozen=True, slots=True)
class Ratio:
    """One figure divided by another of the same round; both by their whole names, `bench.figure`."""

    name: str
    what: str
    of: str
    to: str
    target: Target | None = None


def scaled(count: int, scale: float, least: int = 1) -> int:
    """So much of the work as the scale asks for."""
    return max(int(count * scale), least)


def on_a_loop(
    opening: Callable[..., AbstractAsyncContextManager[AsyncRound]],
) -> Callable[..., AbstractContextManager[Round]]:
    """Let a bench be written with `async`: set up, measured and ended on one event loop, the daemon's own kind."""

    @wraps(opening)
    @contextmanager
    def opened(*arguments: Any, **options: Any) -> Iterator[Round]:
        with asyncio.Runner(loop_factory=new_event_loop) as runner:
            stack = AsyncExitStack()
            try:
                measure = runner.run(stack.enter_async_context(opening(*arguments, **options)))
                yield lambda: runner.run(_of(measure))
            finally:
                runner.run(stack.aclose())

    return opened


async def _of(measure: AsyncRound) -> Measured:
    return await measure()
