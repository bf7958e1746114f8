"""The way out: whether it has begun, which exchanges are still waited for, and how they are cut off."""

import asyncio
from collections.abc import Callable, Collection
from typing import Final

from aiohttp import web

from gatewayd.errors import Draining, Refusal, TokenRevoked
from gatewayd.exchange import Exchange
from gatewayd.kept import Kept
from gatewayd.model import Identity
from gatewayd.sent import break_off


class Drain:
    """The exchanges in flight, and how far the way out is gone: first `ready` is False, which load balancers see;
    then connections are `closing`, each after its present answer; then it `began`, and new requests are refused.
    """

    def __init__(self) -> None:
        self.ready = True
        self.closing = False
        self.began = False
        self.idle = asyncio.Event()
        self._waiting = False
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
        if self._waiting and not self._in_flight:
            self.idle.set()

    def give_notice(self) -> None:
        """No more callers are wanted here; those who have a connection get an answer on it, their last one."""
        self.ready = False
        self.closing = True

    def retire(self) -> None:
        """Others go on here with the same callers: who has a connection gets its last answer, nobody is told to go."""
        self.closing = True

    def begin(self) -> None:
        """New requests are refused from now on."""
        self.give_notice()
        self.began = True
        self.await_end()

    def await_end(self) -> None:
        """Nothing new comes any more: be `idle` when the last exchange has left."""
        self._waiting = True
        if not self._in_flight:
            self.idle.set()

    def cut(self) -> None:
        """The deadline has passed: what is still in flight ends now, by our doing and not by the caller's."""
        for exchange in tuple(self._in_flight):
            if exchange.farewell is None or not exchange.farewell():
                _cut(exchange, Draining())

    def cut_refused(self, refuses: Callable[[Identity], bool]) -> int:
        """End the exchanges of callers who were let in and now are refused; how many that were."""
        refused = [each for each in self._in_flight if each.proved is not None and refuses(each.proved)]
        for exchange in refused:
            _cut(exchange, TokenRevoked())
        return len(refused)


def _cut(exchange: Exchange, why: Refusal) -> None:
    """Who has nothing of an answer yet is told why, if the exchange can still tell; else the answer breaks off."""
    exchange.cut = why
    task = exchange.request.task
    if exchange.sent or exchange.code or task is None:
        break_off(exchange.request, reset=True)
    elif exchange.outcome is None:  # whose books are closed as delivered gets what was paid for
        exchange.refused(why)
        task.cancel()


DRAIN: Final = web.AppKey("drain", Drain)
_kept: Final = Kept(DRAIN)


def drain_of(app: web.Application) -> Drain:
    """What `app[DRAIN]` is."""
    return _kept.of(app)
