"""Several workers and a bookkeeper, any of which is killed at work: the quota stays exact, and nobody is wedged."""

import asyncio
import os
import random
import signal
from collections import Counter
from pathlib import Path

import pytest

from gatewayd.stores.chain import RecordRow
from tests.agents import deaf_agent, raw_agent
from tests.daemons import PATIENCE, Stream, running_daemon
from tests.faults.crowds import (
    PATH,
    Crowd,
    bearer,
    call_all,
    callers,
    configured,
    counting_agent,
    finished,
    nothing_held,
    posted,
    records_of,
)
from tests.problems import ask
from tests.process.crews import is_running, pids, status


def kill(*processes: int) -> None:
    for process in processes:
        os.kill(process, signal.SIGKILL)


async def children(config: Path) -> dict[str, int]:
    return await asyncio.to_thread(pids, config)


def workers(found: dict[str, int]) -> list[int]:
    return [pid for name, pid in found.items() if name.startswith("worker")]


@pytest.mark.parametrize("count", [2, 4])
async def test_several_workers_spend_a_quota_to_its_last_unit_and_no_further(tmp_path: Path, count: int) -> None:
    async with counting_agent() as (agent, counting):
        config = configured(tmp_path, agent.url, workers=count, quota=70)
        async with running_daemon(config) as daemon:
            assert await call_all(daemon, bearer(), 200) == Counter({200: 70, 402: 130})
            found = await posted(config, counting.reached)
            await nothing_held(config)
            await finished(daemon)
    assert len(found) == 70
    assert records_of(config).keys() == set(counting.reached)


VICTIMS = ["a worker", "the bookkeeper", "all workers", "everybody but the supervisor"]


@pytest.mark.parametrize("victim", VICTIMS)
async def test_whoever_is_killed_the_quota_is_spent_exactly_and_nobody_is_refused_in_error(
    tmp_path: Path, victim: str
) -> None:
    crowd = Crowd(bearer())
    quota, chance = 250, random.Random(victim)
    async with counting_agent() as (agent, counting):
        config = configured(tmp_path, agent.url, workers=2, quota=quota)
        async with running_daemon(config) as daemon:
            calling = asyncio.create_task(crowd.go_on(daemon))
            for part in (1, 2):
                await crowd.has(part * 70 + chance.randrange(30))
                found = await children(config)
                those = {
                    "a worker": [chance.choice(workers(found))],
                    "the bookkeeper": [found["bookkeeper"]],
                    "all workers": workers(found),
                    "everybody but the supervisor": list(found.values()),
                }
                kill(*those[victim])
            await calling
            records = await posted(config, set(counting.reached))
            await nothing_held(config)
            await finished(daemon)
    check(crowd, counting.reached, records, quota)
    if victim == "the bookkeeper":
        assert crowd.lost == 0
        assert {each.outcome for each in records.values()} == {"delivered"}


def check(crowd: Crowd, reached: list[str], records: dict[str, RecordRow], quota: int) -> None:
    """All is spent, and only that; what was answered was delivered, once; what reached the agent is recorded."""
    assert sum(each.quantity for each in records.values()) == quota
    assert {records[each].outcome for each in crowd.acknowledged} == {"delivered"}
    assert set(reached) <= records.keys()
    assert len(set(reached)) == len(reached)
    unknown = {each.id for each in records.values() if each.outcome == "unknown"}
    assert not unknown & crowd.acknowledged
    assert len(unknown) <= crowd.lost
    assert crowd.late == 0, "somebody was refused while there were units left"


async def test_what_a_killed_supervisor_left_is_posted_by_the_next_start_and_the_quota_goes_on(tmp_path: Path) -> None:
    crowd, quota = Crowd(bearer()), 300
    async with counting_agent() as (agent, counting):
        config = configured(tmp_path, agent.url, workers=2, quota=quota)
        async with running_daemon(config) as daemon:
            calling = asyncio.create_task(crowd.go_on(daemon))
            await crowd.has(120)
            those = (await children(config)).values()
            daemon.signal(signal.SIGKILL)
            assert await daemon.ended() == -9
            await calling
        async with running_daemon(config) as successor:
            assert not [pid for pid in those if is_running(pid)]
            assert records_of(config).keys() >= set(counting.reached), "a start posts what was left before it is ready"
            await crowd.go_on(successor)
            records = await posted(config, set(counting.reached))
            await nothing_held(config)
            await finished(successor)
    check(crowd, counting.reached, records, quota)


