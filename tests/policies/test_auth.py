"""Who may come in: asked once, told apart, and never quoted."""

from dataclasses import replace
from typing import Any

import pytest
from aiohttp import web
from pytest_aiohttp.plugin import AiohttpClient

from gatewayd.errors import TokenExpired
from gatewayd.exchange import EXCHANGE
from gatewayd.model import Identity
from gatewayd.policies import auth, quota, rate_limit
from gatewayd.policies.auth import AuthRule
from gatewayd.policies.base import Case, Finding
from gatewayd.routing import Route
from tests.clocks import ManualClock
from tests.policies.rings import EMAIL, Ring
from tests.problems import ask

PATH = "/api/email/x"
PLANS = "[plans.free]\ndefault = true\n"
CHALLENGE = 'Bearer realm="gatewayd"'


@pytest.mark.parametrize(
    ("authorization", "code", "challenge"),
    [
        pytest.param(None, "token_missing", CHALLENGE, id="no token"),
        pytest.param("Bearer not-a-token", "token_invalid", CHALLENGE + ', error="invalid_token"', id="no JWT"),
        pytest.param("Basic YTpi", "token_invalid", CHALLENGE + ', error="invalid_token"', id="another scheme"),
        pytest.param("expired", "token_expired", CHALLENGE + ', error="invalid_token"', id="an expired one"),
        pytest.param("refresh", "token_invalid", CHALLENGE + ', error="invalid_token"', id="a refresh token"),
    ],
)
async def test_a_caller_who_is_not_proved_is_told_why(
    aiohttp_client: AiohttpClient, clock: ManualClock, authorization: str | None, code: str, challenge: str
) -> None:
    ring = Ring(EMAIL, clock, auth.POLICY)
    client = await aiohttp_client(ring.app)
    made = {"expired": ring.bearer(exp=clock.utc() - 60), "refresh": ring.bearer(type="refresh")}
    headers = made.get(authorization or "", {"Authorization": authorization} if authorization is not None else {})
    answered = await ask(client, PATH, headers)
    answered.problem(401, code, unsaid=headers.get("Authorization", "nothing").split()[-1])
    assert answered.headers["WWW-Authenticate"] == challenge


async def test_two_authorization_headers_are_no_token(aiohttp_client: AiohttpClient, clock: ManualClock) -> None:
    ring = Ring(EMAIL, clock, auth.POLICY)
    client = await aiohttp_client(ring.app)
    token = ring.bearer()["Authorization"]
    async with client.get(PATH, headers=[("Authorization", token), ("Authorization", token)]) as response:
        assert response.status == 401


@pytest.mark.parametrize(
    ("claims", "status"),
    [
        pytest.param({}, 403, id="no role"),
        pytest.param({"role": "guest"}, 403, id="another role"),
        pytest.param({"role": "ops"}, 200, id="one of the roles"),
        pytest.param({"role": ["guest", "admin"]}, 200, id="one of each"),
        pytest.param({"roles": "admin"}, 403, id="another claim"),
    ],
)
async def test_a_route_with_roles_lets_in_who_has_one_of_them(
    aiohttp_client: AiohttpClient, clock: ManualClock, claims: dict[str, Any], status: int
) -> None:
    ring = Ring(EMAIL + 'roles = ["admin", "ops"]\n', clock, auth.POLICY)
    client = await aiohttp_client(ring.app)
    answered = await ask(client, PATH, ring.bearer(**claims))
    assert answered.status == status
    if status == 403:
        assert answered.problem(403, "role_denied", unsaid="admin")["agent"] == "email"


@pytest.mark.parametrize(
    ("claims", "status"),
    [
        pytest.param({}, 403, id="no scope"),
        pytest.param({"scope": "mail:read"}, 403, id="one of two"),
        pytest.param({"scope": "mail:read mail:send other"}, 200, id="all and more"),
        pytest.param({"scope": ["mail:send", "mail:read"]}, 200, id="a list"),
        pytest.param({"scope": "mail:readmail:send"}, 403, id="run together"),
    ],
)
async def test_a_route_with_scopes_lets_in_who_has_all_of_them(
    aiohttp_client: AiohttpClient, clock: ManualClock, claims: dict[str, Any], status: int
) -> None:
    ring = Ring(EMAIL + 'scopes = ["mail:send", "mail:read"]\n', clock, auth.POLICY)
    client = await aiohttp_client(ring.app)
    answered = await ask(client, PATH, ring.bearer(**claims))
    assert answered.status == status
    if status == 403:
        answered.problem(403, "scope_denied")
        challenge = 'Bearer realm="gatewayd", error="insufficient_scope", scope="mail:read mail:send"'
        assert answered.headers["WWW-Authenticate"] == challenge


