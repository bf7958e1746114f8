"""What was decided of a request that has ended, as operators can look it up by its id."""

import re
import socket
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from yarl import URL

from tests.agents import Script, answering, raw_agent
from tests.gateways import running_gateway
from tests.problems import ask
from tests.standins import BookLedger, current

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
BROKEN = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n"
HALF = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"

GENERAL = """
[rate_limit]
limits = ["2/hour"]
unauthenticated = ["100/minute"]
[plans.free]
default = true
quota = { api_calls = 1 }
[plans.pro]
quota = { api_calls = 100 }
rate_limit = ["100/minute"]
"""
ROUTES = """
[routes.email]
prefix = "/api/email"
upstream = "{upstream}"
timeouts = {{ first_byte = "100ms" }}
methods = ["GET"]
[routes.editors]
prefix = "/editors"
upstream = "{upstream}"
roles = ["editor"]
"""
PRO = {"plan": "pro"}

Decided = dict[str, tuple[str, str]]


async def decided(
    tmp_path: Path, script: Script, calls: list[dict[str, Any]], *, upstream: str | None = None, away: bool = False
) -> tuple[dict[str, Any], Decided]:
    """What operators are told of the last of these calls."""
    async with raw_agent(script) as agent:
        routes = ROUTES.format(upstream=upstream or agent.url)
        async with running_gateway(tmp_path, routes=routes, general=GENERAL) as gateway:
            if away:
                away_ledger = BookLedger()
                away_ledger.away = True
                current(gateway).stores.ledger.hold = away_ledger.hold  # type: ignore[method-assign]
            async with aiohttp.ClientSession() as session:
                for call in calls:
                    claims = call.get("claims")
                    headers = gateway.bearer(**claims) if claims is not None else call.get("headers")
                    try:
                        url = URL(gateway.url + call.get("path", "/api/email/x"), encoded=True)
                        answer = await ask(session, url, headers, method=call.get("method", "GET"))
                        request_id = answer.headers["X-Request-ID"]
                    except aiohttp.ClientPayloadError:
                        document = (await ask(session, gateway.admin_url + "/api/overview")).json
                        request_id = document["failures"][0]["request_id"]
                found = (await ask(session, f"{gateway.admin_url}/api/requests/{request_id}")).json
                page = (await ask(session, f"{gateway.admin_url}/requests/{request_id}")).body.decode()
    assert request_id in page
    assert all(each["decision"] in page for each in found["decisions"])
    return found, {each["by"]: (each["decision"], each["reason"]) for each in found["decisions"]}


BEFORE = ("admission", "rate_limit", "quota", "auth")


@pytest.mark.parametrize(
    ("calls", "last", "decision", "reason"),
    [
        pytest.param(
            [{"headers": {"Host": "a", "Content-Length": "1", "Transfer-Encoding": "chunked"}}],
            "admission",
            "400 bad_request",
            "bad request",
            id="malformed",
        ),
        pytest.param([{"path": "/api/email/%2e%2e/x"}], "admission", "400 bad_request", "bad request", id="path"),
        pytest.param([{}], "auth", "401 token_missing", "no token was sent", id="no token"),
        pytest.param(
            [{"headers": {"Authorization": "Bearer a.b.c"}}],
            "auth",
            "401 token_invalid",
            "the token was not accepted",
            id="bad token",
        ),
        pytest.param(
            [{"claims": {}}, {"claims": {}}],
            "quota",
            "402 quota_exhausted",
            "1 api_calls do not fit into the quota",
            id="quota",
        ),
        pytest.param(
            [{"claims": {}}] * 3,
            "rate_limit",
            "429 rate_limited",
            'a window is used up: "user-hour";r=0;t=',
            id="rate",
        ),
        pytest.param(
            [{"claims": PRO, "path": "/editors/x"}],
            "auth",
            "403 role_denied",
            "none of the token's roles is allowed here",
            id="role",
        ),
        pytest.param(
            [{"claims": PRO, "path": "/nowhere"}],
            "router",
            "404 route_unknown",
            "no route has this path",
            id="route",
        ),
        pytest.param(
            [{"claims": PRO, "method": "DELETE"}],
            "router",
            "405 method_not_allowed",
            "DELETE is not allowed here",
            id="method",
        ),
    ],
)
async def test_the_policy_that_refused_is_named_last_and_those_before_it_passed(
    tmp_path: Path, calls: list[dict[str, Any]], last: str, decision: str, reason: str
) -> None:
    sighting, found = await decided(tmp_path, answering(OK), calls)
    *passed, (name, (said, why)) = found.items()
    assert (name, said) == (last, decision)
    assert why.startswith(reason[:40])
    assert [name for name, _ in passed] == [*BEFORE, "router"][: len(passed)]
    assert {said for _, (said, _) in passed} <= {"pass"}
    assert f"{sighting['status']} {sighting['code']}" == decision


async def test_of_an_agents_own_error_every_policy_passed(tmp_path: Path) -> None:
    sighting, found = await decided(tmp_path, answering(BROKEN), [{"claims": PRO, "path": "/api/email/x?secret=1"}])
    assert list(found) == [*BEFORE, "router", "agent"]
    assert found["admission"] == ("pass", "route email, from 127.0.0.1")
    assert found["rate_limit"][1].startswith('"user-minute";r=99;t=')
    assert found["quota"] == ("pass", "held 1 api_calls, charged 0")
    assert found["auth"] == ("pass", "the token proves ann")
    assert found["router"] == ("pass", "GET is allowed")
    assert found["agent"][0] == "500"
    assert (sighting["status"], sighting["code"], sighting["outcome"]) == (500, None, "failed")
    assert (sighting["user"], sighting["plan"], sighting["path"]) == ("ann", "pro", "/api/email/x")
    assert "secret" not in str(sighting)


async def test_an_agent_that_is_away_was_not_called(tmp_path: Path) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        upstream = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        _, found = await decided(tmp_path, answering(OK), [{"claims": PRO}], upstream=upstream)
    assert found["agent"][0] == "502 upstream_connect"
    assert found["agent"][1].startswith("was not called: given up after ")


async def test_an_agent_that_is_too_slow_gave_no_answer(tmp_path: Path) -> None:
    async def silent(reader: Any, _writer: Any) -> None:
        await reader.read()

    _, found = await decided(tmp_path, silent, [{"claims": PRO}])
    assert found["agent"][0] == "504 upstream_timeout"
    took = re.match(r"no answer after (\d+\.?\d*) ms", found["agent"][1])
    assert took is not None
    assert float(took[1]) >= 100


async def test_an_answer_that_broke_off_is_told_from_one_that_never_came(tmp_path: Path) -> None:
    async def half(reader: Any, writer: Any) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(HALF)
        await writer.drain()

    _, found = await decided(tmp_path, half, [{"claims": PRO}])
    assert found["agent"][0] == "200 upstream_reset"
    assert found["agent"][1].startswith("its answer began after ")
    assert ", broke off after " in found["agent"][1]


async def test_a_ledger_that_is_away_is_the_quotas_refusal(tmp_path: Path) -> None:
    _, found = await decided(tmp_path, answering(OK), [{"claims": PRO}], away=True)
    assert list(found) == ["admission", "rate_limit", "quota"]
    assert found["quota"] == ("503 store_unavailable", "the ledger cannot be asked for units")
