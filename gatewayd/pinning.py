"""Where a request begins: it gets its Exchange, and is pinned to the generation in force at that moment."""

from collections import Counter
from typing import cast

from aiohttp import web

from gatewayd.clock import Clock, at_hand
from gatewayd.drain import Drain
from gatewayd.exchange import Exchange, enter, exchange_of, leave
from gatewayd.generation import Generation
from gatewayd.incoming import Asked, Incoming
from gatewayd.policies.base import Frame, Middleware, middleware


class Generations:
    """The generation in force. Mutable: a reload swaps it; a request keeps the one that it began with."""

    def __init__(self, first: Generation, clock: Clock, drain: Drain) -> None:
        self.current = first
        self._clock = at_hand(clock)
        self._drain = drain

    def adopt(self, generation: Generation) -> None:
        """Requests begin on this one from now on."""
        self.current = generation

    @property
    def running(self) -> Counter[int]:
        """Requests in flight by the number of the generation that they began with."""
        return Counter([exchange.generation.number for exchange in self._drain.exchanges])

    def pinning(self) -> Middleware:
        """The middleware in which a request begins."""
        return middleware(_Pin(self, self._drain))

    def begin(self, request: Incoming | web.BaseRequest) -> Exchange:
        """A request's record, pinned to the generation in force."""
        exchange = Exchange(cast("Asked", request), self.current, self._clock)
        exchange.client = request.remote or "unix"
        return exchange


class _Pin(Frame):
    """In here a request is pinned, and counted until it has ended."""

    __slots__ = ("_drain", "_generations")

    def __init__(self, generations: Generations, drain: Drain) -> None:
        self._generations = generations
        self._drain = drain

    def enter(self, request: Asked) -> None:
        exchange = self._generations.begin(request)
        enter(request, exchange)
        self._drain.enter(exchange)

    def answered(self, _request: Asked, response: web.StreamResponse) -> web.StreamResponse:
        if self._drain.closing and isinstance(response, web.Response):  # a head that was sent has its word
            response.force_close()
        return response

    def left(self, request: Asked) -> None:
        exchange = exchange_of(request)
        try:
            self._drain.leave(exchange)
        finally:
            leave(request)
            if exchange.leave is not None:
                exchange.leave()
