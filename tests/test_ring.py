"""Middlewares joined once are middlewares still: in their order, and each with what it is to see."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from functools import partial

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from aiohttp.web_urldispatcher import UrlMappingMatchInfo

from gatewayd.errors import RoleDenied
from gatewayd.exchange import EXCHANGE, Exchange
from gatewayd.policies import access_log, faults
from gatewayd.policies.access_log import REPORTERS
from gatewayd.policies.base import Gate, Handler, Middleware, gate, middleware
from gatewayd.ring import HEART, whole_ring
from gatewayd.sent import Sent
from tests.clocks import ManualClock
from tests.policies.rings import EMAIL, Ring

Waits = Callable[[], Awaitable[None]]


class Walk:
    """What a request went through, and the request."""

    def __init__(self, clock: ManualClock) -> None:
        self.passed: list[str] = []
        self.request = make_mocked_request("GET", "/")
        self.request[EXCHANGE] = Exchange(self.request, Ring(EMAIL, clock).generation, clock)

    def around(self, name: str) -> Middleware:
        async def around(request: web.Request, handler: Handler) -> web.StreamResponse:
            self.passed.append(f"into {name}")
            try:
                return await handler(request)
            finally:
                self.passed.append(f"out of {name}")

        return middleware(around)

    def gate(self, name: str, waits: Waits | None = None) -> Middleware:
        def admit(exchange: Exchange) -> Awaitable[None] | None:
            assert exchange == self.request[EXCHANGE]
            self.passed.append(name)
            return waits() if waits is not None else None

        return gate(admit)

    async def handle(self, _request: web.Request) -> web.StreamResponse:
        self.passed.append("answered")
        return web.Response()

    def ring(self, *middlewares: Middleware) -> Handler:
        app = web.Application(middlewares=middlewares)
        app.router.add_route("*", "/", self.handle)
        return whole_ring(app)


@pytest.fixture
def walk(clock: ManualClock) -> Walk:
    return Walk(clock)


@pytest.mark.parametrize("waits", [None, lambda: asyncio.sleep(0)], ids=["at once", "waiting"])
async def test_a_request_meets_all_of_them_in_their_order(walk: Walk, waits: Waits | None) -> None:
    ring = walk.ring(
        walk.around("a"), walk.gate("b", waits), walk.gate("c"), walk.gate("d", waits), walk.around("e"), walk.gate("f")
    )
    assert (await ring(walk.request)).status == 200
    assert walk.passed == ["into a", "b", "c", "d", "into e", "f", "answered", "out of e", "out of a"]


@pytest.mark.parametrize("late", [False, True], ids=["at once", "after waiting"])
async def test_who_is_refused_at_a_gate_goes_no_further(walk: Walk, late: bool) -> None:
    async def refuse() -> None:
        raise RoleDenied

    def refuse_at_once() -> Awaitable[None]:
        raise RoleDenied

    ring = walk.ring(
        walk.around("a"), walk.gate("b"), walk.gate("c", refuse if late else refuse_at_once), walk.gate("d")
    )
    with pytest.raises(RoleDenied):
        await ring(walk.request)
    assert walk.passed == ["into a", "b", "c", "out of a"]


async def test_gates_that_let_in_at_once_cost_no_coroutine(walk: Walk) -> None:
    found = walk.ring(walk.gate("a"), walk.gate("b"))(walk.request)
    assert walk.passed == ["a", "b"]
    assert inspect.iscoroutine(found)
    assert found.cr_code is Walk.handle.__code__
    await found


async def test_a_gate_is_a_middleware_of_aiohttp_too(walk: Walk) -> None:
    for waits in (None, lambda: asyncio.sleep(0)):
        marked = walk.gate("a", waits)
        assert isinstance(marked.func, Gate)  # type: ignore[attr-defined]  # what `middleware` marks is a partial
        assert (await marked(walk.request, walk.handle)).status == 200
    assert walk.passed == ["a", "answered"] * 2


# Frames


class Spoiled(web.Response):
    """An answer that fails once somebody looks at it."""

    @property
    def status(self) -> int:
        raise LookupError


ENDINGS: list[web.StreamResponse | BaseException] = [
    web.Response(text="fine"),
    Sent(200, keep_alive=True),
    Spoiled(),
    RoleDenied(),
    web.HTTPNotFound(),
    RuntimeError(),
    asyncio.CancelledError(),
    KeyboardInterrupt(),
]


async def come_to(
    clock: ManualClock, ending: web.StreamResponse | BaseException, *, joined: bool, fault: BaseException | None = None
) -> list[object]:
    """What everybody learns of a request in the gateway's own frames that ends so; `fault` is raised behind its end."""
    ring = Ring(EMAIL, clock)
    seen: list[object] = []

    async def handle(request: web.Request) -> web.StreamResponse:
        exchange = request[EXCHANGE]
        exchange.on_conclusion(lambda _: seen.append("concluded"))
        seen.append(ring.drain.in_flight)
        if isinstance(ending, BaseException):
            raise ending
        return ending

    def report(exchange: Exchange) -> None:
        seen.append((exchange.status, exchange.code, exchange.bytes_out, ring.drain.in_flight))
        if fault is not None:
            raise fault

    frames = [ring.generations.pinning(), access_log.POLICY.middleware, faults.POLICY.middleware]
    app = web.Application(middlewares=frames)
    app.router.add_route("*", "/", handle)
    app[REPORTERS] = (report,)
    ring.drain.closing = True
    request = make_mocked_request("GET", "/", app=app)
    request._match_info = UrlMappingMatchInfo({}, next(iter(app.router.routes())))
    request._match_info.add_app(app)
    handler: Handler = handle
    for frame in reversed(frames):
        handler = partial(frame, handler=handler)
    try:
        answered = await (whole_ring(app) if joined else handler)(request)
        seen += [type(answered), answered.keep_alive]
    except BaseException as error:
        seen.append(type(error))
    return [*seen, ring.drain.in_flight, EXCHANGE in request]


