"""The way out: whether it has begun, which exchanges are still waited for, and how they are cut off."""

import asyncio
from collections.abc import Callable, Collection
from typing import Final

from aiohttp import web

from gatewayd.errors import Draining, Refusal, TokenRevoked
from gatewayd.exchange import Exchange
from gatewayd.model import Identity
from gatewayd.sent import break_off


class Drain:
    """Counts the exchanges in flight; once `begin` was called, `idle` is set when the last of them has ended."""

    def __init__(self) -> None:
        self.began = False
        self.idle = asyncio.Event()
        self._in_flight: set[Exchange] = set()

    @property
    def in_flight(self) -> int:
        return len(self._in_flight)

    @property
    def exchanges(self) -> Collection[Exchange]:
        """Those that are waited for."""
        return self._in_flight

    def enter(self, exchange: Exchange) -> None:
        self._in_flight.add(exchange)

    def leave(self, exchange: Exchange) -> None:
        self._in_flight.discard(exchange)
        if self.began and not self._in_flight:
            self.idle.set()

    def begin(self) -> None:
        self.began = True
        if not self._in_flight:
            self.idle.set()

    def cut(self) -> None:
        """The deadline has passed: what is still in flight ends now, by our doing and not by the caller's."""
        for exchange in tuple(self._in_flight):
            _cut(exchange, Draining())

    def cut_refused(self, refuses: Callable[[Identity], bool]) -> int:
        """End the exchanges of callers who were let in and now are refused; how many that were."""
        refused = [each for each in self._in_flight if each.proved is not None and refuses(each.proved)]
        for exchange in refused:
            _cut(exchange, TokenRevoked())
        return len(refused)


def _cut(exchange: Exchange, why: Refusal) -> None:
    exchange.cut = why
    if not exchange.status:
        exchange.refused(why)
    break_off(exchange.request, reset=True)


DRAIN: Final = web.AppKey("drain", Drain)
