"""The ring as requests go through it: an application's middlewares around its one handler, joined once.

aiohttp would join them for each request anew.
"""

from collections.abc import Awaitable
from functools import partial
from typing import Any, Final, cast

from aiohttp import web
from aiohttp.typedefs import Middleware

from gatewayd.course import Course, Ring
from gatewayd.exchange import Exchange, exchange_of, whole_of
from gatewayd.incoming import Asked
from gatewayd.policies.base import Admit, Frame, Gate, Inner, surround

HEART: Final = web.AppKey[Inner]("heart")
"""What answers in the middle, where it need not be a coroutine function, as aiohttp asks of its handlers."""


def whole_ring(app: web.Application) -> Inner:
    """The application's middlewares around its one handler, joined once: aiohttp would for each request anew."""
    (route,) = app.router.routes()
    ring = app.get(HEART) or cast("Inner", route.handler)
    for middleware in reversed(app.middlewares):
        if not isinstance(middleware, partial):
            ring = _AroundWhole(ring, middleware)
            continue
        unmarked = middleware.func
        if isinstance(unmarked, Gate):
            gates, inner = (ring.gates, ring.inner) if isinstance(ring, _Behind) else ([], ring)
            ring = _Behind([unmarked.admit, *gates], inner)
        elif isinstance(unmarked, Frame):
            frames, inner = (ring.frames, ring.inner) if isinstance(ring, _Within) else ([], ring)
            ring = _Within([unmarked, *frames], inner)
        else:
            ring = _Around(ring, unmarked)
    return ring


class _Within(Ring):
    """What is within frames that stand in a row, in one course for all of them."""

    def __init__(self, frames: list[Frame], inner: Inner) -> None:
        self.frames = frames
        self.inner = inner

    def begin(self, request: Asked) -> Course:
        return surround(self.frames, self.inner, request)

    def __call__(self, request: Asked) -> Awaitable[web.StreamResponse]:
        return self.begin(request)


class _Behind:
    """What is behind gates that stand in a row. Where none of them has to wait, there is no coroutine for them."""

    def __init__(self, gates: list[Admit], inner: Inner) -> None:
        self.gates = gates
        self.inner = inner

    def __call__(self, request: Asked) -> Awaitable[web.StreamResponse]:
        return self._enter(request, exchange_of(request), 0) or self.inner(request)

    def _enter(self, request: Asked, exchange: Exchange, index: int) -> Awaitable[web.StreamResponse] | None:
        """Pass the gates from this one on; what is to be awaited instead if one of them makes us wait."""
        gates = self.gates
        while index < len(gates):
            admit = gates[index]
            index += 1
            if (waiting := admit(exchange)) is not None:
                return self._wait_and_enter(request, exchange, waiting, index)
        return None

    async def _wait_and_enter(
        self, request: Asked, exchange: Exchange, waiting: Awaitable[None], index: int
    ) -> web.StreamResponse:
        await waiting
        return await (self._enter(request, exchange, index) or self.inner(request))


class _Around:
    """A middleware around what is further in. A `partial` with a keyword would make a dictionary for each call."""

    def __init__(self, inner: Inner, middleware: Any) -> None:
        self._inner = inner
        self._middleware = middleware

    def __call__(self, request: Asked) -> Awaitable[web.StreamResponse]:
        found: Awaitable[web.StreamResponse] = self._middleware(request, self._inner)
        return found


class _AroundWhole:
    """The same for a middleware that is no policy's: it is written for aiohttp's requests, and gets one."""

    def __init__(self, inner: Inner, middleware: Middleware) -> None:
        self._inner = inner
        self._middleware = middleware

    def __call__(self, request: Asked) -> Awaitable[web.StreamResponse]:
        return self._middleware(whole_of(request), self._inner)
