"""What a call costs: held before the agent is called, settled when the answer ends, refused when it does not fit."""

import asyncio
import logging

import aiohttp
import pytest
from aiohttp import web
from aiohttp.typedefs import Handler
from hypothesis import given
from hypothesis import strategies as st
from pytest_aiohttp.plugin import AiohttpClient

from gatewayd import exchange as exchange_module
from gatewayd.config.settings import Charge
from gatewayd.errors import TokenMissing, UpstreamConnect, UpstreamReset
from gatewayd.exchange import EXCHANGE
from gatewayd.model import Balance, Hold, Identity, Outcome, Plan
from gatewayd.policies import auth, quota
from gatewayd.policies.base import Case, Finding
from gatewayd.policies.quota import UsageRule
from gatewayd.routing import Route
from tests.clocks import ManualClock
from tests.patience import PATIENCE
from tests.policies.rings import EMAIL, Ring
from tests.problems import ask
from tests.standins import SlowLedger

PLANS = "[plans.free]\ndefault = true\nquota = { api_calls = 3 }\n[plans.big]\nquota = { api_calls = 1000 }\n"
DEFAULT = Charge(failed=0, client_closed="cost")
PATH = "/api/email/x"


def reaching(ring: Ring, outcome: Outcome | None = Outcome.DELIVERED, stated: int | None = None) -> Handler:
    """An agent that was reached, and how its answer ended; None leaves that open."""

    async def handle(request: web.Request) -> web.StreamResponse:
        exchange = request[EXCHANGE]
        exchange.reached = ring.clock.monotonic()
        exchange.stated, exchange.outcome = stated, outcome
        exchange.status = 200
        await exchange.close_books()
        return web.Response()

    return handle


@pytest.mark.parametrize(
    ("outcome", "stated", "maximum", "charge", "charged"),
    [
        pytest.param(Outcome.DELIVERED, None, None, DEFAULT, 2, id="delivered: the cost"),
        pytest.param(Outcome.DELIVERED, 7, None, DEFAULT, 7, id="delivered: what the agent stated, in full"),
        pytest.param(Outcome.DELIVERED, 0, None, DEFAULT, 0, id="delivered: nothing, if stated"),
        pytest.param(Outcome.DELIVERED, 7, 5, DEFAULT, 5, id="delivered: at most the maximum"),
        pytest.param(Outcome.DELIVERED, 4, 5, DEFAULT, 4, id="delivered: below the maximum"),
        pytest.param(Outcome.DELIVERED, None, 5, DEFAULT, 2, id="delivered: the cost, not the maximum"),
        pytest.param(Outcome.FAILED, 7, None, DEFAULT, 0, id="failed: nothing"),
        pytest.param(Outcome.FAILED, None, None, Charge(failed=1, client_closed=0), 1, id="failed: a number"),
        pytest.param(Outcome.FAILED, 7, None, Charge(failed="cost", client_closed=0), 7, id="failed: as stated"),
        pytest.param(Outcome.FAILED, None, None, Charge(failed="cost", client_closed=0), 2, id="failed: the cost"),
        pytest.param(Outcome.CLIENT_CLOSED, None, None, DEFAULT, 2, id="left: the cost"),
        pytest.param(Outcome.CLIENT_CLOSED, 7, None, DEFAULT, 7, id="left: what was stated so far"),
        pytest.param(Outcome.CLIENT_CLOSED, 7, 5, DEFAULT, 5, id="left: at most the maximum"),
        pytest.param(Outcome.CLIENT_CLOSED, 7, None, Charge(failed=0, client_closed=0), 0, id="left: a number"),
    ],
)
def test_a_call_is_charged_by_how_it_ended(
    outcome: Outcome, stated: int | None, maximum: int | None, charge: Charge, charged: int
) -> None:
    assert UsageRule("email", "api_calls", 2, maximum, charge, False).charged(outcome, stated) == charged


@given(
    st.sampled_from(list(Outcome)),
    st.none() | st.integers(0, 10**15 - 1),
    st.integers(0, 10**6),
    st.integers(0, 10**6),
)
def test_with_a_maximum_no_call_is_charged_more_than_was_held(
    outcome: Outcome, stated: int | None, cost: int, more: int
) -> None:
    rule = UsageRule("email", "api_calls", cost, cost + more, Charge(failed="cost", client_closed="cost"), False)
    assert 0 <= rule.charged(outcome, stated) <= rule.to_hold


