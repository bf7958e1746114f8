"""Something that is being opened: it can be awaited, entered, or gone through; nothing is sent before that."""

from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from types import TracebackType
from typing import Any, Generic, Protocol, Self, TypeVar

E_co = TypeVar("E_co", covariant=True)


class Entered(Protocol):
    """What is open until it is left."""

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Events(Entered, Protocol[E_co]):
    def __aiter__(self) -> AsyncIterator[E_co]: ...


S = TypeVar("S", bound=Entered)
I = TypeVar("I", bound=Events[Any])  # noqa: E741
E = TypeVar("E")


class Opening(Generic[S]):
    """`async with` opens and closes it; `await` opens it, and whoever awaits closes it."""

    def __init__(self, opener: Callable[[], Awaitable[S]]) -> None:
        self._open = opener
        self._opened: S | None = None

    def __await__(self) -> Generator[Any, Any, S]:
        return self._open().__await__()

    async def __aenter__(self) -> S:
        self._opened = await self
        return self._opened

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._opened is not None
        await self._opened.__aexit__(kind, error, trace)


class OpeningEvents(Opening[I], Generic[I, E]):
    """The same, and `async for` goes through what it gives, and closes it then."""

    async def __aiter__(self) -> AsyncIterator[E]:
        async with self as opened:
            async for event in opened:
                yield event
