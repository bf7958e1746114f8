"""Claims that were signed are still judged, each by its kind."""

import math

import pytest

from gatewayd.errors import TokenExpired, TokenInvalid
from gatewayd.identity.claims import ClaimRules, is_name
from gatewayd.model import Identity
from tests.identity.forging import CLAIMS, NOW, auth_settings


def test_every_claim_that_is_used_reaches_the_identity() -> None:
    claims = {
        **CLAIMS,
        "plan": "gold",
        "role": ["admin", "ops"],
        "jti": "id-1",
        "iat": NOW - 5,
        "nbf": NOW - 5,
    }
    assert ClaimRules(auth_settings()).identify(claims, NOW) == Identity(
        user="alice",
        plan="gold",
        roles=frozenset({"admin", "ops"}),
        token_id="id-1",
        issued_at=NOW - 5,
        expires_at=NOW + 3600,
    )


def test_a_token_needs_no_more_than_its_user_and_its_end() -> None:
    identity = ClaimRules(auth_settings()).identify(CLAIMS, NOW)
    assert identity == Identity("alice", None, frozenset(), None, None, NOW + 3600)


@pytest.mark.parametrize(
    ("changes", "claims"),
    [
        pytest.param({}, {"exp": NOW + 0.5}, id="exp a fraction ahead"),
        pytest.param({}, {"exp": NOW - 29.5}, id="exp past, on leeway"),
        pytest.param({}, {"nbf": NOW + 30}, id="nbf ahead, on leeway"),
        pytest.param({}, {"iat": NOW + 30}, id="iat ahead, on leeway"),
        pytest.param({}, {"iat": 0}, id="iat at the epoch"),
        pytest.param({}, {"role": "admin"}, id="one role"),
        pytest.param({}, {"role": []}, id="no roles"),
        pytest.param({}, {"sub": "Zoë Müller"}, id="a name beyond ASCII"),
        pytest.param({}, {"sub": "a" * 256}, id="the longest name"),
        pytest.param({}, {"type": "access"}, id="type access"),
        pytest.param({"refuse_types": ()}, {"type": "refresh"}, id="no type refused"),
        pytest.param({"refuse_types": ()}, {"type": 7}, id="type not used"),
        pytest.param({}, {"aud": "anything", "iss": "anyone"}, id="audience and issuer not configured"),
        pytest.param({"audience": "gatewayd"}, {"aud": "gatewayd"}, id="audience as text"),
        pytest.param({"audience": "gatewayd"}, {"aud": ["x", "gatewayd"]}, id="audience in a list"),
        pytest.param({"issuer": "https://idp/"}, {"iss": "https://idp/"}, id="issuer"),
        pytest.param({"require": ("exp", "sub", "tenant")}, {"tenant": 0}, id="a required claim of any kind"),
        pytest.param({"user_claim": "email"}, {"email": "alice"}, id="user in another claim"),
        pytest.param({"plan_claim": "tier"}, {"tier": "gold", "plan": 7}, id="plan in another claim"),
        pytest.param({"role_claim": "groups"}, {"groups": ["a"], "role": 7}, id="roles in another claim"),
    ],
)
def test_good_claims_are_taken(changes: dict[str, object], claims: dict[str, object]) -> None:
    assert ClaimRules(auth_settings(**changes)).identify({**CLAIMS, **claims}, NOW).user


