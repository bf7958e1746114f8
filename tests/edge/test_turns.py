"""The requests of a connection take turns in its one task, and what is used of aiohttp for that is still there."""

import asyncio
import inspect
import re

import pytest
from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from gatewayd.edge import turns as module
from gatewayd.edge.turns import USED, Turns
from gatewayd.sent import Sent
from tests.agents import talk
from tests.edge.callers import caller
from tests.edge.hostile import request
from tests.edge.serving import edge
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
        assert len(set(tasks)) == 1
        assert running.server is not None
        assert running.server.requests_count == 3


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


# What of aiohttp is used


@pytest.mark.parametrize("name", USED)
async def test_aiohttp_still_has_what_the_turns_use_of_it(name: str) -> None:
    async with edge() as running, caller(running.port) as sender:
        sender.writer.write(request())
        await sender.hear(b"ok")
        assert hasattr(running.connections[0], name)
        assert hasattr(RequestHandler, name), "it has become an attribute of ours alone"


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
