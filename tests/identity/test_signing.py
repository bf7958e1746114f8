"""A development token is accepted by the configuration that signed it."""

from typing import Any

import pytest

from gatewayd.config.settings import Secret
from gatewayd.errors import GatewayError, TokenExpired, TokenInvalid
from gatewayd.identity.signing import MAX_TTL, Grant, SigningError, sign_token
from gatewayd.identity.tokens import TokenVerifier
from gatewayd.model import Identity
from tests.clocks import ManualClock
from tests.identity.forging import NOW, SECRET, auth_settings, public_key_settings


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({}, id="the defaults"),
        pytest.param({"algorithms": ("HS512",)}, id="HS512"),
        pytest.param({"issuer": "https://idp/", "audience": "gatewayd"}, id="issuer and audience"),
        pytest.param({"require": ("exp", "sub", "iat", "nbf", "jti", "plan", "role")}, id="all required"),
        pytest.param({"user_claim": "email", "plan_claim": "tier", "role_claim": "groups"}, id="other claims"),
        pytest.param({"leeway": 0.0}, id="no leeway"),
    ],
)
async def test_what_is_signed_is_accepted(clock: ManualClock, changes: dict[str, object]) -> None:
    settings = auth_settings(**changes)
    token = sign_token(settings, clock, "alice", plan="gold", ttl=60, roles=["admin", "ops"])
    identity = await TokenVerifier(settings, clock).verify(token)
    assert identity == Identity(
        user="alice",
        plan="gold",
        roles=frozenset({"admin", "ops"}),
        token_id=identity.token_id,
        issued_at=NOW,
        expires_at=NOW + 60,
    )


async def test_a_token_names_no_plan_and_no_role_unless_told(clock: ManualClock) -> None:
    settings = auth_settings()
    identity = await TokenVerifier(settings, clock).verify(sign_token(settings, clock, "alice"))
    assert (identity.plan, identity.roles, identity.expires_at) == (None, frozenset(), NOW + 3600)


async def test_a_token_lives_as_long_as_asked(clock: ManualClock) -> None:
    settings = auth_settings(leeway=0.0)
    verifier = TokenVerifier(settings, clock)
    token = sign_token(settings, clock, "alice", ttl=1.5)
    clock.advance(1.5)
    assert (await verifier.verify(token)).user == "alice"
    clock.advance(0.5)
    with pytest.raises(TokenExpired):
        await verifier.verify(token)


async def test_every_token_has_an_id_of_its_own(clock: ManualClock) -> None:
    settings = auth_settings()
    verifier = TokenVerifier(settings, clock)
    ids = {(await verifier.verify(sign_token(settings, clock, "alice"))).token_id for _ in range(5)}
    assert len(ids - {None}) == 5


async def test_the_first_hmac_algorithm_is_used(clock: ManualClock) -> None:
    settings = auth_settings(algorithms=("RS256", "HS384", "HS256"))
    token = sign_token(settings, clock, "alice")
    assert await TokenVerifier(auth_settings(algorithms=("HS384",)), clock).verify(token)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"secret": None}, "auth.secret: HS256 needs it to sign tokens"),
        ({"secret": Secret("hunter2", "a test")}, "auth.secret: HS256 needs a secret of at least 32 bytes"),
        (
            {"require": ("exp", "sub", "tenant")},
            "auth.require asks for claims that cannot be given here: tenant",
        ),
    ],
)
def test_a_configuration_that_cannot_sign_says_why(
    clock: ManualClock, changes: dict[str, object], message: str
) -> None:
    with pytest.raises(SigningError) as caught:
        sign_token(auth_settings(**changes), clock, "alice")
    assert str(caught.value).startswith(message)
    assert "hunter2" not in str(caught.value)


def test_without_an_hmac_algorithm_nothing_can_be_signed(clock: ManualClock) -> None:
    with pytest.raises(GatewayError, match=r"auth\.algorithms has none of HS256, HS384, HS512"):
        sign_token(public_key_settings("RS256"), clock, "alice")


@pytest.mark.parametrize(
    ("wish", "message"),
    [
        ({"user": ""}, "a user is 1 to 256 printable characters"),
        ({"user": "a\nb"}, "a user is"),
        ({"plan": " gold"}, "a plan is"),
        ({"roles": ["admin", ""]}, "a role is"),
        ({"ttl": 0}, "time to live is more than 0 s"),
        ({"ttl": -1}, "time to live"),
        ({"ttl": float("nan")}, "time to live"),
        ({"ttl": float("inf")}, "time to live"),
        ({"ttl": MAX_TTL + 1}, "at most ten years"),
        ({"roles": ["r" * 200] * 50}, "longer than 8192 characters"),
    ],
)
def test_a_wish_that_no_verifier_would_accept_is_refused(
    clock: ManualClock, wish: dict[str, object], message: str
) -> None:
    settings = auth_settings()
    with pytest.raises(SigningError, match=message) as caught:
        sign_token(settings, clock, **{"user": "alice", **wish})  # type: ignore[arg-type]
    assert SECRET not in str(caught.value)


async def test_what_is_granted_is_read_back(clock: ManualClock) -> None:
    settings = auth_settings(
        tenant_claim="/org/id", role_claim="/realm/roles", user_claim="/identity/name", plan_claim="/org/plan"
    )
    grant = Grant(plan="gold", roles=["ops"], scopes=["a", "b:c"], tenant="acme", service="planner", run="run-1")
    identity = await TokenVerifier(settings, clock).verify(sign_token(settings, clock, "alice", grant))
    assert (identity.user, identity.plan, identity.tenant) == ("alice", "gold", "acme")
    assert (identity.roles, identity.scopes) == (frozenset({"ops"}), frozenset({"a", "b:c"}))
    assert (identity.service, identity.run) == ("planner", "run-1")


async def test_the_newest_secret_signs_and_the_older_ones_are_for_what_they_signed(clock: ManualClock) -> None:
    before = auth_settings(secret=Secret("o" * 32, "a test"))
    after = auth_settings(secret=Secret("n" * 32, "a test"), older_secrets={"last": Secret("o" * 32, "a test")})
    old, new = sign_token(before, clock, "alice"), sign_token(after, clock, "alice")
    for token in (old, new):
        assert (await TokenVerifier(after, clock).verify(token)).user == "alice"
    with pytest.raises(TokenInvalid):
        await TokenVerifier(before, clock).verify(new)


@pytest.mark.parametrize(
    ("granted", "message"),
    [
        ({"scopes": ["a b"]}, "a scope is printable ASCII"),
        ({"scopes": [""]}, "a scope is printable ASCII"),
        ({"tenant": "acme"}, r"auth\.tenant_claim: it must be set"),
        ({"service": "planner"}, "a service token belongs to a run"),
        ({"run": "a\nb"}, "a run is 1 to 256 printable characters"),
        ({"service": "", "run": "r"}, "a service is 1 to 256 printable characters"),
    ],
)
def test_what_cannot_be_granted_is_told(clock: ManualClock, granted: dict[str, Any], message: str) -> None:
    with pytest.raises(SigningError, match=message):
        sign_token(auth_settings(), clock, "alice", **granted)