@pytest.mark.parametrize(
    ("changes", "claims"),
    [
        pytest.param({"audience": "gatewayd"}, {}, id="audience missing"),
        pytest.param({"audience": "gatewayd"}, {"aud": "gateway"}, id="another audience"),
        pytest.param({"audience": "gatewayd"}, {"aud": "xgatewaydx"}, id="audience within a text"),
        pytest.param({"audience": "gatewayd"}, {"aud": []}, id="no audience in the list"),
        pytest.param({"audience": "gatewayd"}, {"aud": ["gatewayd", 1]}, id="audience beside a number"),
        pytest.param({"issuer": "https://idp/"}, {}, id="issuer missing"),
        pytest.param({"issuer": "https://idp/"}, {"iss": "https://idp"}, id="another issuer"),
        pytest.param({"issuer": "https://idp/"}, {"iss": ["https://idp/"]}, id="issuer in a list"),
        pytest.param({"require": ("tenant",)}, {}, id="a required claim missing"),
        pytest.param({"require": ("tenant",)}, {"tenant": None}, id="a required claim null"),
        pytest.param({"user_claim": "email"}, {}, id="user claim missing"),
        pytest.param({"user_claim": "email"}, {"email": 7}, id="user claim a number"),
        pytest.param({"user_claim": "email"}, {"email": "a\r\nb"}, id="user claim with a line break"),
        pytest.param({"user_claim": "email"}, {"email": "a@b", "sub": ""}, id="sub empty beside the user claim"),
        pytest.param({"user_claim": "exp"}, {}, id="a date as the user"),
        pytest.param({"require": ()}, {"sub": None}, id="no user, though sub is not required"),
        pytest.param({"leeway": 0.0}, {"nbf": NOW + 1}, id="nbf without leeway"),
        pytest.param({"refuse_types": ("refresh", "id")}, {"type": "id"}, id="another refused type"),
    ],
)
def test_wrong_claims_are_refused(changes: dict[str, object], claims: dict[str, object]) -> None:
    with pytest.raises(TokenInvalid):
        ClaimRules(auth_settings(**changes)).identify({**CLAIMS, **claims}, NOW)


def test_without_leeway_a_token_ends_on_the_second() -> None:
    rules = ClaimRules(auth_settings(leeway=0.0))
    assert rules.identify(CLAIMS, NOW + 3599.999)
    with pytest.raises(TokenExpired):
        rules.identify(CLAIMS, NOW + 3600)


def test_a_token_that_is_wrong_and_expired_is_called_invalid() -> None:
    with pytest.raises(TokenInvalid):
        ClaimRules(auth_settings(audience="gatewayd")).identify(CLAIMS, NOW + 9999)


def test_a_token_may_be_endless_only_where_no_end_is_required() -> None:
    endless = ClaimRules(auth_settings(require=("sub",))).identify({"sub": "alice"}, NOW)
    assert endless.expires_at == math.inf
    with pytest.raises(TokenInvalid):
        ClaimRules(auth_settings()).identify({"sub": "alice"}, NOW)


@pytest.mark.parametrize("name", ["a", "a b", "auth0|5f7c", "a@b.c", "日本", "{x}", "é" * 256])
def test_a_name_is_printable_text(name: str) -> None:
    assert is_name(name)


@pytest.mark.parametrize("name", ["", " a", "a ", "a\t", "\x1f", "a" * 257, b"a", 1, None, ["a"]])
def test_whatever_else_is_no_name(name: object) -> None:
    assert not is_name(name)


@pytest.mark.parametrize(
    ("claims", "scopes"),
    [
        pytest.param({}, set(), id="none"),
        pytest.param({"scope": ""}, set(), id="empty"),
        pytest.param({"scope": "email"}, {"email"}, id="one"),
        pytest.param(
            {"scope": "email:read email:write https://a.example/x"},
            {"email:read", "email:write", "https://a.example/x"},
            id="text",
        ),
        pytest.param({"scope": ["a", "b"]}, {"a", "b"}, id="list"),
        pytest.param({"scope": []}, set(), id="empty list"),
    ],
)
def test_scopes_are_one_text_or_a_list(claims: dict[str, object], scopes: set[str]) -> None:
    assert ClaimRules(auth_settings()).identify({**CLAIMS, **claims}, NOW).scopes == scopes


