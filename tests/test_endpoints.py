"""What the gateway answers itself: health, readiness, the caller's usage, the agents."""

import asyncio
from typing import Any

import pytest
from pytest_aiohttp.plugin import AiohttpClient

from gatewayd import endpoints
from gatewayd.app import serve
from gatewayd.model import Balance, BillingPeriod
from gatewayd.policies import auth, quota, rate_limit
from tests.clocks import ManualClock
from tests.patience import PATIENCE
from tests.policies.rings import EMAIL, Ring
from tests.problems import ask
from tests.standins import SlowLedger

PLANS = "[plans.free]\ndefault = true\nquota = { api_calls = 10, pages = 0, tokens = 500 }\n"
PATHS = ["/health", "/ready", "/gateway/v1/usage", "/gateway/v1/agents"]


@pytest.fixture
def ring(clock: ManualClock) -> Ring:
    ring = Ring(PLANS + EMAIL, clock, rate_limit.POLICY, quota.POLICY, auth.POLICY)
    ring.handler = serve
    return ring


def all_true(**changes: bool) -> dict[str, bool]:
    return {"serving": True, "ledger": True, "accounts": True, **changes}


async def test_health_says_that_the_process_lives(aiohttp_client: AiohttpClient, ring: Ring) -> None:
    client = await aiohttp_client(ring.app)
    ring.ledger.away = True
    answered = await ask(client, "/health")
    assert (answered.status, answered.json) == (200, {"status": "ok"})


async def test_health_and_ready_say_503_while_draining(aiohttp_client: AiohttpClient, ring: Ring) -> None:
    client = await aiohttp_client(ring.app)
    ring.drain.begin()
    health, ready = await ask(client, "/health"), await ask(client, "/ready")
    assert (health.status, health.json) == (503, {"status": "draining"})
    assert (ready.status, ready.json) == (503, {"ready": False, "checks": all_true(serving=False)})
    assert (await ask(client, "/gateway/v1/usage", ring.bearer())).status == 200


async def test_ready_says_what_it_looked_at(aiohttp_client: AiohttpClient, ring: Ring) -> None:
    client = await aiohttp_client(ring.app)
    answered = await ask(client, "/ready")
    assert (answered.status, answered.json) == (200, {"ready": True, "checks": all_true()})


async def test_ready_is_503_while_the_ledger_refuses_holds(aiohttp_client: AiohttpClient, ring: Ring) -> None:
    client = await aiohttp_client(ring.app)
    ring.ledger.away = True
    answered = await ask(client, "/ready")
    assert (answered.status, answered.json) == (503, {"ready": False, "checks": all_true(ledger=False)})
    ring.ledger.away = False
    assert (await ask(client, "/ready")).status == 200


async def test_ready_is_503_when_the_ledger_does_not_answer_in_time(
    aiohttp_client: AiohttpClient, ring: Ring, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endpoints, "READY_PATIENCE", 0.02)
    client = await aiohttp_client(ring.app)
    object.__setattr__(ring.generation.stores, "ledger", SlowLedger(ring.ledger))
    async with asyncio.timeout(PATIENCE):
        answered = await ask(client, "/ready")
    assert (answered.status, answered.json["checks"]) == (503, all_true(ledger=False))


async def test_ready_is_503_until_the_accounts_are_known(aiohttp_client: AiohttpClient, ring: Ring) -> None:
    client = await aiohttp_client(ring.app)
    ring.accounts.loaded = False
    answered = await ask(client, "/ready")
    assert (answered.status, answered.json["checks"]) == (503, all_true(accounts=False))


async def test_usage_is_the_callers_own_with_every_unit_of_the_plan(aiohttp_client: AiohttpClient, ring: Ring) -> None:
    client = await aiohttp_client(ring.app)

    async def balances(user_id: str, period: str) -> list[Balance]:
        used = [("api_calls", 99, 2, 3), ("letters", 99, 0, 7)]  # the limit is the plan's of today, not the row's
        return [Balance(user_id, unit, period, limit, held, spent) for unit, limit, held, spent in used]

    ring.ledger.balances = balances  # type: ignore[method-assign]
    answered = await ask(client, "/gateway/v1/usage", ring.bearer())

    def unit(name: str, limit: int | None, held: int, spent: int, remaining: int | None) -> dict[str, Any]:
        where = {"unit": name, "period": "2025-11", "limit": limit, "held": held, "spent": spent}
        return {**where, "remaining": remaining, "resets_at": "2025-12-01T00:00:00Z"}

    assert answered.json == {
        "user": "ann",
        "plan": "free",
        "units": [
            unit("api_calls", 10, 2, 3, 5),
            unit("letters", None, 0, 7, None),
            unit("pages", None, 0, 0, None),
            unit("tokens", 500, 0, 0, 500),
        ],
    }