async def test_what_is_checked_is_what_is_charged(aiohttp_client: AiohttpClient, clock: ManualClock) -> None:
    ring = Ring(PLANS + EMAIL + 'usage = { unit = "pages", cost = 4 }\n', clock, quota.POLICY)
    ring.handler = reaching(ring)
    client = await aiohttp_client(ring.app)
    answered = await ask(client, PATH, ring.bearer())
    [record] = ring.ledger.records
    assert answered.status == 200
    assert (record.user_id, record.plan, record.route, record.agent) == ("ann", "free", "email", "email")
    assert (record.unit, record.quantity, record.outcome, record.status) == ("pages", 4, "delivered", 200)
    assert not ring.ledger.holds
    assert (ring.seen[0].unit, ring.seen[0].quantity) == ("pages", 4)


async def test_who_has_used_it_up_is_told_what_and_until_when(
    aiohttp_client: AiohttpClient, clock: ManualClock
) -> None:
    ring = Ring(PLANS + EMAIL, clock, quota.POLICY)
    ring.handler = reaching(ring)
    client = await aiohttp_client(ring.app)
    answers = [await ask(client, PATH, ring.bearer()) for _ in range(4)]
    document = answers[3].problem(402, "quota_exhausted", unsaid="ann")
    assert [each.status for each in answers] == [200, 200, 200, 402]
    assert answers[3].headers["x-should-retry"] == "false"
    told = {name: document[name] for name in ("unit", "limit", "used", "plan", "resets_at", "agent")}
    assert told == {
        "unit": "api_calls",
        "limit": 3,
        "used": 3,
        "plan": "free",
        "resets_at": "2025-12-01T00:00:00Z",
        "agent": "email",
    }
    assert len(ring.ledger.records) == 3


@pytest.mark.parametrize(
    ("claim", "account", "status", "plan"),
    [
        pytest.param(None, None, 200, "free", id="the default"),
        pytest.param("big", None, 200, "big", id="the claim wins over the default"),
        pytest.param("free", "big", 200, "big", id="the account wins over the claim"),
        pytest.param("no such plan", "big", 200, "big", id="the account wins over an unknown claim"),
        pytest.param("no such plan", None, 402, None, id="an unknown claim"),
        pytest.param("big", "gone", 402, None, id="an account's plan that is gone"),
    ],
)
async def test_the_plan_is_the_accounts_else_the_claimed_else_the_default(
    aiohttp_client: AiohttpClient,
    clock: ManualClock,
    claim: str | None,
    account: str | None,
    status: int,
    plan: str | None,
) -> None:
    accounts = {"ann": account} if account is not None else {}
    ring = Ring(PLANS + EMAIL, clock, quota.POLICY, accounts=accounts)
    ring.handler = reaching(ring)
    client = await aiohttp_client(ring.app)
    answered = await ask(client, PATH, ring.bearer(plan=claim) if claim is not None else ring.bearer())
    assert answered.status == status
    if plan is None:
        document = answered.problem(402, "quota_exhausted", unsaid="no such plan")
        assert (document["plan"], document["limit"], document["used"]) == (None, 0, 0)
        assert not ring.ledger.holds
    else:
        assert ring.ledger.records[0].plan == plan


async def test_without_any_default_a_user_who_names_no_plan_gets_402(
    aiohttp_client: AiohttpClient, clock: ManualClock
) -> None:
    ring = Ring(PLANS.replace("default = true\n", "") + EMAIL, clock, quota.POLICY)
    client = await aiohttp_client(ring.app)
    (await ask(client, PATH, ring.bearer())).problem(402, "quota_exhausted")
    assert not ring.ledger.released


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer a.b.c"}], ids=["no token", "a bad token"])
async def test_nothing_is_held_for_a_name_that_was_not_proved(
    aiohttp_client: AiohttpClient, clock: ManualClock, headers: dict[str, str]
) -> None:
    ring = Ring(PLANS + EMAIL, clock, quota.POLICY, auth.POLICY)
    ring.ledger.away = True
    client = await aiohttp_client(ring.app)
    assert (await ask(client, PATH, headers)).status == 401


