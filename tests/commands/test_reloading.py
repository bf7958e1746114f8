"""reload and plan, as an operator uses them; what a reload does is in tests/process/test_reload.py."""

import asyncio
import json
from pathlib import Path

from tests.daemons import command, gatewayd, running_daemon, write_config
from tests.patience import when
from tests.process.crews import is_running, pids


async def test_plan_prints_what_a_reload_would_change_and_does_nothing(tmp_path: Path) -> None:
    config = write_config(tmp_path)
    async with running_daemon(config) as daemon:
        new = tmp_path / "new.toml"
        new.write_text(config.read_text().replace("api_calls = 100000", "api_calls = 5") + "[plans.pro]\n")
        config.write_text("broken")  # what is running counts, not what its file has become
        config = write_config(tmp_path)
        planned = await asyncio.to_thread(gatewayd, "plan", new, "-c", config)
        as_json = await asyncio.to_thread(gatewayd, "plan", new, "-c", config, "--json")
        status = json.loads((await asyncio.to_thread(gatewayd, "status", "--json", "-c", config)).stdout)
        config.write_text(new.read_text())
        reloaded = await asyncio.to_thread(gatewayd, "reload", "-c", config)
        del daemon
    assert (planned.returncode, planned.stderr) == (0, "")
    lines = ["added   plans.pro", "changed plans.free.quota: {api_calls = 100000} -> {api_calls = 5}"]
    assert planned.stdout.splitlines() == lines
    assert reloaded.stdout.splitlines()[1:] == lines
    assert json.loads(as_json.stdout)["plans"]["added"] == ["pro"]
    assert status["generation"] == 1


def test_without_a_daemon_plan_compares_files_and_says_so(tmp_path: Path) -> None:
    config = write_config(tmp_path)
    new = tmp_path / "new.toml"
    new.write_text(config.read_text() + "[plans.pro]\n")
    found = command("plan", new, "-c", config)
    assert (found.exit_code, found.stdout) == (0, "added   plans.pro\n")
    assert f"no daemon is running: compared with {config}" in found.stderr


async def test_plan_of_a_broken_file_names_its_problems(tmp_path: Path) -> None:
    config = write_config(tmp_path)
    new = tmp_path / "new.toml"
    new.write_text("[server]\nworkers = 0\n")
    async with running_daemon(config):
        found = await asyncio.to_thread(gatewayd, "plan", new, "-c", config)
    assert (found.returncode, found.stdout) == (1, "")
    assert f"{new}:2:11: server.workers: " in found.stderr
    assert "it would be refused" in found.stderr


def test_reload_without_a_daemon_says_so(tmp_path: Path) -> None:
    found = command("reload", "-c", write_config(tmp_path))
    assert (found.exit_code, found.stdout) == (1, "")
    assert "no gatewayd answers on" in found.stderr


async def test_what_a_killed_daemon_left_behind_is_recognised(tmp_path: Path) -> None:
    config = write_config(tmp_path)
    async with running_daemon(config) as daemon:
        children = await asyncio.to_thread(pids, config)
        daemon.process.kill()
        await daemon.ended()
        await when(lambda: not any(map(is_running, children.values())))  # its socket is theirs too
    assert (tmp_path / "control.sock").is_socket()
    found = command("reload", "-c", config)
    assert (found.exit_code, "no gatewayd answers on" in found.stderr) == (1, True)


async def test_reload_prints_the_whole_answer_as_json(tmp_path: Path) -> None:
    config = write_config(tmp_path)
    async with running_daemon(config):
        found = await asyncio.to_thread(gatewayd, "reload", "--json", "-c", config)
    answer = json.loads(found.stdout)
    assert (answer["generation"], answer["running_by_generation"], answer["waited"]) == (2, {}, False)
    assert answer["changes"]["routes"] == {"added": [], "changed": {}, "removed": []}
