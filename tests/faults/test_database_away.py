"""PostgreSQL away, at the start or later, gone or only silent: who can be served is, and nobody is refused in error."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.daemons import PATIENCE, RunningDaemon, gatewayd, running_daemon
from tests.faults.crowds import Crowd, bearer, call, configured, counting_agent, finished, nothing_held, posted
from tests.postgres import Server

LIMITED = bearer("ann")
UNLIMITED = bearer("bob", plan="open")


@contextmanager
def stopped(server: Server) -> Iterator[None]:
    server.stop()
    try:
        yield
    finally:
        server.start()


AWAY = {"stopped": stopped, "frozen": Server.frozen}


async def refused(daemon: RunningDaemon, headers: dict[str, str]) -> None:
    """503; how long a request waits for units at most, test_punctual tries."""
    answer = await call(daemon, headers)
    answer.problem(503, "store_unavailable")
    assert int(answer.headers["Retry-After"]) >= 1


async def served(daemon: RunningDaemon, headers: dict[str, str]) -> None:
    answer = await call(daemon, headers)
    assert answer.status == 200, answer.body


async def served_soon(daemon: RunningDaemon, headers: dict[str, str]) -> None:
    async with asyncio.timeout(PATIENCE):
        while (answer := await call(daemon, headers)).status != 200:
            answer.problem(503, "store_unavailable")


@pytest.mark.parametrize("how", AWAY)
async def test_a_daemon_starts_without_its_database_serves_whom_it_can_and_posts_all_when_it_is_there(
    tmp_path: Path, postgres: Server, how: str
) -> None:
    async with counting_agent() as (agent, counting):
        config = configured(tmp_path, agent.url, workers=2, quota=5, ledger=f"postgresql:{postgres.space()}")
        with AWAY[how](postgres):
            starting = running_daemon(config)
            daemon = await starting.__aenter__()
            try:
                calls = [served(daemon, UNLIMITED) for _ in range(3)]
                await asyncio.gather(*calls, refused(daemon, LIMITED))
                assert (await call(daemon, {}, "/ready")).status == 503
                assert (await call(daemon, {}, "/health")).status == 200
            except BaseException:
                await starting.__aexit__(None, None, None)
                raise
        try:
            records = await posted(config, set(counting.reached))
            assert [each.user_id for each in records.values()] == ["bob"] * 3
            await served_soon(daemon, LIMITED)
            await finished(daemon)
        finally:
            await starting.__aexit__(None, None, None)
    assert daemon.log.count("cannot be used") == 1, "an outage is told once"
    assert daemon.log.count("the ledger is there again") == 1
    assert "s3cret" not in daemon.log


async def test_denying_means_503_for_all_who_would_be_charged_from_the_first_moment_on(tmp_path: Path) -> None:
    async with counting_agent() as (agent, counting):
        nobody = "postgresql://gatewayd:secret@127.0.0.1:1/ledger"
        config = configured(tmp_path, agent.url, workers=2, quota=5, ledger=nobody, on_outage="deny")
        async with running_daemon(config) as daemon:
            for _ in range(3):
                await refused(daemon, UNLIMITED)
                await refused(daemon, LIMITED)
            assert (await call(daemon, {}, "/health")).status == 200
            await finished(daemon)
    assert counting.reached == []
    assert "secret" not in daemon.log


@pytest.mark.parametrize("how", AWAY)
async def test_an_outage_under_load_costs_503_at_most_and_the_quota_is_spent_exactly(
    tmp_path: Path, postgres: Server, how: str
) -> None:
    quota, crowd, free = 400, Crowd(LIMITED), Crowd(UNLIMITED, size=2)
    async with counting_agent() as (agent, counting):
        config = configured(tmp_path, agent.url, workers=2, quota=quota, ledger=f"postgresql:{postgres.space()}")
        async with running_daemon(config) as daemon:
            calling = asyncio.create_task(crowd.go_on(daemon))
            unlimited = asyncio.create_task(free.go_on(daemon))
            await crowd.has(100)
            with AWAY[how](postgres):
                await daemon.said("the ledger is away")
                before = len(free.acknowledged)
                await free.has(before + 50)
            await calling
            assert free.unavailable == 0, "who is not limited needs no ledger"
            records = await posted(config, set(counting.reached))
            assert sum(each.quantity for each in records.values() if each.user_id == "ann") == quota
            await nothing_held(config)
            assert crowd.lost == 0
            assert crowd.late == 0
            free.leaving = True
            await unlimited
            await finished(daemon)
    assert {each.outcome for each in records.values()} == {"delivered"}


async def test_a_daemon_that_stops_while_its_database_is_away_leaves_all_to_the_next_start(
    tmp_path: Path, postgres: Server
) -> None:
    async with counting_agent() as (agent, counting):
        config = configured(tmp_path, agent.url, workers=2, quota=20, ledger=f"postgresql:{postgres.space()}")
        async with running_daemon(config) as daemon:
            await served(daemon, LIMITED)
            with stopped(postgres):
                await daemon.said("the ledger is away")
                for _ in range(3):
                    await served(daemon, UNLIMITED)
                await finished(daemon)
        async with running_daemon(config) as successor:
            assert len(await posted(config, set(counting.reached))) == 4
            await nothing_held(config)
            await finished(successor)


COMMANDS = [["usage"], ["ledger", "verify"], ["account", "set", "ann", "--plan", "free"]]


async def test_a_command_on_a_database_that_stands_still_ends_in_time_and_says_what_to_do(
    tmp_path: Path, postgres: Server
) -> None:
    config = configured(tmp_path, ledger=f"postgresql:{postgres.space()}&connect_timeout=2")
    with postgres.frozen():
        running = (asyncio.to_thread(gatewayd, *words, "-c", config) for words in COMMANDS)
        for words, found in zip(COMMANDS, await asyncio.gather(*running), strict=True):
            assert (found.returncode, found.stdout) == (1, ""), words
            assert "Traceback" not in found.stderr, words
            assert "start it, or correct ledger.url" in found.stderr, words
            assert "s3cret" not in found.stderr, words
