"""Several issuers at once: each is judged by its own rules, and none can sign for another."""

import json
from collections.abc import Sequence
from typing import Any

import jwt
import pytest

from gatewayd.config.settings import AuthSettings, IssuerSettings, Provider, Secret
from gatewayd.errors import StartError, TokenInvalid
from gatewayd.identity.signatures import VerificationKey
from gatewayd.identity.tokens import TokenVerifier
from tests.clocks import ManualClock
from tests.identity.forging import CLAIMS, SECRET, auth_settings, forge, private_key, public_pem

CORP, PARTNER = "https://corp.example/", "https://partner.example/"


def issuer(name: str, algorithm: str, **changes: Any) -> IssuerSettings:
    kinds = {"ES256": "P-256", "RS256": "RSA"}
    pem = Secret(public_pem(kinds[algorithm]), "a test")
    return auth_settings(issuer=name, algorithms=(algorithm,), secret=None, public_key=pem, **changes)


def three(**changes: Any) -> AuthSettings:
    """An HS256 secret for tokens of nobody in particular, and two issuers with keys and claim names of their own."""
    issuers = {
        "corp": issuer(CORP, "RS256", user_claim="email", role_claim="/realm/roles", user_prefix="corp:"),
        "partner": issuer(PARTNER, "ES256", audience="gatewayd", plan_claim="tier", leeway=0.0),
    }
    return auth_settings(issuers=issuers, **changes)


def signed(algorithm: str, **claims: object) -> str:
    key: Any = private_key({"ES256": "P-256", "RS256": "RSA"}[algorithm])
    return jwt.encode({**CLAIMS, **claims}, key, algorithm=algorithm)


CORPS = {"iss": CORP, "email": "ann@corp", "realm": {"roles": ["ops"]}, "role": "admin"}
PARTNERS = {"iss": PARTNER, "aud": ["other", "gatewayd"], "tier": "gold", "plan": "free"}


async def test_each_issuer_has_its_own_algorithm_and_claim_names() -> None:
    verifier = TokenVerifier(three(), ManualClock())
    corp = await verifier.verify(signed("RS256", **CORPS))
    partner = await verifier.verify(signed("ES256", **PARTNERS))
    other = await verifier.verify(forge(plan="free"))
    assert (corp.user, list(corp.roles), corp.plan) == ("corp:ann@corp", ["ops"], None)
    assert (partner.user, partner.plan) == ("alice", "gold")
    assert (other.user, other.plan) == ("alice", "free")


@pytest.mark.parametrize(
    "token",
    [
        pytest.param(signed("ES256", **CORPS), id="a partner who signs as corp"),
        pytest.param(signed("RS256", **PARTNERS), id="corp that signs as a partner"),
        pytest.param(forge(claims=CORPS), id="the secret's holder who signs as corp"),
        pytest.param(forge(claims=CORPS, secret=public_pem("RSA")), id="corp's public key as a secret"),
        pytest.param(signed("RS256"), id="corp without its name"),
        pytest.param(signed("ES256", **{**PARTNERS, "aud": "other"}), id="for another audience"),
        pytest.param(signed("RS256", iss=CORP), id="without its user"),
        pytest.param(signed("RS256", **{**CORPS, "iss": CORP.rstrip("/")}), id="nearly corp"),
        pytest.param(signed("RS256", **{**CORPS, "iss": CORP.upper()}), id="corp in capitals"),
        pytest.param(signed("RS256", iss=""), id="iss empty"),
    ],
)
async def test_no_issuer_signs_for_another(token: str) -> None:
    with pytest.raises(TokenInvalid):
        await TokenVerifier(three(), ManualClock()).verify(token)


@pytest.mark.parametrize("named", ["null", "7", f'["{CORP}"]', f'{{"a":"{CORP}"}}'])
async def test_an_iss_that_is_no_text_names_nobody(named: str) -> None:
    payload = json.dumps({**CLAIMS, **CORPS}).replace(f'"{CORP}"', named)
    with pytest.raises(TokenInvalid):
        await TokenVerifier(three(), ManualClock()).verify(forge(payload))


async def test_without_keys_of_its_own_auth_takes_named_issuers_only() -> None:
    verifier = TokenVerifier(three(secret=None), ManualClock())
    assert (await verifier.verify(signed("RS256", **CORPS))).user == "corp:ann@corp"
    for token in (forge(), signed("RS256"), signed("RS256", iss="https://unknown.example/")):
        with pytest.raises(TokenInvalid):
            await verifier.verify(token)


async def test_a_provider_is_asked_for_the_keys_of_its_issuer_only() -> None:
    asked: list[Provider] = []

    class Keys:
        def at_hand(self, algorithm: str, key_id: str | None) -> Sequence[VerificationKey]:
            return ()

        async def find(
            self, algorithm: str, key_id: str | None, tried: Sequence[VerificationKey] = ()
        ) -> list[VerificationKey]:
            return [VerificationKey.of_public_key(algorithm, private_key("P-256").public_key())] if key_id else []  # type: ignore[arg-type]

    def published(provider: Provider) -> Keys:
        asked.append(provider)
        return Keys()

    corp = auth_settings(issuer=CORP, algorithms=("ES256",), secret=None)
    verifier = TokenVerifier(auth_settings(issuers={"corp": corp}), ManualClock(), published=published)
    assert [each.issuer for each in asked] == [CORP]
    key: Any = private_key("P-256")
    token = jwt.encode({**CLAIMS, "iss": CORP}, key, algorithm="ES256", headers={"kid": "a"})
    assert (await verifier.verify(token)).user == "alice"
    with pytest.raises(TokenInvalid):
        await verifier.verify(jwt.encode({**CLAIMS, "iss": CORP}, key, algorithm="ES256"))


def test_published_keys_need_somebody_to_fetch_them() -> None:
    corp = auth_settings(issuer=CORP, algorithms=("ES256",), secret=None)
    with pytest.raises(StartError, match=r"^auth\.issuers\.corp: "):
        TokenVerifier(auth_settings(issuers={"corp": corp}), ManualClock())


def test_a_key_that_cannot_serve_is_named_with_its_place() -> None:
    corp = auth_settings(issuer=CORP, secret=Secret("short", "a test"))
    with pytest.raises(StartError, match=r"^auth\.issuers\.corp\.secret: HS256 needs a secret of at least 32 bytes"):
        TokenVerifier(auth_settings(issuers={"corp": corp}), ManualClock())


async def test_older_secrets_still_verify_and_unknown_ones_do_not() -> None:
    new, old = "n" * 32, SECRET
    settings = auth_settings(secret=Secret(new, "a test"), older_secrets={"last": Secret(old, "a test")})
    verifier = TokenVerifier(settings, ManualClock())
    for secret in (new, old):
        assert (await verifier.verify(forge(secret=secret))).user == "alice"
    with pytest.raises(TokenInvalid):
        await verifier.verify(forge(secret="x" * 32))