@pytest.mark.parametrize(
    "scope",
    [7, None, True, {"a": 1}, "a  b", " a", "a ", "a\nb", 'a"b', "a\\b", "é", ["a b"], [""], [7], [["a"]]],
    ids=repr,
)
def test_scopes_of_any_other_form_are_refused(scope: object) -> None:
    with pytest.raises(TokenInvalid):
        ClaimRules(auth_settings()).identify({**CLAIMS, "scope": scope}, NOW)


def test_claims_may_stand_anywhere() -> None:
    rules = ClaimRules(
        auth_settings(
            user_claim="/identity/name",
            plan_claim="https://corp.example/plan",
            role_claim="/realm_access/roles",
            scope_claim="/a~1b/c~0d",
            tenant_claim="/org/id",
        )
    )
    claims = {
        **CLAIMS,
        "identity": {"name": "ann"},
        "https://corp.example/plan": "gold",
        "realm_access": {"roles": ["ops", "dev"]},
        "a/b": {"c~d": "x y"},
        "org": {"id": "acme"},
    }
    identity = rules.identify(claims, NOW)
    assert (identity.user, identity.plan, identity.tenant) == ("ann", "gold", "acme")
    assert identity.roles == {"ops", "dev"}
    assert identity.scopes == {"x", "y"}
    broken: list[object] = ["ann", {}, {"name": None}, ["name"]]
    for value in broken:
        with pytest.raises(TokenInvalid):
            rules.identify({**claims, "identity": value}, NOW)
    with pytest.raises(TokenInvalid):
        rules.identify({**claims, "org": {"id": 7}}, NOW)


def test_a_prefix_tells_users_of_issuers_apart() -> None:
    rules = ClaimRules(auth_settings(user_prefix="corp:"))
    assert rules.identify(CLAIMS, NOW).user == "corp:alice"
    with pytest.raises(TokenInvalid):
        rules.identify({**CLAIMS, "sub": "a" * 256}, NOW)


def test_a_service_calls_for_a_user_in_a_run() -> None:
    rules = ClaimRules(auth_settings())
    own = rules.identify({**CLAIMS, "type": "service", "run_id": "run-1"}, NOW)
    for_alice = rules.identify({**CLAIMS, "type": "service", "run_id": "run-1", "act": {"sub": "planner"}}, NOW)
    nobodys = rules.identify({**CLAIMS, "run_id": "run-1", "act": {"sub": "planner"}}, NOW)
    assert (own.user, own.service, own.run) == ("alice", "alice", "run-1")
    assert (for_alice.user, for_alice.service, for_alice.run) == ("alice", "planner", "run-1")
    assert (nobodys.service, nobodys.run) == (None, None)


@pytest.mark.parametrize(
    "claims",
    [
        pytest.param({}, id="no run"),
        pytest.param({"run_id": None}, id="run null"),
        pytest.param({"run_id": ""}, id="run empty"),
        pytest.param({"run_id": 7}, id="run a number"),
        pytest.param({"run_id": "a\r\nX-User-ID: root"}, id="run with line breaks"),
        pytest.param({"run_id": "r" * 300}, id="run too long"),
        pytest.param({"run_id": "r", "act": "planner"}, id="actor a text"),
        pytest.param({"run_id": "r", "act": {}}, id="actor nobody"),
        pytest.param({"run_id": "r", "act": {"sub": 7}}, id="actor a number"),
        pytest.param({"run_id": "r", "act": {"sub": "a\n"}}, id="actor with a line break"),
    ],
)
def test_a_service_token_without_a_sound_run_is_refused(claims: dict[str, object]) -> None:
    with pytest.raises(TokenInvalid):
        ClaimRules(auth_settings()).identify({**CLAIMS, "type": "service", **claims}, NOW)


def test_service_tokens_can_be_refused_like_any_type() -> None:
    with pytest.raises(TokenInvalid):
        ClaimRules(auth_settings(refuse_types=("service",))).identify(
            {**CLAIMS, "type": "service", "run_id": "run-1"}, NOW
        )