async def test_usage_of_a_caller_without_a_plan_names_none(aiohttp_client: AiohttpClient, ring: Ring) -> None:
    client = await aiohttp_client(ring.app)
    answered = await ask(client, "/gateway/v1/usage", ring.bearer(plan="no such plan"))
    assert (answered.status, answered.json["plan"]) == (200, None)


async def test_usage_while_the_ledger_is_away_is_503(aiohttp_client: AiohttpClient, ring: Ring) -> None:
    client = await aiohttp_client(ring.app)
    ring.ledger.away = True
    (await ask(client, "/gateway/v1/usage", ring.bearer())).problem(503, "store_unavailable")


def test_a_new_month_begins_with_empty_balances() -> None:
    december = BillingPeriod.named("2025-12")
    assert endpoints.complete("ann", {"api_calls": 10}, [], december) == [
        Balance("ann", "api_calls", "2025-12", 10, 0, 0)
    ]


async def test_agents_are_told_without_their_addresses(aiohttp_client: AiohttpClient, ring: Ring) -> None:
    client = await aiohttp_client(ring.app)
    answered = await ask(client, "/gateway/v1/agents", ring.bearer())
    [agent] = answered.json["agents"]
    assert (agent["name"], agent["prefix"], agent["public"]) == ("email", "/api/email", False)
    assert agent["usage"] == {"unit": "api_calls", "cost": 1}
    assert b"127.0.0.1" not in answered.body


@pytest.mark.parametrize("path", PATHS)
async def test_our_own_answers_are_json_for_nobody_to_keep(
    aiohttp_client: AiohttpClient, ring: Ring, path: str
) -> None:
    client = await aiohttp_client(ring.app)
    answered = await ask(client, path, ring.bearer())
    assert answered.status == 200
    wanted = {"Content-Type": "application/json", "Cache-Control": "no-store", "Server": "gatewayd"}
    assert {name: answered.headers[name] for name in wanted} == wanted
    assert answered.headers["X-Request-ID"] == ring.seen[0].request_id
    assert "RateLimit" not in answered.headers


@pytest.mark.parametrize("path", PATHS)
async def test_head_is_get_without_the_body(aiohttp_client: AiohttpClient, ring: Ring, path: str) -> None:
    client = await aiohttp_client(ring.app)
    got = await ask(client, path, ring.bearer())
    headed = await ask(client, path, ring.bearer(), method="HEAD")
    assert (headed.status, headed.body) == (200, b"")
    assert headed.headers["Content-Length"] == str(len(got.body))


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
async def test_other_methods_are_405(aiohttp_client: AiohttpClient, ring: Ring, path: str, method: str) -> None:
    client = await aiohttp_client(ring.app)
    answered = await ask(client, path, ring.bearer(), method=method)
    assert answered.problem(405, "method_not_allowed")["agent"] is None
    assert answered.headers["Allow"] == "GET, HEAD"


@pytest.mark.parametrize("path", PATHS[2:])
@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer a.b.c"}], ids=["no token", "a bad one"])
async def test_a_callers_own_things_need_a_token(
    aiohttp_client: AiohttpClient, ring: Ring, path: str, headers: dict[str, str]
) -> None:
    client = await aiohttp_client(ring.app)
    assert (await ask(client, path, headers)).status == 401


@pytest.mark.parametrize("path", ["/health/", "/healthz", "/gateway/v1/usage/ann", "/gateway", "/"])
async def test_a_path_that_only_resembles_one_of_ours_is_not_ours(
    aiohttp_client: AiohttpClient, ring: Ring, path: str
) -> None:
    client = await aiohttp_client(ring.app)
    (await ask(client, path, ring.bearer())).problem(404, "route_unknown")