async def test_a_route_may_ask_for_a_role_and_scopes(aiohttp_client: AiohttpClient, clock: ManualClock) -> None:
    ring = Ring(EMAIL + 'roles = ["ops"]\nscopes = ["x"]\n', clock, auth.POLICY)
    client = await aiohttp_client(ring.app)
    assert (await ask(client, PATH, ring.bearer(role="ops", scope="x"))).status == 200
    (await ask(client, PATH, ring.bearer(scope="x"))).problem(403, "role_denied")
    (await ask(client, PATH, ring.bearer(role="ops"))).problem(403, "scope_denied")


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer a.b.c"}, None], ids=["none", "bad", "good"])
async def test_a_public_route_is_open_with_any_token_or_none(
    aiohttp_client: AiohttpClient, clock: ManualClock, headers: dict[str, str] | None
) -> None:
    ring = Ring(PLANS + EMAIL + "public = true\n", clock, rate_limit.POLICY, quota.POLICY, auth.POLICY)
    client = await aiohttp_client(ring.app)
    assert (await ask(client, PATH, ring.bearer() if headers is None else headers)).status == 200


async def test_a_public_route_alone_asks_nobody_who_they_are(aiohttp_client: AiohttpClient, clock: ManualClock) -> None:
    ring = Ring(EMAIL + "public = true\n", clock, auth.POLICY)
    client = await aiohttp_client(ring.app)
    await ask(client, PATH, ring.bearer())
    assert ring.verifier.asked == 0


@pytest.mark.parametrize("good", [True, False], ids=["a good token", "a bad token"])
async def test_a_token_is_verified_once_however_many_ask(
    aiohttp_client: AiohttpClient, clock: ManualClock, good: bool
) -> None:
    ring = Ring(PLANS + EMAIL, clock, rate_limit.POLICY, quota.POLICY, auth.POLICY)

    async def asks_again(request: web.Request) -> web.StreamResponse:
        identity = await request[EXCHANGE].identity()
        return web.Response(text=identity.user)

    ring.handler = asks_again
    client = await aiohttp_client(ring.app)
    answered = await ask(client, PATH, ring.bearer() if good else {"Authorization": "Bearer a.b.c"})
    assert (answered.status, ring.verifier.asked) == (200 if good else 401, 1)
    assert not good or answered.body == b"ann"


async def test_the_plan_is_looked_up_once_so_that_all_judge_by_the_same_one(
    aiohttp_client: AiohttpClient, clock: ManualClock
) -> None:
    ring = Ring(PLANS + EMAIL, clock, rate_limit.POLICY, quota.POLICY, auth.POLICY)
    client = await aiohttp_client(ring.app)
    await ask(client, PATH, ring.bearer())
    assert ring.accounts.looks == 1


async def test_what_no_route_claims_asks_for_a_token_too(aiohttp_client: AiohttpClient, clock: ManualClock) -> None:
    ring = Ring(EMAIL, clock, auth.POLICY)
    client = await aiohttp_client(ring.app)
    assert (await ask(client, "/api/other")).status == 401
    assert (await ask(client, "/api/other", ring.bearer())).status == 200


def case(rule: AuthRule | None, identity: Identity | None) -> Case:
    route = Route.with_rules("email", "/api/email", [rule])
    return Case("GET", route, identity, TokenExpired() if identity is None else None, None)


ANN = Identity("ann", None, frozenset({"guest"}), None, None, 2e9)


@pytest.mark.parametrize(
    ("rule", "identity", "finding"),
    [
        pytest.param(AuthRule(public=True), None, ("pass", "the route is public"), id="public"),
        pytest.param(AuthRule(), None, ("401 token_expired", "The token has expired."), id="refused"),
        pytest.param(None, None, ("401 token_expired", "The token has expired."), id="no rule is the strict one"),
        pytest.param(AuthRule(), ANN, ("pass", "the token proves ann"), id="proved"),
        pytest.param(AuthRule(roles=frozenset({"guest"})), ANN, ("pass", "the token proves ann"), id="role"),
        pytest.param(
            AuthRule(roles=frozenset({"ops", "admin"})),
            ANN,
            ("403 role_denied", "one of these roles is needed: admin, ops"),
            id="roles",
        ),
        pytest.param(
            AuthRule(scopes=frozenset({"b", "a"})),
            ANN,
            ("403 scope_denied", "each of these scopes is needed: a, b"),
            id="scopes",
        ),
        pytest.param(
            AuthRule(),
            replace(ANN, tenant="acme", service="planner", run="run-1"),
            ("pass", "the token proves ann of acme, for whom planner calls in run run-1"),
            id="an agent for a user",
        ),
    ],
)
def test_it_explains_who_may_come_in(
    rule: AuthRule | None, identity: Identity | None, finding: tuple[str, str]
) -> None:
    assert auth.POLICY.explain(case(rule, identity)) == Finding(*finding)


def test_it_explains_a_caller_of_whom_nothing_is_known() -> None:
    nobody = Case("GET", Route("email", "/api/email"), None, None, None)
    assert auth.POLICY.explain(nobody) == Finding("401 token_missing", "Send a token: Authorization: Bearer <token>.")
