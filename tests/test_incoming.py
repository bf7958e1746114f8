"""A request as the ring takes it says what aiohttp's would say, which is made when somebody asks for it."""

import asyncio
from typing import Any, cast

import pytest
from aiohttp import web
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http import HttpVersion11
from aiohttp.streams import StreamReader
from aiohttp.test_utils import make_mocked_request

from gatewayd.edge.parser import EdgeLimits
from gatewayd.edge.request import EdgeRequest
from gatewayd.edge.server import EdgeServer
from gatewayd.edge.whole import stream_of
from gatewayd.errors import Refusal
from gatewayd.exchange import EXCHANGE, Exchange, enter, exchange_of, leave, whole_of
from gatewayd.incoming import Caller, Incoming
from gatewayd.policies.base import Inner, middleware
from gatewayd.ring import whole_ring
from gatewayd.sent import Sent
from tests.agents import talk
from tests.clocks import ManualClock
from tests.policies.rings import EMAIL, Ring

ALIKE = (
    "_transport_sslcontext",
    "app",
    "content",
    "keep_alive",
    "method",
    "plain_head",
    "protocol",
    "raw_headers",
    "raw_path",
    "remote",
    "task",
    "transport",
    "version",
)
PLAIN = b"POST /a%20b?c HTTP/1.1\r\nHost: x\r\nX-A: 1\r\nContent-Length: 2\r\n\r\nhi"


def malformed(_request: web.BaseRequest, refusal: Refusal) -> web.StreamResponse:
    return web.Response(status=refusal.status)


async def asked(said: bytes, app: web.Application, *, until: bytes = b"ok") -> None:
    """Say that to the application's ring, behind connections of ours."""
    from_ring: Any = whole_ring(app)
    options: Any = {"request_factory": EdgeRequest.of(app)}
    server = EdgeServer(web.Server(from_ring, **options), EdgeLimits(5, 75, 4096, 10), malformed, ring_of=app)
    listening = await asyncio.get_running_loop().create_server(server, "127.0.0.1", 0)
    assert await talk(listening.sockets[0].getsockname()[1], said, until=until)
    listening.close()
    await server.shutdown(1)


def answering(handler: Any, *middlewares: Any) -> web.Application:
    app = web.Application(middlewares=middlewares)
    app.router.add_route("*", "/{path:.*}", handler)
    return app


@pytest.mark.parametrize(
    "said",
    [
        PLAIN,
        PLAIN.replace(b"HTTP/1.1", b"HTTP/1.0"),
        PLAIN.replace(b"X-A: 1", b"Connection: close"),
        b"GET http://x/a?c HTTP/1.1\r\nHost: x\r\n\r\n",
    ],
    ids=["plain", "old", "the last one", "absolute form"],
)
async def test_it_says_what_aiohttps_request_says(said: bytes) -> None:
    found: list[tuple[dict[str, object], dict[str, object]]] = []

    async def handler(request: Incoming) -> web.StreamResponse:
        whole = request.whole()
        ours = {name: getattr(request, name) for name in ALIKE}
        found.append((ours, {name: getattr(whole, name) for name in ALIKE}))
        assert request.writer is whole.writer
        assert request.whole() is whole
        return web.Response(text="ok")

    await asked(said, answering(handler))
    ((ours, theirs),) = found
    assert ours == theirs


async def test_nobody_who_forwards_makes_aiohttps_request() -> None:
    made: list[bool] = []

    async def handler(request: Incoming) -> web.StreamResponse:
        request.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        made.append(request.has_whole)
        return Sent(200, keep_alive=True)

    async def around(request: Incoming, inner: Inner) -> web.StreamResponse:
        response = await inner(request)
        made.append(request.has_whole)
        return response

    await asked(PLAIN, answering(handler, middleware(around)))
    assert made == [False, False]


async def test_a_middleware_of_a_stranger_gets_aiohttps_request_with_the_exchange(clock: ManualClock) -> None:
    seen: list[object] = []

    async def pin(request: Incoming, inner: Inner) -> web.StreamResponse:
        exchange = Exchange(request, Ring(EMAIL, clock).generation, clock)
        enter(request, exchange)
        seen.append(exchange)
        response = await inner(request)
        leave(request)
        seen.extend([request.exchange, EXCHANGE in request.whole()])
        return response

    @web.middleware
    async def stranger(request: web.Request, handler: Any) -> web.StreamResponse:
        seen.append(request[EXCHANGE])
        return cast("web.StreamResponse", await handler(request))

    async def handler(request: web.Request) -> web.StreamResponse:
        seen.append(exchange_of(request))
        return web.Response(text=await request.text() + " ok")

    await asked(PLAIN, answering(handler, middleware(pin), stranger), until=b"hi ok")
    exchange, *others = seen
    assert others == [exchange, exchange, None, False]


async def test_its_task_is_forgotten_once_it_was_answered() -> None:
    kept: list[Incoming] = []

    async def handler(request: Incoming) -> web.StreamResponse:
        assert request.task is request.whole().task is asyncio.current_task()
        kept.append(request)
        return web.Response(text="ok")

    await asked(PLAIN, answering(handler))
    assert kept[0].task is None
    assert kept[0].whole()._task is None


async def test_who_reads_its_body_hears_that_the_connection_is_lost() -> None:
    body = StreamReader(BaseProtocol(asyncio.get_running_loop()), 1024, loop=asyncio.get_running_loop())
    caller = Caller(web.Application(), cast("Any", None), stream_of, None, None)
    request = Incoming(caller, None, body, b"", None, None, None, "POST", "/", HttpVersion11, True, None)
    lost = ConnectionResetError("gone")
    request._cancel(lost)
    with pytest.raises(ConnectionResetError) as heard:
        await body.read()
    assert heard.value is lost


def test_a_request_of_aiohttps_is_its_own() -> None:
    request = make_mocked_request("GET", "/")
    assert whole_of(request) is request
