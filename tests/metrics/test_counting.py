"""What is counted of ended requests, as a scrape shows it."""

import asyncio
import os
import re
import signal
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any, cast
from unittest.mock import Mock

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from pytest_aiohttp.plugin import AiohttpClient

from gatewayd.errors import UpstreamTimeout
from gatewayd.exchange import EXCHANGE, Exchange
from gatewayd.metrics import Metrics, Sheet
from gatewayd.metrics.families import Gauge
from gatewayd.model import Identity
from gatewayd.outbox import FEW, LARGE, MOST, Outbox
from gatewayd.policies import access_log, faults
from gatewayd.policies.access_log import REPORTERS
from tests.agents import Script, answering, raw_agent
from tests.clocks import ManualClock
from tests.gateways import RunningGateway, running_gateway
from tests.patience import PATIENCE, when
from tests.policies.rings import EMAIL, Ring
from tests.problems import ask
from tests.proxy.wire import calling, message, saying
from tests.sealing import NONE
from tests.standins import swap_stores
from tests.test_sealing import Draft

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Usage-Quantity: 3\r\n\r\nok"


async def scrape(gateway: RunningGateway) -> dict[str, float]:
    async with aiohttp.ClientSession() as session, session.get(gateway.admin_url + "/metrics") as response:
        assert response.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        lines = (await response.text()).splitlines()
    return {name: float(value) for name, value in (each.rsplit(" ", 1) for each in lines if not each.startswith("#"))}


async def test_every_metric_of_the_contract_is_there_and_counts(tmp_path: Path) -> None:
    async with raw_agent(answering(OK)) as agent, running_gateway(tmp_path, agent.url) as gateway:
        async with aiohttp.ClientSession() as session:
            for headers in (gateway.bearer(), gateway.bearer(), {}):
                async with session.get(gateway.url + "/api/email/x", headers=headers) as response:
                    await response.read()
            async with session.get(gateway.url + "/health") as response:
                await response.read()
        values = await scrape(gateway)
    assert values['gatewayd_requests_total{code="200",method="GET",route="email"}'] == 2
    assert values['gatewayd_requests_total{code="401",method="GET",route="email"}'] == 1
    assert values['gatewayd_requests_total{code="200",method="GET",route="gateway"}'] == 1
    assert values['gatewayd_rejected_total{reason="token_missing"}'] == 1
    assert values['gatewayd_usage_units_total{agent="email",plan="free",unit="api_calls"}'] == 6
    assert values['gatewayd_request_duration_seconds_count{route="email"}'] == 3
    assert values['gatewayd_upstream_first_byte_seconds_count{route="email"}'] == 2
    assert values['gatewayd_overhead_seconds_count{route="email"}'] == 2
    assert 0 < values['gatewayd_overhead_seconds_sum{route="email"}'] < 1
    assert values["gatewayd_client_aborts_total"] == 0
    assert values["gatewayd_in_flight"] == 0
    assert values["gatewayd_ledger_pending"] == 0
    assert values["gatewayd_ledger_drift"] == 0
    assert values["gatewayd_config_generation"] == 1
    assert values["gatewayd_reload_success"] == 1
    assert values['gatewayd_log_lines_dropped_total{log="access",reason="full"}'] == 0
    assert any(name.startswith("gatewayd_build_info") for name in values)


async def test_a_record_that_somebody_changed_shows_as_drift(tmp_path: Path) -> None:
    async with raw_agent(answering(OK)) as agent, running_gateway(tmp_path, agent.url) as gateway:
        async with aiohttp.ClientSession(headers=gateway.bearer()) as session:
            for _ in range(2):
                async with session.get(gateway.url + "/api/email/x") as response:
                    await response.read()
        await gateway.records_when(2)
        with closing(sqlite3.connect(tmp_path / "ledger.db", isolation_level=None)) as ledger:
            ledger.execute("UPDATE usage_records SET quantity = 1 WHERE rowid = 1")
        async with asyncio.timeout(PATIENCE):
            while (await scrape(gateway))["gatewayd_ledger_drift"] != 2:
                await asyncio.sleep(0.05)


async def test_no_user_and_no_path_is_a_label(tmp_path: Path) -> None:
    async with raw_agent(answering(OK)) as agent, running_gateway(tmp_path, agent.url) as gateway:
        async with aiohttp.ClientSession(headers=gateway.bearer("somebody")) as session:
            for number in range(5):
                async with session.get(f"{gateway.url}/api/email/secret-{number}") as response:
                    await response.read()
                async with session.get(f"{gateway.url}/no/such/{number}") as response:
                    await response.read()
        text = " ".join(await scrape(gateway))
    assert "somebody" not in text
    assert "secret" not in text
    assert "such" not in text
    assert set(re.findall(r'route="([^"]*)"', text)) == {"email", "none"}


