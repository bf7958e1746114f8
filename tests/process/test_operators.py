"""The operators' listener beside the callers' one."""

import logging
import socket
from pathlib import Path

import aiohttp
import pytest

from tests.agents import answering, raw_agent
from tests.gateways import running_gateway
from tests.problems import ask

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


async def test_it_is_told_where_it_listens(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, "http://127.0.0.1:9") as gateway, aiohttp.ClientSession() as session:
        document = (await ask(session, gateway.admin_url + "/api/status")).json
    assert document["admin"] == gateway.admin_url
    assert document["listening"] == [gateway.url]


async def test_callers_are_served_even_where_operators_cannot_be(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, caplog.at_level(logging.WARNING):
        admin = f'listen = "127.0.0.1:{taken.getsockname()[1]}"\n#'
        async with raw_agent(answering(OK)) as agent, running_gateway(tmp_path, agent.url, admin=admin) as gateway:
            async with aiohttp.ClientSession(headers=gateway.bearer()) as session:
                assert (await ask(session, gateway.url + "/api/email/x")).status == 200
            assert gateway.daemon.admin_url is None
    assert "no page and no metrics: cannot listen on" in caplog.text
