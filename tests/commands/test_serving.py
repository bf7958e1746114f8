"""start, status and stop, asked of real daemons; how a daemon itself behaves is in tests/process."""

import asyncio
import json
import signal
import subprocess
from pathlib import Path

import aiohttp
import pytest

from gatewayd.build import BUILD
from tests.agents import raw_agent
from tests.daemons import PATIENCE, RunningDaemon, Stream, command, gatewayd, running_daemon, write_config


async def gatewayd_of(daemon: RunningDaemon, *words: str) -> "subprocess.CompletedProcess[str]":
    return await asyncio.to_thread(gatewayd, *words, "-c", daemon.config)


async def test_status_tells_how_the_daemon_is_while_a_stream_runs_and_stop_lets_it_end(tmp_path: Path) -> None:
    stream = Stream()
    async with raw_agent(stream.script) as agent, running_daemon(write_config(tmp_path, agent.url)) as daemon:
        async with daemon.session() as session, session.get("/api/email/x") as response:
            assert await response.content.readany() == b"first"
            status = json.loads((await gatewayd_of(daemon, "status", "--json")).stdout)
            assert status.pop("uptime_seconds") > 0
            assert status.pop("admin").startswith("http://127.0.0.1:")
            assert [child["name"] for child in status.pop("children")] == ["bookkeeper", "worker", "operators"]
            assert [each["in_flight"] for each in status.pop("workers")] == [1]
            assert status.pop("ledger")["drift"] == 0
            assert status == {
                "pid": daemon.process.pid,
                "version": "0.1.0",
                "build": BUILD,
                "state": "serving",
                "listening": [daemon.url],
                "in_flight": 1,
                "connections": 1,
                "accounts": 0,
                "generation": 1,
                "running_by_generation": {"1": 1},
                "routes": ["email"],
                "plans": {"free": {"api_calls": 100000}},
                "last_reload": None,
                "image": 1,
                "upgrade_failure": "",
            }
            stopping = [asyncio.create_task(gatewayd_of(daemon, "stop")) for _ in range(2)]
            await daemon.said("draining")
            said = (await gatewayd_of(daemon, "status")).stdout.splitlines()
            assert said[0].startswith(f"draining: pid {daemon.process.pid}, version 0.1.0 ({BUILD}), up ")
            assert said[1:] == [
                f"listening on {daemon.url}",
                "1 in flight, generation 1, 1 routes",
                "The gateway is draining. 1 request still in flight; new ones get 503 until it serves again.",
            ]
            assert not any(each.done() for each in stopping)
            stream.go_on.set()
            assert await response.content.read() == b"last"
        stopped = await asyncio.gather(*stopping)
        assert daemon.process.returncode == 0 or await daemon.ended() == 0
    for each in stopped:
        assert (each.returncode, each.stderr) == (0, "")
        assert each.stdout == f"stopped pid {daemon.process.pid}, which had 1 requests in flight\n"


async def test_after_stop_the_next_start_finds_everything_free(tmp_path: Path) -> None:
    config = write_config(tmp_path)
    async with running_daemon(config) as daemon:
        config.write_text(config.read_text().replace("127.0.0.1:0", f"127.0.0.1:{daemon.port}", 1))
        assert (await gatewayd_of(daemon, "stop")).returncode == 0
        async with running_daemon(config) as next_one:
            assert next_one.port == daemon.port
        assert await daemon.ended() == 0


@pytest.mark.parametrize("asks", ["status", "stop"])
def test_where_no_daemon_runs_that_is_said_in_a_line(tmp_path: Path, asks: str) -> None:
    found = command(asks, "-c", write_config(tmp_path))
    assert (found.exit_code, found.stdout) == (1, "")
    assert found.stderr == (
        f"gatewayd: no gatewayd answers on {tmp_path}/control.sock; is it running with this configuration?\n"
    )


def test_a_state_directory_that_no_daemon_can_have_is_named(tmp_path: Path) -> None:
    found = command("status", "-c", write_config(tmp_path, state=tmp_path / ("x" * 100)))
    assert (found.exit_code, found.stderr.count("\n")) == (1, 1)
    assert found.stderr.startswith("gatewayd: server.state_dir is too long")


async def test_a_daemon_that_does_not_answer_is_not_waited_for_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running_daemon(write_config(tmp_path)) as daemon:
        config = daemon.config
        config.write_text(config.read_text().replace('drain_timeout = "30s"', 'drain_timeout = "10ms"'))
        monkeypatch.setattr("gatewayd.commands.serving._STOP_MARGIN", 0.1)
        daemon.signal(signal.SIGSTOP)
        found = await asyncio.to_thread(command, "stop", "-c", config)
        daemon.signal(signal.SIGCONT)
        assert (found.exit_code, found.stdout) == (1, "")
        assert found.stderr == "gatewayd: the daemon did not answer stop in time; its log may say why\n"


async def test_the_access_log_goes_to_stdout_after_the_ready_line(tmp_path: Path) -> None:
    config = write_config(tmp_path)
    config.write_text(config.read_text().replace(f'file = "{tmp_path}/access.log"', 'file = "-"'))
    async with running_daemon(config) as daemon:
        async with aiohttp.ClientSession() as session, session.get(f"{daemon.url}/health") as response:
            request_id = response.headers["X-Request-ID"]
        assert daemon.process.stdout is not None
        async with asyncio.timeout(PATIENCE):
            line = json.loads(await daemon.process.stdout.readline())
        assert (line["request_id"], line["path"], line["status"]) == (request_id, "/health", 200)
