"""What a request has at hand is what aiohttp would look up, and its application is the one that it was made for."""

import asyncio
from functools import partial
from typing import Any

import pytest
from aiohttp import web
from aiohttp.web_server import Server

from gatewayd.edge.parser import EdgeLimits
from gatewayd.edge.request import EdgeRequest
from gatewayd.edge.server import EdgeServer
from gatewayd.errors import Refusal
from tests.agents import talk

AT_HAND = ("content", "keep_alive", "method", "protocol", "raw_headers", "raw_path", "remote", "version")


@pytest.mark.parametrize("target", [b"/a%20b?c", b"http://x/a?c", b"//a"])
async def test_a_request_begins_as_aiohttp_would_begin_it(target: bytes) -> None:
    found: list[tuple[dict[str, object], dict[str, object]]] = []

    def begun(message: Any, payload: Any, protocol: Any, writer: Any, task: Any) -> web.BaseRequest:
        loop = asyncio.get_running_loop()
        ours = EdgeRequest(message, payload, protocol, writer, task, loop)
        theirs = web.Request(message, payload, protocol, writer, task, loop)
        names = web.Request.ATTRS | set(vars(theirs))
        found.append(
            ({name: getattr(ours, name, None) for name in names}, {name: getattr(theirs, name, None) for name in names})
        )
        return ours

    async def handler(_request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(text="ok")

    server = EdgeServer(Server(handler, request_factory=begun), EdgeLimits(5, 75, 4096, 10), _malformed)
    listening = await asyncio.get_running_loop().create_server(server, "127.0.0.1", 0)
    said = b"GET " + target + b" HTTP/1.1\r\nHost: x\r\n\r\n"
    assert await talk(listening.sockets[0].getsockname()[1], said, until=b"ok")
    listening.close()
    await server.shutdown(1)
    ((ours, theirs),) = found
    assert ours == theirs


@pytest.mark.parametrize("version", [b"1.1", b"1.0"])
async def test_what_is_at_hand_is_what_aiohttp_would_answer(version: bytes) -> None:
    seen: list[dict[str, tuple[object, object]]] = []
    apps: list[web.Application] = []
    app = web.Application()

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        assert isinstance(request, EdgeRequest)
        theirs = {name: getattr(web.Request, name).__get__(request, web.Request) for name in AT_HAND}
        seen.append({name: (getattr(request, name), theirs[name]) for name in AT_HAND})
        apps.extend([request.app, request.match_info.current_app])
        return web.Response(text="ok")

    app.router.add_route("*", "/{path:.*}", handler)
    requests: Any = partial(EdgeRequest.of(app), loop=asyncio.get_running_loop())
    server = EdgeServer(Server(handler, request_factory=requests), EdgeLimits(5, 75, 4096, 10), _malformed)
    listening = await asyncio.get_running_loop().create_server(server, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    said = b"POST /a%20b?c HTTP/" + version + b"\r\nHost: x\r\nX-A: 1\r\nContent-Length: 2\r\n\r\nhi"
    assert await talk(port, said, until=b"ok")
    listening.close()
    await server.shutdown(1)
    (found,) = seen
    assert all(ours == theirs for ours, theirs in found.values()), found
    assert apps == [app, app]


def _malformed(_request: web.BaseRequest, refusal: Refusal) -> web.StreamResponse:
    return web.Response(status=refusal.status)
