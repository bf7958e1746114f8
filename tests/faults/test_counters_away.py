"""Valkey killed or frozen under one and three daemons: as configured, never a 5xx that nobody asked for."""

import asyncio
import os
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from gatewayd.stores.redis.census import ROLL
from gatewayd.stores.redis.outage import RETURNING
from tests.daemons import PATIENCE, RunningDaemon, running_daemon
from tests.faults.crowds import PATH, bearer, callers, configured, counting_agent
from tests.problems import ask
from tests.process.crews import pids
from tests.valkey import Valkey, valkey

ANN = bearer("ann")
A_SECOND = 20
BURST = 30
LIMIT = f"{A_SECOND * 60}/minute burst {BURST}"
GREETED = f"return redis.status_reply(table.concat(redis.call('ZRANGE', '{ROLL}', 0, -1, 'WITHSCORES'), ' '))"


@asynccontextmanager
async def daemons(directory: Path, counters: Valkey, count: int, **options: Any) -> AsyncIterator[list[RunningDaemon]]:
    async with counting_agent() as (agent, _), AsyncExitStack() as stack:
        started = [
            stack.enter_async_context(
                running_daemon(configured(directory / str(number), agent.url, counters=counters.url, **options))
            )
            for number in range(count)
        ]
        yield list(await asyncio.gather(*started))


async def keep_calling(
    places: list[RunningDaemon],
    seconds: float,
    headers: dict[str, str] = ANN,
    *,
    until: Callable[[Counter[int]], bool] = lambda statuses: True,
) -> Counter[int]:
    """What callers of all of them were answered, each on a connection of its own and nobody waiting.

    Each calls at least once, and all go on for so many seconds and until what was answered is as it must be.
    """
    statuses: Counter[int] = Counter()
    end = time.monotonic() + seconds

    async def one(session: aiohttp.ClientSession) -> None:
        over = False
        while not over:
            statuses[(await ask(session, PATH, headers)).status] += 1
            over = time.monotonic() >= end and until(statuses)

    async with asyncio.timeout(PATIENCE), AsyncExitStack() as stack:
        sessions = [await stack.enter_async_context(callers(place)) for place in places]
        await asyncio.gather(*(one(session) for session in sessions for _ in range(2)))
    return statuses


async def acquainted(counters: Valkey, count: int) -> None:
    """So many daemons were called, and each has greeted the server since the last of them came: it has heard of all."""
    complete: dict[str, str] = {}
    async with asyncio.timeout(PATIENCE):
        while not complete or any(greeted(counters)[each] == complete[each] for each in complete):
            if not complete and len(seen := greeted(counters)) == count:
                complete = seen
            await asyncio.sleep(0.02)


def greeted(counters: Valkey) -> dict[str, str]:
    """When each daemon greeted the server last."""
    words = counters.say("EVAL", GREETED, "0").decode().removeprefix("+").split()
    return dict(zip(words[::2], words[1::2], strict=True))


def served(statuses: Counter[int]) -> bool:
    return statuses[200] > 0


async def lose(counters: Valkey, how: str) -> None:
    if how == "killed":
        counters.kill()
    else:
        counters.freeze()


async def find(counters: Valkey, how: str) -> None:
    if how == "killed":
        await asyncio.to_thread(counters.start)
    else:
        counters.thaw()


@pytest.mark.parametrize(("how", "count"), [("killed", 3), ("frozen", 1)])
async def test_daemons_that_lose_their_counters_stay_within_the_limit_together_and_nobody_sees_a_5xx(
    tmp_path: Path, how: str, count: int
) -> None:
    with valkey() as counters:
        try:
            async with daemons(tmp_path, counters, count, limit=LIMIT) as all_of_them:
                began = time.monotonic()
                seen = await keep_calling(all_of_them, 0.3)
                await acquainted(counters, count)
                seen += await keep_calling(all_of_them, 0)
                await lose(counters, how)
                # A daemon alone knows where its callers stand; of several, nobody need be served.
                seen += await keep_calling(all_of_them, 1.0, until=served if count == 1 else bool)
                await find(counters, how)
                seen += await keep_calling(all_of_them, 1.2, until=served)
                most = BURST + A_SECOND * (time.monotonic() - began)
                for daemon in all_of_them:
                    await daemon.said("counters: Redis is back")
        finally:
            counters.thaw() if how == "frozen" else None
    assert seen.keys() == {200, 429}
    assert seen[200] <= most + 1


@pytest.mark.parametrize(("counting", "status"), [("allow", 200), ("deny", 503)])
async def test_an_outage_of_the_counters_is_answered_as_configured(tmp_path: Path, counting: str, status: int) -> None:
    with valkey() as counters:
        async with daemons(tmp_path, counters, 1, limit="3/day", counting=counting, workers=2) as (daemon,):
            counters.kill()
            assert (await keep_calling([daemon], 0.5)).keys() == {status}
            if status == 503:
                async with callers(daemon) as session:
                    (await ask(session, PATH, ANN)).problem(503, "store_unavailable")
            counters.start()
            await daemon.said("counters: Redis is back")
            async with asyncio.timeout(PATIENCE):
                while daemon.log.count("Redis is back") < daemon.log.count("Redis is away"):  # in either worker
                    await asyncio.sleep(0.01)
            assert (await keep_calling([daemon], 0.2, bearer("eve"))).keys() <= {200, 429}


async def test_a_worker_that_is_made_in_an_outage_knows_that_others_count_too_and_what_the_server_lost(
    tmp_path: Path,
) -> None:
    with valkey() as counters:
        async with daemons(tmp_path, counters, 2, limit="40/day") as (one, two):
            seen = await keep_calling([one, two], 0, bearer("bob"), until=lambda statuses: statuses[429] > 0)
            await acquainted(counters, 2)
            assert seen[200] + (await keep_calling([one, two], 0.1, bearer("bob")))[200] == 40
            counters.kill()
            assert (await keep_calling([one, two], 0.3)).keys() == {429}, "what others admitted, nobody knows"
            os.kill((await asyncio.to_thread(pids, one.config))["worker"], signal.SIGKILL)
            await one.said("was killed by SIGKILL")
            assert (await keep_calling([one], 0.5)).keys() == {429}
            counters.start()  # which has forgotten everything
            await one.said("counters: Redis is back")
            seen = await keep_calling([one], RETURNING + 0.5)
            assert seen.keys() == {429}, "the new worker knows that what the server had is lost"
