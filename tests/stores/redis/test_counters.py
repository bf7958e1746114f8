import asyncio
import logging
import random
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from gatewayd.errors import StoreError, StoreUnavailable
from gatewayd.model import Rate, Tally, Window
from gatewayd.stores.redis import counters as counters_module
from gatewayd.stores.redis.counters import RedisCounters, open_counters
from gatewayd.stores.redis.line import PATIENCE as QUICK
from gatewayd.stores.redis.outage import RETURNING
from tests.patience import PATIENCE
from tests.stores.standins import PlainLocal
from tests.valkey import Valkey, valkey

WINDOW = Window("{user:ann}minute", "user-minute", Rate(6, "minute", burst=6))


class LoopTime:
    """The time of whichever loop runs, in which a machine that stands still lets none pass; see `clock.Clock`."""

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()

    def utc(self) -> float:
        return time.time()


CLOCK = LoopTime()


@pytest.fixture
def own() -> Iterator[Valkey]:
    with valkey() as server:
        yield server


@pytest.fixture(autouse=True)
def _in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counters_module, "HEARTBEAT", 0.02)
    monkeypatch.setattr(counters_module, "PROBE", 0.01)


@asynccontextmanager
async def daemon(server: Valkey, **options: Any) -> AsyncIterator[RedisCounters]:
    local = PlainLocal(CLOCK)
    asked: dict[str, Any] = {"on_outage": "local", "local": local, "clock": CLOCK, "patience": PATIENCE} | options
    counters = open_counters(asked.pop("url", server.url), **asked)
    yield counters
    await counters.close()


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not true():
            await asyncio.sleep(0.001)


async def admitted(counters: RedisCounters, times: int, window: Window = WINDOW) -> int:
    """How many of so many takes one after another."""
    return sum([(await counters.take([window]))[0].admitted for _ in range(times)])


async def fall(server: Valkey, *daemons: RedisCounters) -> None:
    server.kill()
    await until(lambda: all(each.away for each in daemons))


async def rise(server: Valkey, *daemons: RedisCounters) -> None:
    server.start()
    await until(lambda: not any(each.away for each in daemons))


async def test_daemons_share_one_bucket(server: Valkey) -> None:
    async with daemon(server) as one, daemon(server) as two:
        assert [await admitted(one, 4), await admitted(two, 4), await admitted(one, 1)] == [4, 2, 0]


async def test_a_daemon_alone_goes_on_in_an_outage_from_where_its_callers_stand(own: Valkey) -> None:
    async with daemon(own) as counters:
        assert await admitted(counters, 4) == 4
        await fall(own, counters)
        assert await admitted(counters, 4) == 2


@pytest.mark.parametrize("on_outage", ["allow", "deny"])
async def test_an_outage_is_answered_as_configured(own: Valkey, on_outage: str) -> None:
    own.kill()
    async with daemon(own, on_outage=on_outage) as counters:
        if on_outage == "allow":
            assert [await counters.take([WINDOW]) for _ in range(9)] == [[Tally(True, 6, 0.0, 0.0)]] * 9
        else:
            with pytest.raises(StoreUnavailable):
                await counters.take([WINDOW])


async def test_a_server_that_is_away_at_start_stops_nothing(own: Valkey) -> None:
    own.kill()
    async with daemon(own) as counters:
        assert await admitted(counters, 4) == 4
        await rise(own, counters)
        assert await admitted(counters, 4) == 2


async def test_a_frozen_server_is_gone_within_its_50_ms_and_back_when_it_thaws(own: Valkey) -> None:
    async with daemon(own, patience=QUICK) as counters:
        assert await admitted(counters, 2) == 2
        own.freeze()
        began = CLOCK.monotonic()
        await counters.take([WINDOW])
        assert CLOCK.monotonic() - began < 0.5
        assert counters.away
        began = CLOCK.monotonic()
        await admitted(counters, 100)
        assert CLOCK.monotonic() - began < 0.5
        own.thaw()
        await until(lambda: not counters.away)
        assert await admitted(counters, 9) <= 4
        assert await admitted(counters, 1) == 0


