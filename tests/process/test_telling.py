"""A worker's reporters are all told of a request, whichever of them fails."""

import json
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from pytest_aiohttp.plugin import AiohttpClient

from gatewayd.admin.sightings import Sightings
from gatewayd.exchange import Exchange
from gatewayd.metrics import Metrics
from gatewayd.policies import access_log, faults
from gatewayd.process.logs import Logs
from gatewayd.process.telling import Telling
from tests.clocks import ManualClock
from tests.policies.rings import EMAIL, Ring
from tests.problems import ask


class Told:
    """A log of one line a request, its metrics and its sightings, as a worker has them."""

    def __init__(self, clock: ManualClock, path: Path) -> None:
        self.path = path / "access.log"
        text = f"[access_log]\nfile = '{self.path}'\n{EMAIL}"
        self.ring = Ring(text, clock, access_log.POLICY, faults.POLICY)
        self.logs, self.metrics, self.sightings = Logs(clock), Metrics(), Sightings()

    async def of(self, exchange: Exchange) -> Mapping[str, int]:
        """How often each was told of it."""
        async with AsyncExitStack() as stack:
            await self.logs.open(self.ring.settings, stack)
            Telling(self.logs, self.metrics, self.sightings).report(exchange)
        counted: list[Any] = self.metrics.samples()["counters"].get("gatewayd_requests", [])
        return {
            "lines": len([json.loads(line) for line in self.path.read_text().splitlines()]),
            "counted": sum(count for _, count in counted),
            "seen": len(self.sightings.samples()["refusals"]),
        }


@pytest.fixture
async def refused(aiohttp_client: AiohttpClient, clock: ManualClock, tmp_path: Path) -> tuple[Told, Exchange]:
    told = Told(clock, tmp_path)
    client = await aiohttp_client(told.ring.app)
    await ask(client, "/no/such/route")
    [exchange] = told.ring.reported
    exchange.status, exchange.code = 404, "route_unknown"
    return told, exchange


async def test_all_of_them_are_told(refused: tuple[Told, Exchange]) -> None:
    told, exchange = refused
    assert await told.of(exchange) == {"lines": 1, "counted": 1, "seen": 1}


async def test_a_line_that_cannot_be_written_is_said_and_the_others_are_told(
    refused: tuple[Told, Exchange], caplog: pytest.LogCaptureFixture
) -> None:
    told, exchange = refused
    exchange.method = "\ud800"  # half a pair, which is no character of JSON
    assert await told.of(exchange) == {"lines": 0, "counted": 0, "seen": 1}
    assert caplog.text.count(f"request {exchange.request_id} could not be reported") == 2
