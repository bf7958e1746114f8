"""What is counted of ended requests, as a scrape shows it."""

import re
from pathlib import Path

import aiohttp
import pytest

from gatewayd.metrics import Metrics
from tests.agents import answering, raw_agent
from tests.gateways import RunningGateway, running_gateway

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
    assert values["gatewayd_config_generation"] == 1
    assert any(name.startswith("gatewayd_build_info") for name in values)


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
            with pytest.raises(TimeoutError):
                await session.get(gateway.url + "/api/email/x", timeout=aiohttp.ClientTimeout(total=0.2))
        await gateway.log_lines(1)
        values = await scrape(gateway)
    assert values["gatewayd_client_aborts_total"] == 1
    assert not [name for name in values if name.startswith("gatewayd_rejected_total")]


def test_what_others_count_is_read_at_the_scrape() -> None:
    metrics = Metrics()
    level = [1.0]
    metrics.watch("gatewayd_level", "A level.", lambda: level[0])
    assert b"gatewayd_level 1.0" in metrics.text()
    level[0] = 2.0
    assert b"gatewayd_level 2.0" in metrics.text()
