"""Where a request begins: it gets its Exchange, and is pinned to the generation in force at that moment."""

from collections import Counter
from typing import cast

from aiohttp import web

from gatewayd.clock import Clock
from gatewayd.drain import Drain
from gatewayd.exchange import Exchange, enter, leave
from gatewayd.generation import Generation
from gatewayd.incoming import Asked, Incoming
from gatewayd.policies.base import Inner, Middleware, middleware


class Generations:
    """The generation in force. Mutable: a reload swaps it; a request keeps the one that it began with."""

    def __init__(self, first: Generation, clock: Clock, drain: Drain) -> None:
        self.current = first
        self._clock = clock
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
        return middleware(self._pin)

    async def _pin(self, request: Asked, handler: Inner) -> web.StreamResponse:
        exchange = self.begin(request)
        enter(request, exchange)
        drain = self._drain
        drain.enter(exchange)
        try:
            response = await handler(request)
            if drain.closing and isinstance(response, web.Response):  # a head that was sent has its word
                response.force_close()
            return response
        finally:
            drain.leave(exchange)
            if exchange.leave is not None:
                exchange.leave()
            leave(request)

    def begin(self, request: Incoming | web.BaseRequest) -> Exchange:
        """A request's record, pinned to the generation in force."""
        exchange = Exchange(cast("Asked", request), self.current, self._clock)
        exchange.client = request.remote or "unix"
        return exchange
