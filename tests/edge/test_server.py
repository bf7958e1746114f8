import asyncio
import os
import subprocess
import sys
from pathlib import Path

from aiohttp import web

from gatewayd.edge.connection import EdgeConnection
from gatewayd.edge.server import EdgeRunner
from gatewayd.errors import Refusal
from tests.agents import answering, raw_agent, talk
from tests.edge.hostile import GET, request
from tests.edge.serving import edge
from tests.gateways import CONFIG, PLANS, ROUTE, SECRET, running_gateway
from tests.patience import PATIENCE

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


async def test_every_connection_is_ours_and_has_the_limits_of_the_settings(tmp_path: Path) -> None:
    server = 'header_timeout = "3m"\nmax_header_bytes = "2KiB"\nmax_connections = 7'
    async with running_gateway(tmp_path, "http://127.0.0.1:1", server=server) as gateway:

        def malformed(_request: web.BaseRequest, _refusal: Refusal) -> web.StreamResponse:
            raise AssertionError("nothing is sent")

        runner = EdgeRunner(web.Application(), gateway.settings.server, malformed)
        await runner.setup()
        assert runner.server is not None
        connection = runner.server()
        assert isinstance(connection, EdgeConnection)
        limits = connection._limits
        assert (limits.header_timeout, limits.max_header_bytes, limits.max_connections) == (180, 2048, 7)
        assert connection.keepalive_timeout >= 180, "an idle connection must not end while a head may still come"
        assert connection.max_line_size == limits.max_target < limits.max_header_bytes < connection.max_field_size
        await runner.cleanup()


async def test_a_caller_that_leaves_cancels_its_handler() -> None:
    began, cancelled = asyncio.Event(), asyncio.Event()

    async def handler(_request: web.BaseRequest) -> web.StreamResponse:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()
        raise AssertionError("it waits for ever")

    async with edge(handler) as running, asyncio.timeout(PATIENCE):
        _, writer = await asyncio.open_connection("127.0.0.1", running.port)
        writer.write(request())
        await began.wait()
        writer.close()
        await cancelled.wait()


async def test_a_body_is_not_unpacked_on_its_way(tmp_path: Path) -> None:
    packed = bytes.fromhex("1f8b08000000000002ff4b040043beb7e801000000")
    async with raw_agent(answering(OK)) as agent, running_gateway(tmp_path, agent.url) as gateway:
        token = f"Authorization: Bearer {gateway.token()}".encode()
        fields = (token, b"Content-Encoding: gzip", b"Content-Length: %d" % len(packed))
        await talk(gateway.port, request(GET, *fields, body=packed), until=b"{}")
    assert agent.received[0].endswith(packed)


def test_the_daemon_refuses_to_start_on_the_parser_in_python(tmp_path: Path) -> None:
    config = tmp_path / "gatewayd.toml"
    text = CONFIG.format(state=tmp_path, server="", general=PLANS) + ROUTE.format(upstream="http://127.0.0.1:1")
    config.write_text(text)
    done = subprocess.run(
        [sys.executable, "-m", "gatewayd", "start", "-c", str(config)],
        env={**os.environ, "SECRET": SECRET, "AIOHTTP_NO_EXTENSIONS": "1"},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode != 0
    assert "without its C extensions" in done.stderr
    assert "Traceback" not in done.stderr
    assert "ready" not in done.stdout
