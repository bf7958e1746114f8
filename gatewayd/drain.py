"""The way out: whether it has begun, and which exchanges are still waited for."""

import asyncio
from collections.abc import Collection
from typing import Final

from aiohttp import web

from gatewayd.errors import Draining
from gatewayd.exchange import Exchange
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
            exchange.cut = True
            if not exchange.status:
                exchange.refused(Draining())
            break_off(exchange.request, reset=True)


DRAIN: Final = web.AppKey("drain", Drain)
