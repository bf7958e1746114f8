"""The ring as requests go through it: an application's middlewares around its one handler, joined once.

aiohttp would join them for each request anew.
"""

from collections.abc import Awaitable
from functools import partial

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from gatewayd.exchange import Exchange, exchange_of
from gatewayd.policies.base import Admit, Gate


def whole_ring(app: web.Application) -> Handler:
    """The application's middlewares around its one handler, joined once: aiohttp would for each request anew."""
    (route,) = app.router.routes()
    ring: Handler = route.handler
    for middleware in reversed(app.middlewares):
        unmarked = middleware.func if isinstance(middleware, partial) else middleware
        if not isinstance(unmarked, Gate):
            ring = _Around(ring, unmarked)
        elif isinstance(ring, _Behind):
            ring = _Behind([unmarked.admit, *ring.gates], ring.inner)
        else:
            ring = _Behind([unmarked.admit], ring)
    return ring


class _Behind:
    """What is behind gates that stand in a row. Where none of them has to wait, there is no coroutine for them."""

    def __init__(self, gates: list[Admit], inner: Handler) -> None:
        self.gates = gates
        self.inner = inner

    def __call__(self, request: web.Request) -> Awaitable[web.StreamResponse]:
        return self._enter(request, exchange_of(request), 0) or self.inner(request)

    def _enter(self, request: web.Request, exchange: Exchange, index: int) -> Awaitable[web.StreamResponse] | None:
        """Pass the gates from this one on; what is to be awaited instead if one of them makes us wait."""
        gates = self.gates
        while index < len(gates):
            admit = gates[index]
            index += 1
            if (waiting := admit(request, exchange)) is not None:
                return self._wait_and_enter(request, exchange, waiting, index)
        return None

    async def _wait_and_enter(
        self, request: web.Request, exchange: Exchange, waiting: Awaitable[None], index: int
    ) -> web.StreamResponse:
        await waiting
        return await (self._enter(request, exchange, index) or self.inner(request))


class _Around:
    """A middleware around what is further in. A `partial` with a keyword would make a dictionary for each call."""

    def __init__(self, inner: Handler, middleware: Middleware) -> None:
        self._inner = inner
        self._middleware = middleware

    def __call__(self, request: web.Request) -> Awaitable[web.StreamResponse]:
        return self._middleware(request, self._inner)