async def test_an_outage_is_one_line_in_the_log_and_its_end_another(
    own: Valkey, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with daemon(own) as counters:
        await counters.take([WINDOW])
        await fall(own, counters)
        await admitted(counters, 5)
        await rise(own, counters)
    away, back = caplog.messages
    assert away.startswith("counters: Redis is away: ")
    assert back == "counters: Redis is back"


async def test_three_daemons_that_lose_the_server_stay_within_the_limit_together(own: Valkey) -> None:
    rate = Rate(1_200, "minute", burst=40)
    window, chance, began = Window("{user:ann}minute", "w", rate), random.Random(4), time.monotonic()
    taken = 0

    async def call(counters: RedisCounters, seconds: float) -> None:
        nonlocal taken
        end = CLOCK.monotonic() + seconds
        while CLOCK.monotonic() < end:
            (tally,) = await counters.take([window])
            taken += tally.admitted
            await asyncio.sleep(chance.random() / 500)

    async with daemon(own) as one, daemon(own) as two, daemon(own) as three:
        all_three = (one, two, three)
        for each in all_three:
            await each.take([Window("{x}", "x", rate)])
        await until(lambda: [each.daemons for each in all_three] == [3] * 3)
        began = time.monotonic()  # as the server counts it
        for seconds, event in ((0.2, own.kill), (0.8, own.start), (1.2, lambda: None)):
            async with asyncio.TaskGroup() as group:
                for each in all_three:
                    group.create_task(call(each, seconds))
            event()
        await until(lambda: not any(each.away for each in all_three))
        assert not any(each.away for each in all_three)
    elapsed = time.monotonic() - began
    most = rate.burst + elapsed * rate.limit / 60
    assert most * 0.6 < taken <= most


async def test_what_was_admitted_without_the_server_counts_when_it_is_back(own: Valkey) -> None:
    window = Window("{user:bob}minute", "w", Rate(1_200, "minute", burst=40))
    async with daemon(own, patience=QUICK) as one, daemon(own, patience=QUICK) as two:
        await one.take([WINDOW])
        await two.take([WINDOW])
        await until(lambda: one.daemons == two.daemons == 2)
        own.freeze()
        await until(lambda: one.away)
        admitted_here = 0
        while admitted_here < 5:
            admitted_here += await admitted(one, 1, window)
            await asyncio.sleep(0.001)
        own.thaw()
        await until(lambda: not one.away)
        assert own.say("EXISTS", "gatewayd:{user:bob}minute") == b":1"


async def test_a_server_that_comes_back_empty_lets_nobody_start_again(own: Valkey) -> None:
    async with daemon(own) as one, daemon(own) as two:
        assert await admitted(one, 9) == 6
        await two.take([WINDOW])
        await until(lambda: one.daemons == two.daemons == 2)
        await fall(own, one, two)
        await rise(own, one, two)
        assert await admitted(one, 9) + await admitted(two, 9) == 0


async def test_a_server_that_is_emptied_while_it_serves_lets_nobody_start_again_for_long(server: Valkey) -> None:
    async with daemon(server) as one, daemon(server) as two:
        await two.take([WINDOW])
        await one.take([WINDOW])
        await until(lambda: one.daemons == two.daemons == 2)
        assert await admitted(one, 9) == 4
        server.say("FLUSHALL")
        await until(lambda: bool(two._standin.least([WINDOW])) and bool(one._standin.least([WINDOW])))
        assert await admitted(one, 9) + await admitted(two, 9) == 0


async def test_a_daemon_that_is_back_first_keeps_to_its_share_until_the_others_are(own: Valkey) -> None:
    async with daemon(own) as one, daemon(own) as two:
        await one.take([WINDOW])
        await two.take([WINDOW])
        await until(lambda: one.daemons == two.daemons == 2)
        quick = Window("{user:bob}second", "w", Rate(40, "second", burst=40))
        began, taken = time.monotonic(), 0
        await fall(own, one, two)
        await rise(own, one, two)
        end = CLOCK.monotonic() + RETURNING * 0.8
        while CLOCK.monotonic() < end:
            (tally,) = await one.take([quick])
            taken += tally.admitted
            await asyncio.sleep(0)  # the loop's time passes between its callbacks
        assert 1 <= taken <= (time.monotonic() - began) * 40 / 2


async def test_a_lone_daemon_tells_an_empty_server_how_its_callers_stand(own: Valkey) -> None:
    async with daemon(own) as counters:
        assert await admitted(counters, 2) == 2
        await fall(own, counters)
        await rise(own, counters)
        idle = Window("{user:bob}minute", "w", WINDOW.rate)
        assert await admitted(counters, 9) <= 4
        assert (await counters.take([idle]))[0].admitted


@pytest.mark.parametrize("trouble", ["READONLY", "NOAUTH", "OOM"])
async def test_a_server_that_answers_with_an_error_is_away(own: Valkey, trouble: str) -> None:
    own.say(
        *{
            "READONLY": ("REPLICAOF", "127.0.0.1", "1"),
            "NOAUTH": ("CONFIG", "SET", "requirepass", "secret"),
            "OOM": ("CONFIG", "SET", "maxmemory", "1"),
        }[trouble]
    )
    async with daemon(own) as counters:
        assert await admitted(counters, 9) == 6
        assert counters.away


@pytest.mark.parametrize("rest", ["?db=99", "?password=hunter2"], ids=["no such database", "wrong password"])
async def test_a_wrong_address_is_an_outage_that_tells_no_secret(
    server: Valkey, rest: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with daemon(server, url=server.url + rest) as counters:
        assert await admitted(counters, 9) == 6
        assert counters.away
    assert "hunter2" not in caplog.text


async def test_scripts_that_were_flushed_are_given_again(server: Valkey) -> None:
    async with daemon(server) as counters:
        await counters.take([WINDOW])
        server.say("SCRIPT", "FLUSH")
        taken = await asyncio.gather(*[counters.take([WINDOW]) for _ in range(9)])
        assert sum(tally.admitted for (tally,) in taken) == 5
        assert not counters.away


async def test_a_caller_who_leaves_disturbs_nobodys_answer(server: Valkey) -> None:
    async with daemon(server) as counters:
        await counters.take([WINDOW])
        windows = [Window(f"{{{n}}}", "w", Rate(n + 1, "hour")) for n in range(40)]
        takes = [asyncio.create_task(counters.take([window])) for window in windows]
        await asyncio.sleep(0)
        for take in takes[::2]:
            take.cancel()
        answers = await asyncio.gather(*takes[1::2])
        assert [tally.remaining for (tally,) in answers] == list(range(1, 40, 2))


async def test_closed_counters_leave_nothing_open(server: Valkey) -> None:
    before = asyncio.all_tasks()
    async with daemon(server) as counters:
        await counters.take([WINDOW])
        waiting = asyncio.create_task(counters.take([WINDOW]))
        await asyncio.sleep(0)
        await counters.close()
        with pytest.raises(StoreUnavailable):
            await waiting
    assert asyncio.all_tasks() == before


@pytest.mark.parametrize(
    "url",
    [
        "redis://",
        "redis://:hunter2@",
        "redis://:hunter2@host:port/0",
        "redis://:hunter2@host/zero",
        "redis://:hunter2@host?health_check_interval=hunter2",
        "redis://:hunter2@host?no_such_option=1",
        "rediss://:hunter2@[host/0",
        "unix:",
        "memory:",
    ],
)
def test_a_malformed_address_is_refused_without_quoting_it(url: str) -> None:
    with pytest.raises(StoreError) as caught:
        open_counters(url, on_outage="local", local=PlainLocal(CLOCK), clock=CLOCK)
    assert str(caught.value).startswith("counters.url: ")
    assert "hunter2" not in str(caught.value)
