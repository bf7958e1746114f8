"""Who works for a supervisor comes back when he dies, and never outlives it."""

import asyncio
import os
import signal
from pathlib import Path

from tests.daemons import gatewayd, running_daemon
from tests.process.crews import admin_of, is_running, numbers, pids, two_workers

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
WORKERS = ("worker 1", "worker 2")


async def test_a_killed_page_comes_back(tmp_path: Path) -> None:
    async with running_daemon(two_workers(tmp_path)) as daemon:
        admin = await asyncio.to_thread(admin_of, daemon)
        pid = (await asyncio.to_thread(pids, daemon.config))["operators"]
        os.kill(pid, signal.SIGKILL)
        await daemon.said(f"operators (pid {pid}) was killed by SIGKILL")
        assert (await numbers(admin))["gatewayd_config_generation"] == 1


async def test_no_process_outlives_a_killed_supervisor_and_the_next_start_succeeds(tmp_path: Path) -> None:
    config = two_workers(tmp_path)
    async with running_daemon(config) as daemon:
        children = (await asyncio.to_thread(pids, config)).values()
        daemon.signal(signal.SIGKILL)
        assert await daemon.ended() == -9
        async with running_daemon(config) as successor:
            assert successor.process.pid != daemon.process.pid
            assert not [pid for pid in children if is_running(pid)]


async def test_a_start_waits_for_the_children_of_one_that_was_killed(tmp_path: Path) -> None:
    config = two_workers(tmp_path)
    async with running_daemon(config) as daemon:
        daemon.signal(signal.SIGKILL)
        await daemon.ended()
        assert "another gatewayd" not in (await asyncio.to_thread(gatewayd, "status", "-c", config)).stderr
        async with running_daemon(config) as successor:
            assert successor.process.returncode is None


def test_one_worker_that_cannot_start_is_the_end_of_all_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "access.log").mkdir()
    found = gatewayd("start", "-c", two_workers(tmp_path))
    assert (found.returncode, found.stdout) == (1, "")
    assert "Traceback" not in found.stderr
    assert "gatewayd: access_log.file: cannot open" in found.stderr
    assert not (tmp_path / "control.sock").exists()
