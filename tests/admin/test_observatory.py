"""Looks at the daemon: as of now for whoever asks, once for all who ask at once, and some minutes back."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from gatewayd.admin.observatory import Observatory, Silent, Sources
from gatewayd.admin.usage import UsageDesk
from gatewayd.metrics import Tally
from tests.admin.ledgers import Shelf
from tests.admin.overviews import status
from tests.clocks import ManualClock
from tests.patience import PATIENCE


class Gateway:
    """Says of itself what the test wants."""

    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock
        self.looks = 0
        self.requests = 0
        self.failed = 0
        self.silent: Exception | None = None
        self.gate = asyncio.Event()
        self.gate.set()

    async def status(self) -> dict[str, Any]:
        self.looks += 1
        await self.gate.wait()
        if self.silent is not None:
            raise self.silent
        return status(uptime_seconds=self.clock.monotonic())

    async def counted(self) -> Tally:
        rows = [[["email", "GET", "200"], self.requests], [["email", "GET", "502"], self.failed]]
        return Tally.of([{"counters": {"gatewayd_requests": rows}}])

    async def sighted(self) -> dict[str, Any]:
        codes = [["email", "upstream_connect", 502, self.failed]]
        return {"codes": codes, "failures": [], "refusals": [], "in_flight": {}}


@pytest.fixture
def gateway(clock: ManualClock) -> Gateway:
    return Gateway(clock)


@pytest.fixture
async def observatory(gateway: Gateway, clock: ManualClock) -> AsyncIterator[Observatory]:
    desk = UsageDesk(Shelf().open, clock)
    yield Observatory(Sources(gateway.status, gateway.counted, gateway.sighted), desk, clock)
    await desk.close()


async def test_whoever_asks_is_told_how_it_is_now(observatory: Observatory, gateway: Gateway) -> None:
    for requests in (1, 5, 9):
        gateway.requests = requests
        gateway.clock.advance(0.01)
        assert (await observatory.overview())["ended"]["requests"] == requests


async def test_who_asks_at_once_is_answered_by_one_look_that_began_after_he_asked(
    observatory: Observatory, gateway: Gateway
) -> None:
    gateway.gate.clear()
    first = asyncio.create_task(observatory.overview())
    await asyncio.sleep(0)
    gateway.clock.advance(1)
    others = [asyncio.create_task(observatory.overview()) for _ in range(10)]
    await asyncio.sleep(0)
    gateway.clock.advance(1)
    gateway.gate.set()
    await asyncio.gather(first, *others)
    assert gateway.looks == 2


async def test_rates_and_states_come_from_what_was_seen_before(observatory: Observatory, gateway: Gateway) -> None:
    for second in range(100):
        gateway.requests = 3 * second
        await observatory._look()
        gateway.clock.advance(1)
    found = await observatory.overview()
    assert found["lately"]["rate"] == pytest.approx(3, rel=0.05)
    assert found["agents"][0]["state"] == "up"
    since = found["agents"][0]["since"]
    for _ in range(20):
        gateway.failed += 1
        await observatory._look()
        gateway.clock.advance(1)
    down = (await observatory.overview())["agents"][0]
    assert (down["state"], down["cause"]) == ("down", "cannot be reached")
    assert down["since"] > since


@pytest.mark.parametrize("error", [ConnectionRefusedError(), ValueError("half a line"), TimeoutError()])
async def test_a_daemon_that_is_silent_is_shown_as_it_was_and_since_when(
    observatory: Observatory, gateway: Gateway, error: Exception
) -> None:
    gateway.silent = error
    with pytest.raises(Silent):
        await observatory.overview()
    gateway.silent = None
    gateway.requests = 7
    gateway.clock.advance(1)
    assert (await observatory.overview())["silent_since"] is None
    gateway.silent = error
    gateway.clock.advance(1)
    found = await observatory.overview()
    gateway.clock.advance(60)
    later = await observatory.overview()
    assert found["silent_since"] == later["silent_since"] == "2025-11-24T16:00:02Z"
    assert later["ended"]["requests"] == 7
    assert later["verdict"]["sentence"] == "The daemon has not answered since 16:00:02 UTC."


async def test_one_that_does_not_answer_at_all_is_waited_for_some_seconds_only(
    observatory: Observatory, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gatewayd.admin.observatory.PATIENCE", 0.01)
    gateway.gate.clear()
    with pytest.raises(Silent):
        await observatory.overview()


async def test_it_looks_by_itself_and_goes_on_when_a_look_fails(
    observatory: Observatory, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gatewayd.admin.observatory.EVERY", 0)
    gateway.silent = OSError()
    watching = asyncio.create_task(observatory.watch())
    async with asyncio.timeout(PATIENCE):
        while gateway.looks < 3:
            await asyncio.sleep(0)
        gateway.silent = None
        while not observatory._status:
            await asyncio.sleep(0)
    watching.cancel()
    await asyncio.wait({watching})
    assert watching.cancelled()