async def test_a_caller_that_leaves_is_counted_apart_from_refusals(tmp_path: Path) -> None:
    async with raw_agent(answering(b"")) as agent, running_gateway(tmp_path, agent.url) as gateway:
        async with aiohttp.ClientSession(headers=gateway.bearer()) as session:
            calling = asyncio.create_task(ask(session, gateway.url + "/api/email/x"))
            await when(lambda: any(agent.received))
            calling.cancel()
        await gateway.log_lines(1)
        values = await scrape(gateway)
    assert values["gatewayd_client_aborts_total"] == 1
    assert not [name for name in values if name.startswith("gatewayd_rejected_total")]


def test_what_others_count_is_read_at_the_scrape() -> None:
    metrics = Metrics()
    level = [1.0]
    metrics.watch(Gauge("gatewayd_level", "A level."), lambda: level[0])
    assert b"gatewayd_level 1.0" in metrics.text()
    level[0] = 2.0
    assert b"gatewayd_level 2.0" in metrics.text()


SLOW = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


async def test_the_agents_time_is_none_of_the_gateways_own(tmp_path: Path) -> None:
    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await reader.readuntil(b"\r\n\r\n")
            await asyncio.sleep(0.5)  # the agent's work
            writer.write(SLOW[:-1])
            await writer.drain()
            await asyncio.sleep(0.5)
            writer.write(SLOW[-1:])
            await writer.drain()

    async with raw_agent(slow) as agent, running_gateway(tmp_path, agent.url) as gateway:
        async with (
            aiohttp.ClientSession(headers=gateway.bearer()) as session,
            session.get(gateway.url + "/api/email/x") as response,
        ):
            await response.read()
        await gateway.log_lines(1)
        values = await scrape(gateway)
    assert values['gatewayd_request_duration_seconds_sum{route="email"}'] > 1
    assert values['gatewayd_upstream_first_byte_seconds_sum{route="email"}'] > 0.5
    assert 0 < values['gatewayd_overhead_seconds_sum{route="email"}'] < 0.5


async def test_an_agent_that_cannot_be_reached_takes_none_of_the_gateways_own_time(
    aiohttp_client: AiohttpClient, clock: ManualClock
) -> None:
    ring = Ring(EMAIL, clock, access_log.POLICY, faults.POLICY)
    metrics = Metrics()

    async def unreachable(request: web.Request) -> web.StreamResponse:
        clock.advance(0.003)
        request[EXCHANGE].asked = clock.monotonic()
        clock.advance(2)
        raise UpstreamTimeout

    ring.handler = unreachable
    ring.app[REPORTERS] = (metrics.report,)
    await ask(await aiohttp_client(ring.app), "/api/email/x")
    [[_, (total, *_)]] = metrics.samples()["histograms"]["gatewayd_overhead_seconds"]
    assert total == pytest.approx(0.003)


def test_a_successor_goes_on_where_a_dead_process_had_counted(clock: ManualClock) -> None:
    sheet = Sheet()
    before = os.fork()
    if not before:
        metrics = Metrics(sheet)
        for _ in range(3):
            metrics.report(exchange(clock))
        os.kill(os.getpid(), signal.SIGKILL)
    assert os.waitpid(before, 0)[1] == signal.SIGKILL
    assert sheet.samples()["counters"]["gatewayd_requests"] == [[("none", "GET", "200"), 3]]
    successor = Metrics(sheet)
    successor.report(exchange(clock))
    assert sheet.samples()["counters"]["gatewayd_requests"] == [[("none", "GET", "200"), 4]]
    [[_, (_, *buckets)]] = successor.samples()["histograms"]["gatewayd_request_duration_seconds"]
    assert sum(buckets) == 4


async def test_what_is_counted_in_a_turn_is_on_the_sheet_before_its_answers_leave(clock: ManualClock) -> None:
    sheet, outbox = Sheet(), Outbox(asyncio.get_running_loop())
    left: list[Any] = []
    outbox.speakers = FEW
    metrics = Metrics(sheet)
    metrics.settle_with(outbox)

    class Wire:
        def write(self, _data: bytes) -> None:
            left.append(sheet.samples()["counters"]["gatewayd_requests"])

        def is_closing(self) -> bool:
            return False

    for _ in range(3):
        counted = exchange(clock)
        counted.leaves = outbox.put(cast("asyncio.Transport", Wire()), b"an answer", NONE)
        metrics.report(counted)
    assert (left, sheet.samples()["counters"]["gatewayd_requests"]) == ([], [[("none", "GET", "200"), 0]])
    await asyncio.sleep(0)
    assert left == [[[("none", "GET", "200"), 3]]] * 3


async def test_of_more_answers_than_the_outbox_holds_none_leaves_uncounted(clock: ManualClock) -> None:
    sheet, outbox = Sheet(), Outbox(asyncio.get_running_loop())
    ahead: list[float] = []
    outbox.speakers = MOST + 1
    metrics = Metrics(sheet)
    metrics.settle_with(outbox)

    class Wire:
        def write(self, _data: bytes) -> None:
            [[_, count]] = sheet.samples()["counters"]["gatewayd_requests"]
            ahead.append(count - len(ahead))

        def is_closing(self) -> bool:
            return False

    for _ in range(2 * MOST + 1):
        counted = exchange(clock)
        counted.leaves = outbox.put(cast("asyncio.Transport", Wire()), b"an answer", NONE)
        metrics.report(counted)
    await asyncio.sleep(0)
    assert len(ahead) == 2 * MOST + 1
    assert min(ahead) >= 1