async def test_killed_workers_neither_reset_nor_wedge_what_callers_have_used_of_a_limit(tmp_path: Path) -> None:
    limit, crowd = 60, Crowd(bearer(), end=429)
    async with counting_agent() as (agent, counting):
        config = configured(tmp_path, agent.url, workers=2, limit=f"{limit}/day")
        async with running_daemon(config) as daemon:
            assert await call_all(daemon, bearer(), 20) == Counter({200: 20})
            kill(*workers(await children(config)))
            calling = asyncio.create_task(crowd.go_on(daemon))
            await crowd.has(10)
            kill(*workers(await children(config)))
            await calling
            assert await call_all(daemon, bearer(), 30) == Counter({429: 30})
            assert await call_all(daemon, bearer("bob"), 30) == Counter({200: 30})
            await finished(daemon)
    assert len(counting.reached) - 30 <= limit
    # Who was admitted by a worker that died before it called the agent has used up one all the same.
    assert len(counting.reached) - 30 >= limit - crowd.lost


async def test_a_worker_killed_alone_gives_its_units_back_once_its_successor_has_started(
    tmp_path: Path,
) -> None:
    stream, quota = Stream(), 6
    async with raw_agent(stream.script) as agent:
        config = configured(tmp_path, agent.url, workers=2, quota=quota)
        async with running_daemon(config) as daemon, callers(daemon) as session:
            begun = [await session.get(PATH, headers=bearer()) for _ in range(quota)]
            assert (await ask(session, PATH, bearer())).status == 402
            found = {each["name"]: each for each in (await asyncio.to_thread(status, config))["workers"]}
            victim, other = found["worker 1"], found["worker 2"]
            kill(victim["pid"])
            await daemon.said(f"worker 1 (pid {victim['pid']}) was killed")
            await until_serving(config, "worker 1")
            async with asyncio.timeout(PATIENCE):
                while [each.outcome for each in records_of(config).values()] != ["unknown"] * victim["in_flight"]:
                    await asyncio.sleep(0.02)
            assert (await ask(session, PATH, bearer())).status == 402, "what a killed worker was serving costs"
            usage = (await ask(session, "/gateway/v1/usage", bearer())).json["units"][0]
            assert (usage["spent"], usage["held"]) == (victim["in_flight"], other["in_flight"])
            stream.go_on.set()
            for response in begun:
                response.close()


async def test_a_worker_killed_as_it_was_connecting_leaves_an_unknown_record_that_costs(tmp_path: Path) -> None:
    """Nobody can say whether a byte had gone out by then."""
    async with deaf_agent() as url:
        config = configured(tmp_path, url, workers=1, quota=1)
        config.write_text(f'{config.read_text()}timeouts = {{ connect = "60s" }}\n')
        async with running_daemon(config) as daemon, callers(daemon) as session:
            calling = asyncio.create_task(ask(session, PATH, bearer()))
            async with asyncio.timeout(PATIENCE):
                while not (found := (await asyncio.to_thread(status, config))["workers"][0])["in_flight"]:
                    await asyncio.sleep(0.01)
            kill(found["pid"])
            await asyncio.gather(calling, return_exceptions=True)  # it is cut off, or called again by its client
            async with asyncio.timeout(PATIENCE):
                while not (records := records_of(config)):
                    await asyncio.sleep(0.02)
            [record] = records.values()
            assert (record.outcome, record.status, record.quantity) == ("unknown", 0, 1)
            assert (await ask(session, PATH, bearer())).status == 402


async def until_serving(config: Path, name: str) -> None:
    async with asyncio.timeout(PATIENCE):
        while True:
            found = {each["name"]: each for each in (await asyncio.to_thread(status, config))["children"]}
            if found[name]["state"] == "serving" and found[name]["restarts"]:
                return
            await asyncio.sleep(0.01)
