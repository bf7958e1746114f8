"""How often a caller may ask: by user, by address, by route; and what they are told about it."""

import re
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest_aiohttp.plugin import AiohttpClient

from gatewayd.model import Balance, Identity, Plan, Rate
from gatewayd.policies import rate_limit
from gatewayd.policies.base import Case, Finding
from gatewayd.policies.rate_limit import RateLimitRule
from gatewayd.routing import Route
from tests.clocks import ManualClock
from tests.policies.rings import EMAIL, Ring
from tests.problems import Client, ask

EMAIL_PATH = "/api/email/x"
LIMITS = '[rate_limit]\nlimits = ["3/minute"]\nunauthenticated = ["2/minute"]\n'


async def statuses(client: Client, count: int, headers: Mapping[str, str], path: str = EMAIL_PATH) -> list[int]:
    return [(await ask(client, path, headers)).status for _ in range(count)]


@pytest.mark.parametrize(
    ("rates", "user"),
    [
        pytest.param('["3/minute"]', True, id="a minute"),
        pytest.param('["7/minute burst 2"]', True, id="a small burst"),
        pytest.param('["1/second", "5/minute burst 5"]', True, id="two windows"),
        pytest.param('["3/hour"]', True, id="an hour"),
        pytest.param('["7/day burst 1"]', False, id="a day, unproved"),
    ],
)
async def test_a_lone_caller_who_waits_as_told_is_admitted_and_not_a_second_sooner(
    aiohttp_client: AiohttpClient, clock: ManualClock, rates: str, user: bool
) -> None:
    ring = Ring(f"[rate_limit]\nlimits = {rates}\nunauthenticated = {rates}\n{EMAIL}", clock, rate_limit.POLICY)
    client = await aiohttp_client(ring.app)
    waited = 0
    for step in range(40):
        clock.advance(0.37 * (step % 3))
        headers = ring.bearer() if user else {}
        response = await ask(client, EMAIL_PATH, headers)
        if response.status == 200:
            continue
        document = response.problem(429, "rate_limited")
        seconds = int(response.headers["Retry-After"])
        assert document["retry_after"] == seconds
        assert seconds >= 1
        if seconds > 1:
            clock.advance(seconds - 1.000001)
            assert (await ask(client, EMAIL_PATH, headers)).status == 429
            clock.advance(1.000001)
        else:
            clock.advance(seconds)
        assert (await ask(client, EMAIL_PATH, ring.bearer() if user else {})).status == 200
        waited += 1
    assert waited > 5


async def test_every_answer_that_is_limited_says_where_the_caller_stands(
    aiohttp_client: AiohttpClient, clock: ManualClock
) -> None:
    text = '[rate_limit]\nlimits = ["3/minute", "10/hour burst 4"]\n' + EMAIL + 'rate_limit = ["2/second"]\n'
    ring = Ring(text, clock, rate_limit.POLICY)
    client = await aiohttp_client(ring.app)
    first = await ask(client, EMAIL_PATH, ring.bearer())
    second = await ask(client, EMAIL_PATH, ring.bearer())
    third = await ask(client, EMAIL_PATH, ring.bearer())
    policy = '"user-minute";q=3;w=60, "user-hour";q=10;w=3600, "route-second";q=2;w=1'
    assert [r.headers["RateLimit-Policy"] for r in (first, second, third)] == [policy] * 3
    assert first.headers["RateLimit"] == '"user-minute";r=2;t=20, "user-hour";r=3;t=360, "route-second";r=1;t=1'
    assert second.headers["RateLimit"] == '"user-minute";r=1;t=40, "user-hour";r=2;t=720, "route-second";r=0;t=1'
    assert third.headers["RateLimit"] == '"user-minute";r=1;t=40, "user-hour";r=2;t=720, "route-second";r=0;t=1'
    assert (third.status, third.headers["Retry-After"]) == (429, "1")


async def test_a_refused_window_takes_nothing_from_the_others(
    aiohttp_client: AiohttpClient, clock: ManualClock
) -> None:
    ring = Ring('[rate_limit]\nlimits = ["1/second", "3/minute"]\n' + EMAIL, clock, rate_limit.POLICY)
    client = await aiohttp_client(ring.app)
    assert await statuses(client, 10, ring.bearer()) == [200] + [429] * 9
    clock.advance(1)
    assert await statuses(client, 2, ring.bearer()) == [200, 429]
    clock.advance(1)
    assert await statuses(client, 2, ring.bearer()) == [200, 429]


