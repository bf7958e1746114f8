"""A daemon of several processes: they share the work, die alone, and end together."""

import asyncio
import contextlib
import os
import signal
import socket
from pathlib import Path

import aiohttp
import pytest

from gatewayd.process.control import ask
from tests.agents import raw_agent
from tests.daemons import PATIENCE, Stream, gatewayd, running_daemon, write_config
from tests.gateways import PLANS
from tests.process.crews import PATH, calls, eventually, numbers, pids, status, two_workers

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
WORKERS = ("worker 1", "worker 2")


async def test_each_worker_gets_callers(tmp_path: Path) -> None:
    async with running_daemon(two_workers(tmp_path)) as daemon, contextlib.AsyncExitStack() as stack:
        for _ in range(40):
            _, writer = await asyncio.open_connection("127.0.0.1", daemon.port)
            stack.callback(writer.close)
        await eventually(lambda: status(daemon.config)["connections"] == 40)
        parts = (await asyncio.to_thread(status, daemon.config))["workers"]
    assert all(each["connections"] for each in parts)


async def test_a_killed_worker_takes_only_its_own_requests_along_and_another_comes(tmp_path: Path) -> None:
    stream = Stream()
    async with (
        raw_agent(stream.script) as agent,
        running_daemon(two_workers(tmp_path, agent.url)) as daemon,
        contextlib.AsyncExitStack() as stack,
    ):
        streams = []
        for _ in range(12):
            session = await stack.enter_async_context(daemon.session())
            streams.append(await session.get(PATH))
            stack.callback(streams[-1].close)
            assert await streams[-1].content.readany() == b"first"
        before = {each["name"]: each for each in (await asyncio.to_thread(status, daemon.config))["workers"]}
        os.kill(before["worker 1"]["pid"], signal.SIGKILL)
        await daemon.said(f"worker 1 (pid {before['worker 1']['pid']}) was killed by SIGKILL; another takes its")
        stream.go_on.set()
        ends = await asyncio.gather(*(each.content.read() for each in streams), return_exceptions=True)
        assert await calls(daemon, 20) == [200] * 20
        after = await asyncio.to_thread(status, daemon.config)
    whole = [end for end in ends if end == b"last"]
    assert len(whole) == before["worker 2"]["in_flight"]
    assert len(ends) - len(whole) == before["worker 1"]["in_flight"]
    assert [each["restarts"] for each in after["workers"]] == [1, 0]


async def test_a_drain_waits_for_every_worker_and_all_of_them_refuse_meanwhile(tmp_path: Path) -> None:
    stream = Stream()
    async with raw_agent(stream.script) as agent, running_daemon(two_workers(tmp_path, agent.url)) as daemon:
        async with daemon.session() as session, session.get(PATH) as response:
            assert await response.content.readany() == b"first"
            daemon.signal(signal.SIGTERM)
            await daemon.said("draining: 1 requests in flight")
            found = await asyncio.to_thread(status, daemon.config)
            assert (found["state"], found["in_flight"]) == ("draining", 1)
            for _ in range(20):
                async with aiohttp.ClientSession() as other, other.get(daemon.url + "/health") as health:
                    assert health.status == 503
            page = ""
            async with asyncio.timeout(PATIENCE), aiohttp.ClientSession() as other:
                while "The gateway is draining." not in page:  # it looks once a second
                    async with other.get(found["admin"]) as answer:
                        page = await answer.text()
            assert "1 request still in flight" in page
            stream.go_on.set()
            assert await response.content.read() == b"last"
        assert await daemon.ended() == 0
    assert "Traceback" not in daemon.log


async def test_a_second_signal_cuts_every_worker_off(tmp_path: Path) -> None:
    async with raw_agent(Stream().script) as agent, contextlib.AsyncExitStack() as stack:
        config = two_workers(tmp_path, agent.url)
        config.write_text(config.read_text().replace('drain_timeout = "30s"', 'drain_timeout = "1h"'))
        daemon = await stack.enter_async_context(running_daemon(config))
        streams = []
        for _ in range(8):
            session = await stack.enter_async_context(daemon.session())
            streams.append(await session.get(PATH))
            stack.callback(streams[-1].close)
            assert await streams[-1].content.readany() == b"first"
        daemon.signal(signal.SIGTERM)
        await daemon.said("draining: 8 requests in flight")
        daemon.signal(signal.SIGTERM)
        assert await daemon.ended() == 0
        for each in streams:
            with pytest.raises(aiohttp.ClientError):
                await each.content.read()
    assert "Traceback" not in daemon.log


