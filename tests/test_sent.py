"""Connections that end so that whoever is at the other end can tell how, on asyncio's loop and on uvloop's."""

import asyncio
import socket
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
import uvloop
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from gatewayd import sent
from gatewayd.sent import BrokenOff, Sent, break_off, hang_up
from tests.patience import PATIENCE

LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


class Accepting(asyncio.Protocol):
    def __init__(self) -> None:
        self.accepted: asyncio.Future[asyncio.Transport] = asyncio.get_running_loop().create_future()
        self.lost = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport) or hasattr(transport, "write")
        self.accepted.set_result(transport)  # type: ignore[arg-type]

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set()


Scene = Callable[[asyncio.Transport, socket.socket, Accepting], Coroutine[Any, Any, None]]


async def staged(scene: Scene) -> None:
    """A transport, the socket at its other end, and what keeps the transport."""
    loop = asyncio.get_running_loop()
    accepting = Accepting()
    server = await loop.create_server(lambda: accepting, "127.0.0.1", 0)
    try:
        with socket.socket() as other:
            other.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            other.setblocking(False)
            await loop.sock_connect(other, server.sockets[0].getsockname())
            await scene(await accepting.accepted, other, accepting)
    finally:
        server.close()


def on(loop: str, scene: Scene) -> None:
    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        runner.run(staged(scene))


def request_on(transport: asyncio.Transport | None) -> web.BaseRequest:
    request = make_mocked_request("GET", "/")
    request._protocol.transport = transport
    return request


async def everything(other: socket.socket) -> int:
    """How many bytes come until the other side closes. Raises ConnectionResetError if it does worse."""
    loop, count = asyncio.get_running_loop(), 0
    while piece := await loop.sock_recv(other, 1 << 20):
        count += len(piece)
    return count


@pytest.mark.parametrize("loop", LOOPS)
def test_what_was_written_still_arrives_when_a_connection_is_hung_up(loop: str) -> None:
    async def scene(transport: asyncio.Transport, other: socket.socket, _: Accepting) -> None:
        transport.write(b"x" * 20_000_000)
        assert transport.get_write_buffer_size()
        hang_up(transport)
        assert await everything(other) == 20_000_000

    on(loop, scene)


@pytest.mark.parametrize("loop", LOOPS)
def test_who_does_not_take_what_was_written_is_dropped(loop: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sent, "_LINGER", 0.05)

    async def scene(transport: asyncio.Transport, _: socket.socket, accepting: Accepting) -> None:
        transport.write(b"x" * 20_000_000)
        hang_up(transport)
        await asyncio.wait_for(accepting.lost.wait(), PATIENCE)

    on(loop, scene)


@pytest.mark.parametrize("loop", LOOPS)
def test_a_body_that_ends_with_its_connection_is_reset(loop: str) -> None:
    async def scene(transport: asyncio.Transport, other: socket.socket, _: Accepting) -> None:
        break_off(request_on(transport), reset=True)
        with pytest.raises(ConnectionResetError):
            await everything(other)

    on(loop, scene)


@pytest.mark.parametrize("loop", LOOPS)
def test_a_body_that_is_short_by_itself_may_still_arrive(loop: str) -> None:
    async def scene(transport: asyncio.Transport, other: socket.socket, _: Accepting) -> None:
        transport.write(b"some")
        answer = BrokenOff(request_on(transport))
        assert (answer.status, answer.keep_alive) == (502, False)
        assert await everything(other) == 4

    on(loop, scene)


class Bare:
    """A transport without a socket to it."""

    aborted = False

    def get_extra_info(self, _name: str) -> None:
        """It has none."""

    def abort(self) -> None:
        self.aborted = True


def test_a_transport_without_a_socket_is_aborted_all_the_same() -> None:
    transport = Bare()
    break_off(request_on(transport), reset=True)  # type: ignore[arg-type]
    assert transport.aborted


def test_there_is_nothing_to_break_off_when_the_caller_is_gone() -> None:
    break_off(request_on(None), reset=True)
    break_off(request_on(None), reset=False)


async def test_aiohttp_adds_nothing_to_an_answer_that_was_sent() -> None:
    request = make_mocked_request("GET", "/")
    answer = Sent(204, keep_alive=True)
    assert await answer.prepare(request) is None
    await answer.write_eof(b"more")
    assert (answer.status, answer.keep_alive) == (204, True)
    answer.break_off()
    assert answer.keep_alive is False
