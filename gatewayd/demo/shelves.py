"""Bounded stores: a shelf keeps the newest items of a user, and the users unseen for longest are forgotten."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from aiohttp import web

from gatewayd.demo.api import query_integer

T = TypeVar("T")
_NEWEST = 10**15 - 1


class Recent(Generic[T]):
    """One `T` for each of the `most` keys (users, sessions) used last, made when a key is first used."""

    def __init__(self, make: Callable[[str], T], most: int) -> None:
        self._make = make
        self._most = most
        self._kept: OrderedDict[str, T] = OrderedDict()

    def of(self, key: str) -> T:
        if key not in self._kept:
            self._kept[key] = self._make(key)
        self._kept.move_to_end(key)
        if len(self._kept) > self._most:
            self._kept.popitem(last=False)
        return self._kept[key]


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Part of a shelf; `next_cursor` asks for the part after it, None when there is none."""

    items: tuple[T, ...]
    next_cursor: str | None


class Shelf(Generic[T]):
    """The `most` newest items of one user, each under its id."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._count = 0
        self._items: OrderedDict[str, tuple[int, T]] = OrderedDict()

    def put(self, key: str, item: T) -> None:
        """Adds an item, or replaces the one of that id where it stands."""
        number = self._items[key][0] if key in self._items else self._next()
        self._items[key] = (number, item)
        if len(self._items) > self._most:
            self._items.popitem(last=False)

    def _next(self) -> int:
        self._count += 1
        return self._count

    def get(self, key: str) -> T | None:
        entry = self._items.get(key)
        return entry[1] if entry else None

    def page(self, limit: int, before: int = _NEWEST, keep: Callable[[T], bool] = lambda _: True) -> Page[T]:
        """Up to `limit` items, newest first, of those older than the cursor; new arrivals shift nothing."""
        found = [(n, item) for n, item in reversed(self._items.values()) if n < before and keep(item)]
        shown = found[:limit]
        more = len(found) > limit
        return Page(tuple(item for _, item in shown), str(shown[-1][0]) if more else None)


def requested_page(request: web.Request, shelf: Shelf[T], keep: Callable[[T], bool] = lambda _: True) -> Page[T]:
    """The part of a shelf that `?limit=` and `?cursor=` ask for; raises `Fault` when they are not numbers."""
    limit = query_integer(request, "limit", default=20, low=1, high=100)
    return shelf.page(limit, query_integer(request, "cursor", default=_NEWEST, low=0, high=_NEWEST), keep)
