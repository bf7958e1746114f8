"""What a daemon of several workers says of itself is what all of them say, and what the dead had said."""

import asyncio
import os
import signal
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from gatewayd.metrics import Tally
from gatewayd.process.answers import Answering
from gatewayd.process.control import ask
from gatewayd.process.course import Course
from gatewayd.process.staff import Staff
from tests.agents import answering, raw_agent
from tests.clocks import ManualClock
from tests.daemons import environment, running_daemon, write_config
from tests.patience import PATIENCE
from tests.process.crews import admin_of, calls, numbers, pids, status, two_workers
from tests.process.settings import settings

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
WORKERS = ("worker 1", "worker 2")


async def test_workers_share_the_callers_and_the_answers_are_added_up(tmp_path: Path) -> None:
    async with raw_agent(answering(OK)) as agent, running_daemon(two_workers(tmp_path, agent.url)) as daemon:
        assert set(await calls(daemon, 40)) == {200}
        found = await asyncio.to_thread(status, daemon.config)
        values = await numbers(found["admin"])
    assert [each["name"] for each in found["workers"]] == list(WORKERS)
    assert [each["name"] for each in found["children"]] == ["bookkeeper", *WORKERS, "operators"]
    assert found["pid"] == daemon.process.pid
    assert found["listening"] == [daemon.url]
    assert values['gatewayd_requests_total{code="200",method="GET",route="email"}'] == 40
    assert values['gatewayd_request_duration_seconds_count{route="email"}'] == 40
    assert values["gatewayd_config_generation"] == 1


async def test_what_a_dead_worker_had_counted_is_not_forgotten(tmp_path: Path) -> None:
    async with raw_agent(answering(OK)) as agent, running_daemon(two_workers(tmp_path, agent.url)) as daemon:
        admin = await asyncio.to_thread(admin_of, daemon)
        await calls(daemon, 10)
        before = await numbers(admin)
        for name, pid in (await asyncio.to_thread(pids, daemon.config)).items():
            if name in WORKERS:
                os.kill(pid, signal.SIGKILL)
                await daemon.said(f"{name} (pid {pid}) was killed")
        await calls(daemon, 1)
        after = await numbers(admin)
    key = 'gatewayd_requests_total{code="200",method="GET",route="email"}'
    assert (before[key], after[key]) == (10, 11)
    growing = [name for name in before if name.endswith("_total") or "_bucket" in name or "_count" in name]
    assert all(after[name] >= before[name] for name in growing)


async def test_what_a_killed_worker_had_counted_stays_counted_to_the_last_request(tmp_path: Path) -> None:
    async with running_daemon(write_config(tmp_path)) as daemon, daemon.session() as session:
        for _ in range(7):
            async with session.get("/health") as response:
                assert response.status == 200
        before = ask(tmp_path, "status")
        os.kill(before["workers"][0]["pid"], signal.SIGKILL)
        await daemon.said("takes its place")
        async with asyncio.timeout(PATIENCE):
            while ask(tmp_path, "status")["workers"][0]["state"] != "serving":
                await asyncio.sleep(0.01)
        tally = Tally.of(ask(tmp_path, "metrics")["samples"])
        assert tally.requests() == {("gateway", 200): 7}
        assert tally.gauges["gatewayd_in_flight"][1] == 0
        assert tally.gauges["gatewayd_config_generation"][1] == 1


async def test_a_prometheus_directory_that_a_dead_daemon_left_is_neither_read_nor_written(tmp_path: Path) -> None:
    left = tmp_path / "prometheus"
    left.mkdir()
    for name in ("counter_1.db", "gauge_all_1.db", "histogram_1.db"):
        (left / name).write_bytes(b"\xff" * 64)
    before = {path.name: path.read_bytes() for path in left.iterdir()}
    environ = environment(PROMETHEUS_MULTIPROC_DIR=str(left))
    async with running_daemon(two_workers(tmp_path), environ=environ) as daemon:
        async with daemon.session() as session, session.get("/health") as response:
            assert response.status == 200
        url = (await asyncio.to_thread(ask, tmp_path, "status"))["admin"]
        async with asyncio.timeout(PATIENCE):
            while (await numbers(url)).get('gatewayd_requests_total{code="200",method="GET",route="gateway"}') != 1:
                await asyncio.sleep(0.02)
    assert {path.name: path.read_bytes() for path in left.iterdir()} == before


class Silent:
    """A child of whom nothing is known but whether it serves."""

    def __init__(self, *, ready: bool) -> None:
        self.ready = ready

    def describe(self) -> dict[str, Any]:
        return {}


@pytest.mark.parametrize(("ready", "generation"), [(True, 3), (False, 2)])
def test_the_generation_in_force_is_told_although_its_workers_are_too_busy_to_answer(
    clock: ManualClock, ready: bool, generation: int
) -> None:
    """After an upgrade, an older worker may be the only one that answers in time; new ones may not serve yet."""
    older, newer = Silent(ready=True), Silent(ready=ready)
    answers = {older: {"generation": 2}}
    crew = SimpleNamespace(children=[], ask=lambda _children, _name, then: then(answers))
    workers = SimpleNamespace(current=[newer], all=[newer, older])
    staff = SimpleNamespace(workers=workers, bookkeeper=[], reception=SimpleNamespace(address=None), crew=crew)
    found: list[Mapping[str, Any]] = []
    course = Course(settings(), image=2, generation=3)
    Answering(course, cast("Staff", staff), clock).commands["status"]({}, found.append)
    assert (found[0]["generation"], found[0]["image"]) == (generation, 2)