async def test_a_burst_is_the_size_of_the_bucket(aiohttp_client: AiohttpClient, clock: ManualClock) -> None:
    ring = Ring('[rate_limit]\nlimits = ["60/minute burst 2"]\n' + EMAIL, clock, rate_limit.POLICY)
    client = await aiohttp_client(ring.app)
    assert await statuses(client, 4, ring.bearer()) == [200, 200, 429, 429]
    clock.advance(1)
    assert await statuses(client, 2, ring.bearer()) == [200, 429]


async def test_whose_plan_changes_is_limited_by_the_other_one_from_the_next_call_on(
    aiohttp_client: AiohttpClient, clock: ManualClock
) -> None:
    plans = '[plans.pro]\nrate_limit = ["60/hour"]\n[plans.free]\ndefault = true\n'
    ring = Ring(LIMITS + plans + EMAIL, clock, rate_limit.POLICY)
    client = await aiohttp_client(ring.app)
    policies = []
    for plan in ("pro", "free", "pro", "pro"):
        ring.accounts.plans["ann"] = plan
        clock.advance(3600)
        policies.append((await ask(client, EMAIL_PATH, ring.bearer())).headers["RateLimit-Policy"])
    hourly, usual = policies[:2]
    assert "q=60;w=3600" in hourly
    assert policies == [hourly, usual, hourly, hourly] != [hourly] * 4


@pytest.mark.parametrize(("routes", "kept"), [(1, 8_192), (4, 2_048), (50, 1_024)])
async def test_how_many_callers_are_remembered_is_bounded_over_all_routes(
    aiohttp_client: AiohttpClient, clock: ManualClock, routes: int, kept: int
) -> None:
    names = ["email", *(f"route{number}" for number in range(1, routes))]
    ring = Ring(LIMITS + "".join(EMAIL.replace("email", name) for name in names), clock, rate_limit.POLICY)
    found = ring.generation.routes.match(EMAIL_PATH).rule(RateLimitRule)
    assert found is not None
    client = await aiohttp_client(ring.app)
    assert await statuses(client, 1, ring.bearer("bob")) == [200]
    bobs = found.users_known["bob"]
    found.users_known.update({f"user {number}": bobs for number in range(1, kept)})
    assert await statuses(client, 1, ring.bearer("bob")) == [200]
    assert len(found.users_known) == kept
    assert await statuses(client, 1, ring.bearer("ann")) == [200]
    assert [*found.users_known] == ["ann"]


async def test_a_user_who_is_called_like_an_address_is_not_that_address(
    aiohttp_client: AiohttpClient, clock: ManualClock
) -> None:
    text = '[rate_limit]\nlimits = ["9/minute"]\nunauthenticated = ["1/minute"]\n'
    ring = Ring(text + EMAIL, clock, rate_limit.POLICY)
    client = await aiohttp_client(ring.app)
    assert await statuses(client, 2, {}) == [200, 429]
    assert await statuses(client, 3, ring.bearer("127.0.0.1")) == [200] * 3


async def test_a_plans_rate_replaces_the_general_one_and_a_routes_comes_on_top(
    aiohttp_client: AiohttpClient, clock: ManualClock
) -> None:
    other = EMAIL.replace("email", "rag")
    plans = '[plans.pro]\nrate_limit = ["5/minute"]\n[plans.free]\ndefault = true\n[plans.all]\nrate_limit = []\n'
    ring = Ring(LIMITS + plans + EMAIL + other + 'rate_limit = ["1/minute"]\n', clock, rate_limit.POLICY)
    client = await aiohttp_client(ring.app)
    assert await statuses(client, 6, ring.bearer("pia", plan="pro")) == [200] * 5 + [429]
    assert await statuses(client, 4, ring.bearer("fay")) == [200] * 3 + [429]
    assert await statuses(client, 9, ring.bearer("al", plan="all")) == [200] * 9
    assert "RateLimit" not in (await ask(client, EMAIL_PATH, ring.bearer("al", plan="all"))).headers
    assert await statuses(client, 2, ring.bearer("rob"), "/api/rag/x") == [200, 429]
    assert await statuses(client, 3, ring.bearer("rob")) == [200, 200, 429]


async def test_an_accounts_plan_decides_the_rate_before_the_tokens_claim(
    aiohttp_client: AiohttpClient, clock: ManualClock
) -> None:
    plans = '[plans.pro]\nrate_limit = ["5/minute"]\n[plans.slow]\nrate_limit = ["1/minute"]\n'
    ring = Ring(LIMITS + plans + EMAIL, clock, rate_limit.POLICY, accounts={"ann": "slow"})
    client = await aiohttp_client(ring.app)
    assert await statuses(client, 2, ring.bearer("ann", plan="pro")) == [200, 429]
    assert await statuses(client, 4, ring.bearer("bob", plan="no such plan")) == [200, 200, 200, 429]