@pytest.mark.parametrize("ending", ENDINGS, ids=lambda each: type(each).__name__)
async def test_frames_in_a_row_come_to_what_each_comes_to_around_the_next(
    clock: ManualClock, ending: web.StreamResponse | BaseException
) -> None:
    alone = await come_to(clock, ending, joined=False)
    assert alone == await come_to(clock, ending, joined=True)
    assert ("concluded" in alone, alone[-2:]) == (True, [0, False])


@pytest.mark.parametrize("ending", ENDINGS, ids=lambda each: type(each).__name__)
async def test_a_frame_that_fails_where_it_is_left_keeps_no_other_one_from_being_left(
    clock: ManualClock, ending: web.StreamResponse | BaseException
) -> None:
    fault = KeyboardInterrupt()  # a reporter's mere exception goes nowhere
    alone = await come_to(clock, ending, joined=False, fault=fault)
    assert alone == await come_to(clock, ending, joined=True, fault=fault)
    assert alone[-3:] == [KeyboardInterrupt, 0, False]


async def test_frames_in_a_row_are_one_coroutine(walk: Walk) -> None:
    app = web.Application(middlewares=[access_log.POLICY.middleware, faults.POLICY.middleware])
    app.router.add_route("*", "/", walk.handle)
    ring = whole_ring(app)
    assert (len(ring.frames), ring.inner) == (2, walk.handle)  # type: ignore[attr-defined]


async def test_a_heart_answers_in_the_handlers_place_and_need_not_be_a_coroutine_function(walk: Walk) -> None:
    app = web.Application()
    app.router.add_route("*", "/", walk.handle)
    app[HEART] = lambda request: walk.handle(request)  # type: ignore[arg-type]
    assert (await whole_ring(app)(walk.request)).status == 200
    assert whole_ring(app) is app[HEART]
