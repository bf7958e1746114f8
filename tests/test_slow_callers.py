"""Callers who ask and do not read: what they cost is bounded, and nobody waits for them at the end."""

import asyncio
from pathlib import Path

import pytest

from gatewayd.edge import line as caller_line
from gatewayd.edge.connection import EdgeConnection
from tests.agents import answering, raw_agent
from tests.certificates import write_certificate
from tests.gateways import RunningGateway, running_gateway
from tests.patience import PATIENCE
from tests.proxy.wire import Caller, call, message

LARGE = b"HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n" + bytes(60_000)
PIPELINED = 400


async def behind(gateway: RunningGateway, requests: bytes) -> tuple[Caller, EdgeConnection]:
    """A caller who has asked and does not read, once the gateway cannot write to it any more."""
    caller = await Caller.to(gateway.port, window=4096)
    caller.writer.write(requests)  # not waiting until they are taken: they will not be
    async with asyncio.timeout(PATIENCE):
        while not (connections := gateway.daemon.connections) or not connections[0].writing_paused:
            await asyncio.sleep(0.001)
    return caller, connections[0]


async def test_answers_do_not_pile_up_for_a_caller_who_does_not_read(tmp_path: Path) -> None:
    async with raw_agent(answering(LARGE)) as agent, running_gateway(tmp_path, agent.url) as gateway:
        caller, line = await behind(gateway, message(gateway) * PIPELINED)
        for _ in range(20):  # others are served meanwhile, and many times over
            assert (await call(gateway)).status == 200
        assert line.transport is not None
        assert line.transport.get_write_buffer_size() < 1_000_000
        assert len(await gateway.posted()) < 20 + PIPELINED // 4
        caller.leave()


async def test_a_stop_does_not_wait_for_a_caller_who_does_not_read(tmp_path: Path) -> None:
    async with raw_agent(answering(LARGE)) as agent, running_gateway(tmp_path, agent.url) as gateway:
        caller, _ = await behind(gateway, message(gateway) * PIPELINED)
        gateway.daemon.stop()
        async with asyncio.timeout(10):  # less than a drain has
            gateway.daemon.stop()
            await gateway.task
        caller.leave()


async def test_a_caller_who_takes_nothing_for_long_is_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(caller_line, "_LONGEST_STALL", 0.1)
    async with raw_agent(answering(LARGE)) as agent, running_gateway(tmp_path, agent.url) as gateway:
        caller, line = await behind(gateway, message(gateway) * PIPELINED)
        async with asyncio.timeout(PATIENCE):
            while line.transport is not None:
                await asyncio.sleep(0.01)
        caller.leave()


async def test_a_tls_handshake_must_be_over_in_the_time_of_a_request_head(tmp_path: Path) -> None:
    certificate, key = write_certificate(tmp_path)
    tls = f'tls = {{ certificate = "{certificate}", key = "{key}" }}\nheader_timeout = "200ms"'
    async with running_gateway(tmp_path, "http://127.0.0.1:9", server=tls) as gateway:
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        async with asyncio.timeout(PATIENCE):
            assert await reader.read() == b""
        writer.close()