async def test_users_are_counted_by_name_and_others_by_address(
    aiohttp_client: AiohttpClient, clock: ManualClock
) -> None:
    ring = Ring('[server]\ntrusted_proxies = ["127.0.0.0/8"]\n' + LIMITS + EMAIL, clock, rate_limit.POLICY)
    client = await aiohttp_client(ring.app)

    def at(address: str, user: str | None = None) -> dict[str, str]:
        bad = {"Authorization": "Bearer a.b.c"}
        return {"X-Forwarded-For": address, **(ring.bearer(user) if user is not None else bad)}

    assert await statuses(client, 3, at("192.0.2.1")) == [200, 200, 429]
    assert await statuses(client, 1, at("192.0.2.2")) == [200]
    assert await statuses(client, 4, at("192.0.2.1", "ann")) == [200, 200, 200, 429]
    assert await statuses(client, 1, at("192.0.2.9", "ann")) == [429]
    assert await statuses(client, 1, at("192.0.2.1", "bob")) == [200]


@pytest.mark.parametrize(
    ("first", "second", "together"),
    [
        pytest.param("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", True, id="one /64"),
        pytest.param("2001:db8:1:2::1", "2001:db8:1:3::1", False, id="two /64"),
        pytest.param("192.0.2.1", "::ffff:192.0.2.1", True, id="IPv4, mapped"),
        pytest.param("192.0.2.1", "192.0.2.2", False, id="two IPv4"),
    ],
)
def test_an_unproved_caller_is_an_address_or_one_customers_network(first: str, second: str, together: bool) -> None:
    rule = RateLimitRule((), {}, (Rate(1, "minute"),), (Rate(1, "second"),), "email")
    assert (rule.windows(None, None, first) == rule.windows(None, None, second)) is together


NAMES = st.text(st.sampled_from("ua:{}\\minute.email/"), min_size=1, max_size=12)


@given(st.lists(st.tuples(st.booleans(), NAMES), min_size=2, max_size=6, unique=True))
def test_no_two_windows_share_a_key_whatever_users_and_routes_are_called(callers: list[tuple[bool, str]]) -> None:
    rates = tuple(Rate(5, period) for period in ("second", "minute"))
    keys = []
    for route in ("user", "minute", "a"):
        rule = RateLimitRule(rates, {}, rates, rates, route)
        for is_user, name in callers:
            windows = rule.windows(name if is_user else None, None, name)
            keys += [window.key for window in windows if route == "a" or window.name.startswith("route")]
    assert len(keys) == len(set(keys))


def test_all_keys_of_a_caller_carry_the_same_hash_tag() -> None:
    rates = (Rate(5, "minute"), Rate(9, "hour"))
    keys = [each.key for each in RateLimitRule(rates, {}, rates, rates, "email").windows("a}n{n", None, "")]
    tags = {re.match(r"\{([^}]*)\}", key)[1] for key in keys}  # type: ignore[index]
    assert (len(keys), tags) == (4, {"user:a"})


async def test_paths_that_no_route_claims_count_too_and_our_own_do_not(
    aiohttp_client: AiohttpClient, clock: ManualClock
) -> None:
    ring = Ring(LIMITS + EMAIL, clock, rate_limit.POLICY)
    client = await aiohttp_client(ring.app)
    assert await statuses(client, 9, {}, "/health") == [200] * 9
    assert await statuses(client, 9, ring.bearer(), "/gateway/v1/usage") == [200] * 9
    assert await statuses(client, 3, {}, "/no/such/path") == [200, 200, 429]


ANN = Identity("ann", None, frozenset(), None, None, 2e9)


@pytest.mark.parametrize(
    ("identity", "plan", "reason"),
    [
        pytest.param(None, None, "counted by client address: address-minute 2/minute burst 2", id="unproved"),
        pytest.param(ANN, None, "counted by user: user-minute 3/minute burst 3", id="user"),
        pytest.param(ANN, Plan("pro"), "counted by user: no limit", id="plan"),
    ],
)
def test_it_explains_what_counts(identity: Identity | None, plan: Plan | None, reason: str) -> None:
    rule = RateLimitRule((Rate(3, "minute"),), {"pro": ()}, (Rate(2, "minute"),))
    balances: dict[str, Balance] = {}
    case = Case("GET", Route.with_rules("email", "/api/email", [rule]), identity, None, plan, balances)
    assert rate_limit.explain(case) == Finding("pass", reason)


def test_it_explains_that_our_own_endpoints_do_not_count() -> None:
    finding = rate_limit.explain(Case("GET", Route("", "/health", own=True), None, None, None))
    assert finding == Finding("pass", "the gateway's own endpoints do not count")