@pytest.mark.parametrize(
    ("claims", "user", "plan", "limit"),
    [
        pytest.param(None, "", "", 0, id="nobody"),
        pytest.param({}, "ann", "free", 3, id="a proved user"),
        pytest.param({"plan": "no such plan"}, "ann", "", 0, id="a proved user without a plan"),
    ],
)
async def test_a_public_routes_record_has_a_name_only_if_it_was_proved(
    aiohttp_client: AiohttpClient,
    clock: ManualClock,
    claims: dict[str, str] | None,
    user: str,
    plan: str,
    limit: int,
) -> None:
    ring = Ring(PLANS + EMAIL + "public = true\n", clock, quota.POLICY, auth.POLICY)
    holds: list[Hold] = []

    async def handle(request: web.Request) -> web.StreamResponse:
        holds.extend(ring.ledger.holds.values())
        return await reaching(ring)(request)

    ring.handler = handle
    client = await aiohttp_client(ring.app)
    headers = ring.bearer(**claims) if claims is not None else {"Authorization": "Bearer a.b.c"}
    assert (await ask(client, PATH, headers)).status == 200
    [record] = ring.ledger.records
    assert (record.user_id, record.plan, holds[0].limit) == (user, plan, limit)


async def test_a_unit_that_the_plan_does_not_name_is_recorded_and_not_limited(
    aiohttp_client: AiohttpClient, clock: ManualClock
) -> None:
    ring = Ring(PLANS + EMAIL + 'usage = { unit = "pages", cost = 1000 }\n', clock, quota.POLICY)
    ring.handler = reaching(ring)
    client = await aiohttp_client(ring.app)
    assert [(await ask(client, PATH, ring.bearer())).status for _ in range(4)] == [200] * 4
    assert [record.quantity for record in ring.ledger.records] == [1000] * 4


async def test_who_reached_no_agent_is_charged_nothing(aiohttp_client: AiohttpClient, clock: ManualClock) -> None:
    ring = Ring(PLANS + EMAIL, clock, quota.POLICY)

    async def unreachable(_: web.Request) -> web.StreamResponse:
        raise UpstreamConnect

    ring.handler = unreachable
    client = await aiohttp_client(ring.app)
    (await ask(client, PATH, ring.bearer())).problem(502, "upstream_connect")
    assert (ring.ledger.records, ring.ledger.holds, len(ring.ledger.released)) == ([], {}, 1)


@pytest.mark.parametrize(
    ("error", "status", "recorded"),
    [
        pytest.param(UpstreamReset(), 502, 502, id="the agent's fault"),
        pytest.param(RuntimeError("ours"), 500, 500, id="our own fault"),
    ],
)
async def test_the_record_of_a_failure_has_its_status(
    aiohttp_client: AiohttpClient, clock: ManualClock, error: Exception, status: int, recorded: int
) -> None:
    ring = Ring(PLANS + EMAIL, clock, quota.POLICY)

    async def failing(request: web.Request) -> web.StreamResponse:
        request[EXCHANGE].reached = clock.monotonic()
        raise error

    ring.handler = failing
    client = await aiohttp_client(ring.app)
    assert (await ask(client, PATH, ring.bearer())).status == status
    [record] = ring.ledger.records
    assert (record.outcome, record.quantity, record.status) == ("failed", 0, recorded)


async def test_a_fault_of_ours_after_the_head_leaves_the_status_that_went_out(
    aiohttp_client: AiohttpClient, clock: ManualClock
) -> None:
    ring = Ring(PLANS + EMAIL, clock, quota.POLICY)

    async def failing(request: web.Request) -> web.StreamResponse:
        exchange = request[EXCHANGE]
        exchange.reached, exchange.sent, exchange.status = clock.monotonic(), True, 201
        raise RuntimeError

    ring.handler = failing
    client = await aiohttp_client(ring.app)
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await ask(client, PATH, ring.bearer())
    assert [(each.status, each.outcome) for each in ring.ledger.records] == [(201, "failed")]


async def test_books_are_closed_once(aiohttp_client: AiohttpClient, clock: ManualClock) -> None:
    ring = Ring(PLANS + EMAIL, clock, quota.POLICY)

    async def settled_and_then_broken(request: web.Request) -> web.StreamResponse:
        await reaching(ring)(request)
        raise UpstreamReset

    ring.handler = settled_and_then_broken
    client = await aiohttp_client(ring.app)
    await ask(client, PATH, ring.bearer())
    assert [record.outcome for record in ring.ledger.records] == ["delivered"]


