"""The requests of a connection take turns in its one task, and what is used of aiohttp for that is still there."""

import asyncio
import inspect
import re
from typing import cast

import pytest
from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from gatewayd.edge import turns as module
from gatewayd.edge.connection import EdgeConnection
from gatewayd.edge.turns import USED, Turns
from gatewayd.outbox import FEW
from gatewayd.sent import Sent
from tests.agents import talk
from tests.edge.callers import caller
from tests.edge.hostile import get, request
from tests.edge.serving import edge
from tests.sealing import NONE
from tests.sources import source_of


async def test_all_requests_of_a_connection_are_served_by_its_one_task() -> None:
    tasks: list[asyncio.Task[object] | None] = []

    async def handler(_request: web.BaseRequest) -> web.StreamResponse:
        tasks.append(asyncio.current_task())
        return web.Response(text="ok")

    async with edge(handler) as running, caller(running.port) as sender:
        for number in range(1, 4):
            sender.writer.write(request())
            await sender.hear(b"\r\n\r\nok", number)
        assert (len(tasks), len(set(tasks))) == (3, 1)


async def test_an_answer_of_aiohttps_own_may_be_raised() -> None:
    async def handler(_request: web.BaseRequest) -> web.StreamResponse:
        raise web.HTTPGone

    async with edge(handler) as running:
        assert await talk(running.port, request(), until=b"410: Gone")


async def test_an_answer_that_cannot_be_made_ends_the_connection_and_is_told(caplog: pytest.LogCaptureFixture) -> None:
    class Spoiled:
        def __bool__(self) -> bool:
            raise LookupError

    async def handler(_request: web.BaseRequest) -> web.StreamResponse:
        answer = Sent(200, keep_alive=True)
        answer._reusable = Spoiled()  # type: ignore[assignment]
        return answer

    async with edge(handler) as running:
        assert await talk(running.port, request()) == b""
    assert "closed by an error of ours" in caplog.text


# Whole answers, said with whatever else leaves in a turn of the loop

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


async def said(request: web.BaseRequest) -> web.StreamResponse:
    connection = cast("EdgeConnection", request.protocol)
    connection._outbox.speakers += FEW  # so that it waits for the turn's end
    connection.talk.say(ANSWER, NONE)
    connection._outbox.speakers -= FEW
    return Sent(200, keep_alive=True)


async def test_an_answer_that_was_said_arrives_and_the_connection_goes_on() -> None:
    async with edge(said) as running, caller(running.port) as sender:
        for number in range(1, 4):
            sender.writer.write(request())
            await sender.hear(ANSWER, number)


async def test_answers_to_requests_that_came_together_arrive_in_their_order() -> None:
    async def handler(asked: web.BaseRequest) -> web.StreamResponse:
        return await said(asked) if asked.path == "/said" else web.Response(text="by aiohttp, at once")

    async with edge(handler) as running:
        got = await talk(running.port, get(b"/said") + get(b"/other") + get(b"/said"), until=b"at once" + ANSWER)
    assert got.startswith(ANSWER + b"HTTP/1.1 200 OK\r\n")


async def test_a_request_that_came_whole_is_begun_at_once_and_writes_behind_the_answer_before_it() -> None:
    begun: list[str] = []

    async def handler(asked: web.BaseRequest) -> web.StreamResponse:
        begun.append(asked.path)
        return await said(asked) if asked.path == "/said" else web.Response(text="at once")

    async with edge(handler) as running, caller(running.port) as sender:
        sender.writer.write(get(b"/first"))
        await sender.hear(b"at once")
        (connection,) = running.connections
        came: asyncio.Future[list[str]] = asyncio.get_running_loop().create_future()

        def come() -> None:
            connection.data_received(get(b"/said"))
            connection.data_received(get(b"/other"))
            came.set_result(list(begun))

        asyncio.get_running_loop().call_soon(come)
        assert await came == ["/first", "/said", "/other"]
        await sender.hear(b"at once", 2)
        assert sender.got.index(ANSWER) < sender.got.rindex(b"at once")


async def test_who_was_answered_or_refused_speaks_no_longer() -> None:
    counts: list[int] = []

    async def handler(asked: web.BaseRequest) -> web.StreamResponse:
        counts.append(cast("EdgeConnection", asked.protocol)._outbox.speakers)
        if asked.path == "/raised":
            raise web.HTTPGone
        if asked.path == "/failed":
            raise LookupError
        return web.Response(text="ok")

    async with edge(handler) as running, caller(running.port) as sender:
        for path, status in ((b"/", b" 200 "), (b"/raised", b" 410 "), (b"/failed", b" 500 ")):
            sender.writer.write(get(path))
            await sender.hear(status)
    assert counts == [1, 1, 1]
    assert running.server is not None
    assert running.server.outbox.speakers == 0


@pytest.mark.parametrize(
    ("ends", "soon"), [("end", False), ("close", False), ("force_close", False), ("end", True), ("force_close", True)]
)
async def test_an_answer_is_not_lost_when_its_connection_ends_in_the_turn_in_which_it_was_said(
    ends: str, soon: bool
) -> None:
    async def handler(asked: web.BaseRequest) -> web.StreamResponse:
        end = getattr(asked.protocol, ends)
        if soon:
            asyncio.get_running_loop().call_soon(end)
        answer = await said(asked)
        if not soon:
            end()
        return answer

    async with edge(handler) as running:
        assert await talk(running.port, request()) == ANSWER


# What of aiohttp is used


@pytest.mark.parametrize("name", USED)
async def test_aiohttp_still_has_what_the_turns_use_of_it(name: str) -> None:
    async with edge() as running, caller(running.port) as sender:
        sender.writer.write(request())
        await sender.hear(b"ok")
        assert hasattr(running.connections[0], name)
        assert hasattr(RequestHandler, name), "it has become an attribute of ours alone"


KEPT = [name for name, value in vars(Turns).items() if isinstance(value, property)]


@pytest.mark.parametrize("name", KEPT)
async def test_what_the_conversation_keeps_for_aiohttp_is_still_a_field_of_aiohttps(name: str) -> None:
    assert name in {slot for kind in RequestHandler.__mro__ for slot in getattr(kind, "__slots__", ())}


async def test_what_aiohttp_does_to_a_connection_its_conversation_knows() -> None:
    async with edge() as running, caller(running.port) as sender:
        sender.writer.write(request())
        await sender.hear(b"ok")
        (connection,) = running.connections
        talk = connection.talk
        assert (connection._waiter, talk.is_waiting) == (talk.bell, True)
        assert (connection.transport, talk.transport is not None) == (talk.transport, True)
        connection.keep_alive(False)
        assert (talk.keeps, talk.idle_timer) == (False, None)
        connection.pause_writing()
        assert (talk.is_behind, connection.writing_paused) == (True, True)
        connection.resume_writing()
        connection.close()
        assert (talk.closes, talk.is_waiting, connection._waiter) == (True, False, None)
        connection.force_close()
        assert (talk.is_over, talk.transport) == (True, None)


def test_what_the_turns_use_of_aiohttp_is_listed() -> None:
    ours = {name for name in vars(Turns) if name != "start"}
    assert set(re.findall(r"self\.(_[a-z_]+)", source_of(module.__name__))) - ours == set(USED)


def test_aiohttp_starts_a_connection_as_it_did() -> None:
    assert list(inspect.signature(RequestHandler.start).parameters) == ["self"]
    assert inspect.iscoroutinefunction(RequestHandler.start)
    assert list(inspect.signature(RequestHandler.finish_response).parameters) == [
        "self",
        "request",
        "resp",
        "start_time",
    ]
