"""Two daemons, two workers each, on one PostgreSQL and one Valkey: one quota, one limit, one word of an operator."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import pytest

from tests.daemons import PATIENCE, RunningDaemon, gatewayd, running_daemon
from tests.faults.crowds import (
    PATH,
    Agent,
    Crowd,
    bearer,
    call,
    callers,
    configured,
    counting_agent,
    finished,
    nothing_held,
    posted,
    records_of,
)
from tests.problems import ask
from tests.valkey import Valkey

WORKERS = 2
MOST_PAUSES = 5
"""So often a decision is made to see it in force within its second, on a machine that may stand still meanwhile."""


class Pair:
    """Two daemons on one ledger and one counter."""

    def __init__(self, daemons: list[RunningDaemon], agent: Agent) -> None:
        self.daemons = daemons
        self.agent = agent

    @property
    def config(self) -> Path:
        return self.daemons[0].config

    async def run(self, *words: str) -> str:
        """The output of a command that must end well."""
        found = await asyncio.to_thread(gatewayd, *words, "-c", self.config)
        assert found.returncode == 0, found.stderr
        return found.stdout

    async def json(self, *words: str) -> Any:
        return json.loads(await self.run(*words))


@asynccontextmanager
async def pair(directory: Path, rest: str, counters: Valkey, **options: Any) -> AsyncIterator[Pair]:
    async with AsyncExitStack() as stack:
        agent, counting = await stack.enter_async_context(counting_agent())
        configs = [
            configured(
                directory / name,
                agent.url,
                workers=WORKERS,
                ledger=f"postgresql:{rest}",
                counters=counters.url,
                **options,
            )
            for name in ("one", "two")
        ]
        daemons = [await stack.enter_async_context(running_daemon(config)) for config in configs]
        yield Pair(daemons, counting)


async def test_two_daemons_spend_one_quota_to_its_last_unit_and_everybody_tells_the_same_of_it(
    tmp_path: Path, rest: str, counters: Valkey
) -> None:
    quota, crowd = 150, Crowd(bearer())
    async with pair(tmp_path, rest, counters, quota=quota) as both:
        await crowd.go_on(*both.daemons)
        assert (len(crowd.acknowledged), crowd.unavailable, crowd.late) == (quota, 0, 0)
        records = await posted(both.config, set(both.agent.reached))
        assert records.keys() == crowd.acknowledged
        (told,) = await both.json("usage", "--format", "json")
        for daemon in both.daemons:
            own = (await call(daemon, bearer(), "/gateway/v1/usage")).json["units"]
            assert own == [{name: told[name] for name in own[0]}]
        assert (told["user"], told["spent"], told["held"], told["remaining"]) == ("ann", quota, 0, 0)
        exported = [json.loads(line) for line in (await both.run("ledger", "export")).splitlines()]
        assert {each["id"] for each in exported} == crowd.acknowledged
        assert sum(each["quantity"] for each in exported) == quota
        assert f"the ledger is whole: {quota} records, 1 balances, {quota} units spent" in await both.run(
            "ledger", "verify"
        )
        await nothing_held(both.config)
        for daemon in both.daemons:
            await finished(daemon)


async def test_two_daemons_count_one_limit(tmp_path: Path, rest: str, counters: Valkey) -> None:
    crowd = Crowd(bearer(), end=429)
    async with pair(tmp_path, rest, counters, limit="80/day") as both:
        await crowd.go_on(*both.daemons)
        assert len(crowd.acknowledged) == len(both.agent.reached) == 80
        for daemon in both.daemons:
            assert (await call(daemon, bearer())).status == 429
            assert (await call(daemon, bearer("bob"))).status == 200


async def test_a_plan_that_an_operator_sets_is_in_force_in_every_worker_of_every_daemon_within_a_second(
    tmp_path: Path, rest: str, counters: Valkey
) -> None:
    async with pair(tmp_path, rest, counters, quota=1) as both:
        await Crowd(bearer()).go_on(*both.daemons)
        plans = cycle([("open", 200), ("free", 402)])
        for _ in range(2):
            for plan, status in islice(plans, MOST_PAUSES):
                await both.run("account", "set", "ann", "--plan", plan)
                if await answered_by_all(both, status) <= 1:
                    break
            else:
                pytest.fail("it was in force later each time")


async def test_who_is_revoked_is_refused_by_every_worker_of_every_daemon_within_a_second(
    tmp_path: Path, rest: str, counters: Valkey
) -> None:
    async with pair(tmp_path, rest, counters) as both:
        for number in range(MOST_PAUSES):
            eve = bearer(f"eve-{number}")
            await answered_by_all(both, 200, eve)
            await both.run("revoke", "--user", f"eve-{number}")
            if await answered_by_all(both, 401, eve) <= 1:
                break
        else:
            pytest.fail("they were refused later each time")
        assert (await call(both.daemons[0], bearer("bob"))).status == 200


async def answered_by_all(both: Pair, status: int, headers: dict[str, str] | None = None) -> float:
    """Seconds until the first calls whom every worker answered so, and from which on it does.

    A machine that stands still adds to them, and they are no worse for it: whoever asks tries it once more.
    """
    start = last = time.monotonic()
    async with asyncio.timeout(PATIENCE):
        while set(await all_workers(both, headers or bearer())) != {status}:
            last = time.monotonic()
    assert set(await all_workers(both, headers or bearer())) == {status}
    return last - start


async def all_workers(both: Pair, headers: dict[str, str]) -> Counter[int]:
    """What several calls to each daemon were answered; the kernel spreads connections over its workers."""
    statuses: Counter[int] = Counter()
    for daemon in both.daemons:
        async with callers(daemon) as session:
            answers = await asyncio.gather(*(ask(session, PATH, headers) for _ in range(8)))
        statuses.update(each.status for each in answers)
    return statuses


async def test_the_units_of_a_daemon_that_is_lost_with_its_directory_are_free_once_an_operator_says_so(
    tmp_path: Path, rest: str, counters: Valkey
) -> None:
    quota = 20
    async with pair(tmp_path, rest, counters, quota=quota) as both:
        lost, alive = both.daemons
        crowd = Crowd(bearer())
        calling = asyncio.create_task(crowd.go_on(lost))
        await crowd.has(5)
        lost.process.kill()
        await lost.ended()
        await calling
        async with asyncio.timeout(PATIENCE):
            while (answer := await call(alive, bearer())).status == 200:
                await asyncio.sleep(0)
        answer.problem(503, "store_unavailable")  # nobody can say whether they are idle there
        names = [(tmp_path / name / "node").read_text().strip() for name in ("one", "two")]
        found = {each["node"]: each["units"] for each in await both.json("ledger", "nodes", "--format", "json")}
        assert found[names[0]] > 0
        told = await asyncio.to_thread(gatewayd, "ledger", "release", names[0], "--yes", "-c", both.config)
        assert told.stdout == f"{found[names[0]]} units of {names[0]} are free again\n"
        await Crowd(bearer()).go_on(alive)
        await finished(alive)  # and so all that it served is in the ledger
        assert sum(each.quantity for each in records_of(both.config).values()) == quota
