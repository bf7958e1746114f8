"""A child that answers nothing is replaced, with its daemon's callers and money unharmed."""

import asyncio
import os
import signal
from pathlib import Path

import pytest

from gatewayd.process.pulse import LONGEST_SECONDS, SHORTEST_SECONDS, patience
from tests.daemons import environment, running_daemon
from tests.faults.crowds import Crowd, bearer, configured, counting_agent, finished, nothing_held, posted
from tests.faults.test_workers import check, until_serving
from tests.process import forks
from tests.process.crews import is_running, pids
from tests.process.forks import played


def test_only_who_answers_nothing_for_long_and_is_wanted_is_replaced() -> None:
    alive_before, same, restarts, buried = played(forks.standing_still)
    assert alive_before
    assert same == ["paused", "lively", "leaving"]
    assert (restarts, buried) == ([1, 0, 0, 0], "stopped")


@pytest.mark.parametrize(
    ("environ", "seconds"),
    [
        ({}, LONGEST_SECONDS),
        ({"WATCHDOG_USEC": "30000000"}, LONGEST_SECONDS),
        ({"NOTIFY_SOCKET": "/run/n", "WATCHDOG_USEC": "30000000"}, LONGEST_SECONDS),
        ({"NOTIFY_SOCKET": "/run/n", "WATCHDOG_USEC": "10000000"}, 5.0),
        ({"NOTIFY_SOCKET": "/run/n", "WATCHDOG_USEC": "100000"}, SHORTEST_SECONDS),
    ],
)
def test_it_is_replaced_before_the_service_manager_would_end_the_daemon(
    environ: dict[str, str], seconds: float
) -> None:
    assert patience(environ) == seconds


async def test_a_bookkeeper_and_a_worker_that_hang_under_load_are_replaced_and_the_quota_is_spent_exactly(
    tmp_path: Path,
) -> None:
    """Each is dead before another begins: what it would do when it is woken, it cannot do any more."""
    quota, crowd = 300, Crowd(bearer())
    quick = environment(NOTIFY_SOCKET=f"{tmp_path}/nobody", WATCHDOG_USEC="1000000")
    async with counting_agent() as (agent, counting):
        config = configured(tmp_path, agent.url, workers=2, quota=quota)
        async with running_daemon(config, environ=quick) as daemon:
            calling = asyncio.create_task(crowd.go_on(daemon))
            await crowd.has(30)
            found = await asyncio.to_thread(pids, config)
            hung = {name: found[name] for name in ("bookkeeper", "worker 1")}
            for pid in hung.values():
                os.kill(pid, signal.SIGSTOP)
            for name, pid in hung.items():
                await daemon.said(f"{name} (pid {pid}) answers nothing any more and is replaced")
            for name, pid in hung.items():
                await until_serving(config, name)
                assert not is_running(pid)
            await calling
            records = await posted(config, set(counting.reached))
            await nothing_held(config)
            await finished(daemon)
    check(crowd, counting.reached, records, quota)
