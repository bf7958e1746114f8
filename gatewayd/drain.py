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
        self.in_flight = 0
        self._last: Exchange | None = None  # of those in flight, who stand in a row and know their neighbours

    @property
    def exchanges(self) -> Collection[Exchange]:
        """Those that are waited for, as they are at this moment, the newest first."""
        found: list[Exchange] = []
        exchange = self._last
        while exchange is not None:
            found.append(exchange)
            exchange = exchange.before
        return found

    def enter(self, exchange: Exchange) -> None:
        last = self._last
        if last is not None:
            last.after = exchange
            exchange.before = last
        self._last = exchange
        exchange.in_flight = True
        self.in_flight += 1

    def leave(self, exchange: Exchange) -> None:
        """It is over, if it was in flight."""
        if exchange.in_flight:
            self._part(exchange)
        if self._waiting and not self.in_flight:
            self.idle.set()

    def _part(self, exchange: Exchange) -> None:
        before, after = exchange.before, exchange.after
        if before is not None:
            before.after = after
        if after is not None:
            after.before = before
        else:
            self._last = before
        exchange.before = exchange.after = None
        exchange.in_flight = False
        self.in_flight -= 1

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
        if not self.in_flight:
            self.idle.set()

    def cut(self) -> None:
        """The deadline has passed: what is still in flight ends now, by our doing and not by the caller's."""
        for exchange in self.exchanges:
            if exchange.farewell is None or not exchange.farewell():
                _cut(exchange, Draining())

    def cut_refused(self, refuses: Callable[[Identity], bool]) -> int:
        """End the exchanges of callers who were let in and now are refused; how many that were."""
        refused = [each for each in self.exchanges if each.proved is not None and refuses(each.proved)]
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