async def test_signals_that_go_to_the_whole_group_drain_once(tmp_path: Path) -> None:
    stream = Stream()
    async with raw_agent(stream.script) as agent, running_daemon(two_workers(tmp_path, agent.url)) as daemon:
        children = (await asyncio.to_thread(pids, daemon.config)).values()
        async with daemon.session() as session, session.get(PATH) as response:
            assert await response.content.readany() == b"first"
            for pid in (*children, daemon.process.pid):
                os.kill(pid, signal.SIGINT)
            await daemon.said("draining: 1 requests in flight")
            stream.go_on.set()
            assert await response.content.read() == b"last"
        assert await daemon.ended() == 0


@pytest.mark.parametrize("shared", [False, True], ids=["alone", "with SO_REUSEPORT"])
def test_an_address_in_use_is_refused_with_several_workers_too(tmp_path: Path, shared: bool) -> None:
    with socket.socket() as taken:
        if shared:
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        found = gatewayd("start", "-c", two_workers(tmp_path, listen=address))
    assert (found.returncode, found.stdout) == (1, "")
    assert f"cannot listen on {address}: the address is in use" in found.stderr


async def test_a_unix_socket_is_served_by_all(tmp_path: Path) -> None:
    config = two_workers(tmp_path, listen=f"unix:{tmp_path}/public.sock")
    async with running_daemon(config) as daemon:
        for _ in range(4):
            connector = aiohttp.UnixConnector(f"{tmp_path}/public.sock")
            async with aiohttp.ClientSession(connector=connector) as session, session.get("http://a/health") as answer:
                assert answer.status == 200
        daemon.signal(signal.SIGTERM)
        assert await daemon.ended() == 0
    assert not (tmp_path / "public.sock").exists()


async def test_sigusr1_has_the_logs_opened_again_and_ends_nothing(tmp_path: Path) -> None:
    async with running_daemon(write_config(tmp_path, server="workers = 2")) as daemon:
        (tmp_path / "access.log").rename(tmp_path / "access.log.1")
        daemon.signal(signal.SIGUSR1)
        async with asyncio.timeout(PATIENCE):
            while not (tmp_path / "access.log").exists():
                await asyncio.sleep(0.01)
        async with daemon.session() as session:
            async with asyncio.timeout(PATIENCE):  # either worker may still be on its way to the new file
                while not (tmp_path / "access.log").read_text():
                    async with session.get("/health") as response:
                        assert response.status == 200


async def test_logs_on_a_full_disk_cost_no_caller_anything_and_say_what_is_missing(tmp_path: Path) -> None:
    config = write_config(tmp_path, general=PLANS + "[audit_log]\nfile = '/dev/full'\n")
    config.write_text(config.read_text().replace(f'file = "{tmp_path}/access.log"', 'file = "/dev/full"'))
    async with running_daemon(config) as daemon:
        async with daemon.session() as session:
            for path, status in (("/health", 200), ("/health", 200), ("/no/such/route", 404)):
                async with session.get(path) as response:
                    assert response.status == status
        failed = {'gatewayd_log_lines_dropped_total{log="access",reason="failed"}': 3.0}
        failed |= {'gatewayd_log_lines_dropped_total{log="audit",reason="failed"}': 1.0}
        url = (await asyncio.to_thread(ask, tmp_path, "status"))["admin"]
        async with asyncio.timeout(PATIENCE):
            while not failed.items() <= (await numbers(url)).items():
                await asyncio.sleep(0.02)
        daemon.signal(signal.SIGTERM)
        assert await daemon.ended() == 0
        assert daemon.log.count("log /dev/full cannot be written: No space left on device") == 2
        assert "the access log was too slow or failed: 3 lines were dropped" in daemon.log
