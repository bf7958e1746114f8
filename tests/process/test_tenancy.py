"""A worker keeps the counters for itself only if it is the only one, and limits are exact through every change."""

import asyncio
import os
import signal
from collections import Counter
from functools import partial
from pathlib import Path

import aiohttp
import pytest

from tests.agents import answering, raw_agent
from tests.daemons import RunningDaemon, Stream, environment, gatewayd, running_daemon
from tests.process import forks
from tests.process.crews import PATH, eventually, is_running
from tests.process.forks import played
from tests.process.reloads import bearer, email, reloaded, says

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\none"
LAST_BUCKET = "2047"
CALLERS = 4


def limits(burst: int) -> str:
    return f'[rate_limit]\nlimits = ["{burst}/day"]\n[plans.free]\ndefault = true\n'


def keeping(daemon: RunningDaemon) -> list[int]:
    """Its workers that keep all buckets of the table (proc(5), /proc/locks)."""
    fields = (line.split() for line in Path("/proc/locks").read_text().splitlines())
    found = [int(each[4]) for each in fields if each[1] == "POSIX" and each[-2:] == ["0", LAST_BUCKET]]
    return [pid for pid in found if parent_of(pid) == daemon.process.pid]


def parent_of(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return 0


async def tenant_of(daemon: RunningDaemon) -> int:
    """Wait until one worker has the counters for itself."""
    await eventually(lambda: bool(keeping(daemon)))
    (worker,) = keeping(daemon)
    return worker


def test_who_is_alone_is_the_tenant_until_another_is_about_to_come() -> None:
    (alone, shared, both), restarts = played(forks.alone_and_not_and_alone)
    assert (alone, shared, both, restarts) == (["one"], [], [], 1)


def test_nobody_is_let_in_beside_a_tenant_that_does_not_answer_and_it_is_asked_again() -> None:
    late = "one did not answer in time; try again"
    assert played(forks.a_tenant_that_hangs) == [late, late, "[]"]


def test_a_tenant_that_dies_instead_of_answering_is_not_waited_for() -> None:
    assert played(forks.a_tenant_that_dies_instead) is False


def is_gone(pid: int) -> bool:
    return not is_running(pid)


class Load:
    """Callers of one user who go on while the daemon changes; `met` counts their answers."""

    def __init__(self, daemon: RunningDaemon) -> None:
        self._daemon = daemon
        self._tasks = [asyncio.create_task(self._call()) for _ in range(CALLERS)]
        self.met: Counter[int | str] = Counter()

    async def _call(self) -> None:
        while True:
            try:
                async with aiohttp.ClientSession(self._daemon.url, headers=bearer()) as session:
                    for _ in range(5):
                        async with session.get(PATH) as response:
                            self.met[response.status] += 1
            except aiohttp.ClientError:  # its worker was killed, or went
                self.met["cut"] += 1
                await asyncio.sleep(0.01)

    async def has(self, count: int) -> None:
        """Wait until so many were answered."""
        while self.met.total() < count:
            await asyncio.sleep(0.001)

    async def end(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


@pytest.mark.parametrize("counts", [(1, 1, 1), (2, 1, 3, 1)], ids=["one stays one", "one, several and one again"])
async def test_reloads_under_load_admit_not_one_more_than_the_limit(tmp_path: Path, counts: tuple[int, ...]) -> None:
    burst = 400
    async with raw_agent(answering(OK)) as agent:
        config = says(tmp_path, email(agent.url), general=limits(burst))
        async with running_daemon(config) as daemon:
            await tenant_of(daemon)
            load = Load(daemon)
            for generation, count in enumerate(counts, 2):
                await load.has(load.met.total() + 20)
                says(tmp_path, email(agent.url), general=limits(burst), server=f"workers = {count}")
                daemon.signal(signal.SIGHUP)
                await daemon.said(f"generation {generation} is in force")
                assert count == 1 or not keeping(daemon)
            await load.has(burst + 40)
            await load.end()
            await tenant_of(daemon)
    assert load.met[200] + load.met["cut"] >= burst
    assert load.met[200] <= burst
    assert load.met[429] > 0
    assert set(load.met) <= {200, 429, "cut"}


async def test_the_death_of_the_one_that_is_alone_gives_nobody_more_than_the_limit(tmp_path: Path) -> None:
    burst = 200
    async with raw_agent(answering(OK)) as agent:
        config = says(tmp_path, email(agent.url), general=limits(burst))
        async with running_daemon(config) as daemon:
            load = Load(daemon)
            for part in (1, 2, 3):
                await load.has(part * 40)
                worker = await tenant_of(daemon)
                os.kill(worker, signal.SIGKILL)
                await eventually(partial(is_gone, worker))
            await load.has(burst + 100)
            await load.end()
            await tenant_of(daemon)
    assert load.met[200] <= burst
    assert load.met[429] > 0
    assert load.met[200] >= burst - 3 * CALLERS, "what each had under way at each death, no more, is missing"


async def test_a_reload_to_more_workers_does_not_wait_for_ever_for_one_that_hangs(tmp_path: Path) -> None:
    """It is replaced like any other that hangs, and then there are as many as were asked for."""
    quick = environment(NOTIFY_SOCKET=f"{tmp_path}/nobody", WATCHDOG_USEC="1000000")
    async with raw_agent(answering(OK)) as agent:
        config = says(tmp_path, email(agent.url), general=limits(9))
        async with running_daemon(config, environ=quick) as daemon:
            worker = await tenant_of(daemon)
            os.kill(worker, signal.SIGSTOP)
            says(tmp_path, email(agent.url), general=limits(9), server="workers = 2")
            await reloaded(daemon)
            assert not is_running(worker)
            met = []
            for _ in range(12):
                async with aiohttp.ClientSession(daemon.url, headers=bearer()) as session, session.get(PATH) as answer:
                    met.append(answer.status)
            assert Counter(met) == {200: 9, 429: 3}


async def test_who_still_serves_a_stream_after_an_upgrade_keeps_nobody_waiting(tmp_path: Path) -> None:
    stream = Stream()
    async with raw_agent(stream.script) as agent, raw_agent(answering(OK)) as other:
        more = f'[routes.b]\nprefix = "/b"\nupstream = "{agent.url}"\n'
        config = says(tmp_path, email(other.url), general=limits(3), more=more)
        async with running_daemon(config) as daemon, daemon.session() as session:
            old = await tenant_of(daemon)
            async with session.get("/b/x") as response:
                assert await response.content.readany() == b"first"
                upgraded = await asyncio.to_thread(gatewayd, "upgrade", "-c", config)
                assert upgraded.returncode == 0, upgraded.stderr
                assert is_running(old)
                assert not keeping(daemon)
                met = []
                for _ in range(3):
                    async with daemon.session() as fresh, fresh.get(PATH) as answer:
                        met.append(answer.status)
                assert met == [200, 200, 429]
                stream.go_on.set()
                assert await response.content.read() == b"last"
            await eventually(partial(is_gone, old))
            await tenant_of(daemon)