async def test_what_is_counted_of_an_answer_that_does_not_wait_is_on_the_sheet_at_once(clock: ManualClock) -> None:
    sheet, outbox = Sheet(), Outbox(asyncio.get_running_loop())
    outbox.speakers = FEW
    metrics = Metrics(sheet)
    metrics.settle_with(outbox)
    for number in (1, 2):
        metrics.report(exchange(clock))
        assert sheet.samples()["counters"]["gatewayd_requests"] == [[("none", "GET", "200"), number]]
        wire = Mock(spec=asyncio.Transport)
        outbox.put(wire, b"another's", NONE)


WHOLE = answering(OK)
LONG = answering(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (2 * LARGE, bytes(2 * LARGE)))
PIECES = saying(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"2\r\nok\r\n", b"0\r\n\r\n")


@pytest.mark.parametrize(
    ("script", "others", "fields", "times"),
    [
        (WHOLE, 0, (), 1),
        (WHOLE, FEW, (), 2),
        (LONG, FEW, (), 1),
        (PIECES, FEW, (), 1),
        (WHOLE, FEW, ("Connection: close",), 1),
    ],
    ids=["few speak", "pipelined", "long", "a stream", "the connection ends"],
)
async def test_an_answer_that_leaves_at_once_is_on_the_sheet_before_the_loop_goes_on(
    tmp_path: Path, script: Script, others: int, fields: tuple[str, ...], times: int
) -> None:
    """Also while others of this turn wait."""
    seen = list[float]()
    async with raw_agent(script) as agent, running_gateway(tmp_path, agent.url) as gateway:
        worker = gateway.daemon._worker
        assert worker._runner is not None
        outbox = worker._runner.outbox

        def look() -> None:
            counters = worker.metrics._sheet.samples()["counters"].get("gatewayd_requests", [])
            seen.append(sum(count for _, count in counters))

        class Books(Draft):
            def seal(self) -> None:
                ended = any(word == "delivered" for word, _ in self._noted - self.written)
                super().seal()
                if ended and not seen:  # the first answer is on its way as soon as this returns
                    asyncio.get_running_loop().call_soon(look)
                    outbox.speakers += others
                    if others:
                        outbox.put(Mock(spec=asyncio.Transport), b"another's", NONE)
                    outbox.speakers -= others

        swap_stores(gateway, ledger=Books())
        async with calling(gateway) as caller:
            await caller.send(message(gateway, fields=fields) * times)
            for _ in range(times):
                assert (await caller.hear()).status == 200
    assert seen[0] == 1


async def test_who_asks_a_process_for_its_numbers_has_those_of_this_turn_too(clock: ManualClock) -> None:
    outbox = Outbox(asyncio.get_running_loop())
    metrics = Metrics()
    metrics.settle_with(outbox)
    counted = exchange(clock)
    counted.leaves = outbox.round
    metrics.report(counted)
    assert metrics._sheet.samples()["counters"]["gatewayd_requests"] == [[("none", "GET", "200"), 0]]
    assert metrics.samples()["counters"]["gatewayd_requests"] == [[("none", "GET", "200"), 1]]


def test_without_room_for_a_series_the_others_count_on(clock: ManualClock, caplog: pytest.LogCaptureFixture) -> None:
    metrics = Metrics(Sheet(numbers=64 + 1 + 1 + 50))
    for status in (200, *range(300, 400), 200):
        metrics.report(exchange(clock, status))
    counted = dict(metrics.samples()["counters"]["gatewayd_requests"])
    assert counted["none", "GET", "200"] == 2
    assert len(counted) < 10
    assert caplog.text.count("no room for more metrics") == 1


def test_a_hundred_thousand_users_are_as_many_series_as_one(clock: ManualClock) -> None:
    sheet = Sheet()
    metrics, counted = Metrics(sheet), exchange(clock)
    counted.unit, counted.quantity = "api_calls", 1
    sizes = set()
    for number in range(100_000):
        counted._identity = Identity(f"user-{number}", None, frozenset(), None, None, 0.0)
        metrics.report(counted)
        if number in (0, 99_999):
            sizes.add(len(sheet.series()))
    assert len(sizes) == 1
    assert metrics.samples()["counters"]["gatewayd_usage_units"] == [[("", "api_calls", ""), 100_000]]
    assert b"user-" not in metrics.text()


def exchange(clock: ManualClock, status: int = 200) -> Exchange:
    found = Ring("", clock).generations.begin(make_mocked_request("GET", "/"))
    found.status, found.ended = status, clock.monotonic()
    return found
