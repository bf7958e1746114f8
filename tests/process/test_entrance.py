"""Where a worker takes callers from; that nobody is refused meanwhile is in test_reload."""

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from gatewayd.edge.server import EdgeRunner
from gatewayd.process.entrance import Door, Entrance
from gatewayd.process.tls import certificate
from tests.agents import talk
from tests.process.settings import settings

PLAIN = certificate(None)
ASK = b"GET / HTTP/1.0\r\nHost: a\r\n\r\n"


async def hello(_: web.Request) -> web.Response:
    return web.Response(text="hello")


def malformed(_request: web.BaseRequest, _refusal: object) -> web.Response:
    return web.Response(status=400)


@pytest.fixture
async def entrance() -> AsyncIterator[Entrance]:
    app = web.Application()
    app.router.add_get("/", hello)
    runner = EdgeRunner(app, settings().server, malformed)
    await runner.setup()
    entrance = Entrance(runner)
    yield entrance
    await entrance.be_at({}, PLAIN, 5)
    await runner.cleanup()


def door(number: int, *, has_heir: bool = False) -> Door:
    sock = socket.create_server(("127.0.0.1", 0))
    sock.setblocking(False)
    return Door(number, sock, has_heir)


def port(door: Door) -> int:
    return int(door.sock.getsockname()[1])


async def test_it_moves_and_closes_what_it_left(entrance: Entrance) -> None:
    one, two = door(1), door(2)
    await entrance.be_at({1: one}, PLAIN, 5)
    assert b"hello" in await talk(port(one), ASK)
    was = port(one)
    await entrance.be_at({2: two}, PLAIN, 5)
    assert b"hello" in await talk(port(two), ASK)
    assert one.sock.fileno() == -1
    with pytest.raises(ConnectionRefusedError):
        await talk(was, ASK)


async def test_who_waits_at_a_door_that_is_closed_is_let_in_before(entrance: Entrance) -> None:
    one, two = door(1), door(2)
    await entrance.be_at({1: one}, PLAIN, 5)
    with socket.create_connection(("127.0.0.1", port(one))) as caller:  # in the queue: the loop had no turn yet
        caller.sendall(ASK)
        await entrance.be_at({2: two}, PLAIN, 5, closed=[1])
        caller.setblocking(False)
        answer = await asyncio.get_running_loop().sock_recv(caller, 1000)
    assert b"200 OK" in answer


async def test_where_it_took_leave_callers_wait_in_the_queue_for_who_comes(entrance: Entrance) -> None:
    one = door(1)
    await entrance.be_at({1: one}, PLAIN, 5)
    await entrance.leave()
    waiting = asyncio.create_task(talk(port(one), ASK))
    await entrance.be_at({1: one}, PLAIN, 5)
    assert b"hello" in await waiting


async def test_only_doors_with_an_heir_are_left_to_him(entrance: Entrance) -> None:
    ours, systemds = door(1), door(2, has_heir=True)
    await entrance.be_at({1: ours, 2: systemds}, PLAIN, 5)
    assert not await entrance.leave_to_heirs()
    assert b"hello" in await talk(port(ours), ASK)
    await entrance.be_at({2: systemds}, PLAIN, 5)
    assert await entrance.leave_to_heirs()