async def test_a_ledger_that_is_away_means_503_and_never_402(aiohttp_client: AiohttpClient, clock: ManualClock) -> None:
    ring = Ring(PLANS + EMAIL, clock, quota.POLICY)
    ring.ledger.away = True
    client = await aiohttp_client(ring.app)
    answered = await ask(client, PATH, ring.bearer())
    answered.problem(503, "store_unavailable")
    assert answered.headers["Retry-After"] == "1"


async def test_a_slow_ledger_does_not_keep_a_refusal_back(
    aiohttp_client: AiohttpClient, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exchange_module, "SETTLE_WAIT", 0.05)
    ring = Ring(PLANS + EMAIL, clock, quota.POLICY)
    slow = SlowLedger(ring.ledger)
    slow.holding.set()
    object.__setattr__(ring.generation.stores, "ledger", slow)

    async def unreachable(_: web.Request) -> web.StreamResponse:
        raise UpstreamConnect

    ring.handler = unreachable
    client = await aiohttp_client(ring.app)
    async with asyncio.timeout(PATIENCE):
        (await ask(client, PATH, ring.bearer())).problem(502, "upstream_connect")
    slow.settling.set()
    assert not ring.ledger.holds


async def test_a_ledger_that_fails_to_close_the_books_spoils_no_answer(
    aiohttp_client: AiohttpClient, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    ring = Ring(PLANS + EMAIL, clock, quota.POLICY)

    async def fails() -> None:
        raise OSError("disk full")

    ring.ledger.release = lambda hold_id: fails()  # type: ignore[method-assign]

    async def unreachable(_: web.Request) -> web.StreamResponse:
        raise UpstreamConnect

    ring.handler = unreachable
    client = await aiohttp_client(ring.app)
    with caplog.at_level(logging.ERROR):
        (await ask(client, PATH, ring.bearer())).problem(502, "upstream_connect")
    assert f"the books of request {ring.seen[0].request_id} could not be closed: disk full" in caplog.text


ANN = Identity("ann", None, frozenset(), None, None, 2e9)
FREE = Plan("free", quota={"api_calls": 3})


def used(held: int, spent: int) -> dict[str, Balance]:
    return {"api_calls": Balance("ann", "api_calls", "2025-11", 3, held, spent)}


@pytest.mark.parametrize(
    ("public", "identity", "plan", "balances", "finding"),
    [
        pytest.param(
            False, None, None, {}, ("pass", "nothing is held for a caller who is not proved"), id="unproved caller"
        ),
        pytest.param(True, None, None, {}, ("pass", "recorded, not limited"), id="public, nobody"),
        pytest.param(True, ANN, None, {}, ("pass", "recorded, not limited"), id="public, no plan"),
        pytest.param(
            False,
            ANN,
            None,
            {},
            ("402 quota_exhausted", "No plan is known for this user, so nothing can be charged."),
            id="no plan",
        ),
        pytest.param(
            False,
            ANN,
            Plan("all"),
            {},
            ("pass", "holds 2 api_calls on plan all: not limited, recorded"),
            id="unlimited",
        ),
        pytest.param(
            False, ANN, FREE, used(1, 0), ("pass", "holds 2 api_calls on plan free: 1 of 3 are used"), id="fits"
        ),
        pytest.param(False, ANN, FREE, {}, ("pass", "holds 2 api_calls on plan free: 0 of 3 are used"), id="first"),
        pytest.param(
            False,
            ANN,
            FREE,
            used(1, 1),
            ("402 quota_exhausted", "holds 2 api_calls on plan free: 2 of 3 are used"),
            id="does not fit",
        ),
    ],
)
def test_it_explains_what_a_call_would_hold(
    public: bool, identity: Identity | None, plan: Plan | None, balances: dict[str, Balance], finding: tuple[str, str]
) -> None:
    route = Route.with_rules("email", "/api/email", [UsageRule("email", "api_calls", 2, None, DEFAULT, public)])
    case = Case("GET", route, identity, TokenMissing(), plan, balances)
    assert quota.POLICY.explain(case) == Finding(*finding)


def test_it_explains_that_nothing_is_charged_where_there_is_no_rule() -> None:
    case = Case("GET", Route("", "/health", own=True), None, None, None)
    assert quota.POLICY.explain(case) == Finding("pass", "nothing is charged here")
