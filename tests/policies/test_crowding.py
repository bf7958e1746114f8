"""Limits of requests in flight: who comes above them is told so at once, with when to come again."""

import asyncio
from pathlib import Path

import aiohttp
import pytest

from tests.agents import answering, raw_agent
from tests.daemons import Stream
from tests.gateways import ROUTE, running_gateway
from tests.patience import PATIENCE
from tests.problems import ask

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
PATH = "/api/email/x"
OTHER = '[routes.other]\nprefix = "/other"\nupstream = "{upstream}"\n'


@pytest.mark.parametrize("where", ["server", "route"])
async def test_who_comes_above_the_limit_is_told_to_come_again_and_is_not_charged(tmp_path: Path, where: str) -> None:
    stream = Stream()
    limit = "max_in_flight = 2"
    async with raw_agent(stream.script) as agent, raw_agent(answering(OK)) as quick:
        routes = ROUTE.format(upstream=agent.url) + (limit if where == "route" else "") + "\n"
        routes += OTHER.format(upstream=quick.url)
        async with (
            running_gateway(tmp_path, routes=routes, server=limit if where == "server" else "") as gateway,
            aiohttp.ClientSession(gateway.url, headers=gateway.bearer()) as session,
        ):
            streams = [await session.get(PATH) for _ in range(2)]
            for _ in range(2):  # on one connection, which stays
                refused = await ask(session, PATH, gateway.bearer())
                refused.problem(503, "overloaded")
                assert refused.headers["Retry-After"] == "1"
                assert "Connection" not in refused.headers
            assert (await ask(session, "/health")).status == 200, "the gateway's own paths are always open"
            other = (await ask(session, "/other/x", gateway.bearer())).status
            assert other == (503 if where == "server" else 200)
            stream.go_on.set()
            assert [await each.content.read() for each in streams] == [b"firstlast"] * 2
            async with asyncio.timeout(PATIENCE):
                while gateway.daemon._worker.in_flight:
                    await asyncio.sleep(0)
            assert (await ask(session, PATH, gateway.bearer())).status == 200
            records = await gateway.posted()
    assert [each["outcome"] for each in records] == ["delivered"] * (3 if where == "server" else 4)


async def test_one_who_leaves_makes_room(tmp_path: Path) -> None:
    async with raw_agent(Stream().script) as agent:
        routes = ROUTE.format(upstream=agent.url) + "max_in_flight = 1\n"
        async with (
            running_gateway(tmp_path, routes=routes) as gateway,
            aiohttp.ClientSession(gateway.url, headers=gateway.bearer()) as session,
        ):
            for _ in range(3):
                response = await session.get(PATH)
                assert response.status == 200
                response.close()
                async with asyncio.timeout(PATIENCE):
                    while gateway.daemon._worker.in_flight:
                        await asyncio.sleep(0)
