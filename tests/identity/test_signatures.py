"""A verifier starts with keys that can serve, or not at all, and says why."""

from collections.abc import Callable

import pytest

from gatewayd.config.settings import AuthSettings, Secret
from gatewayd.errors import StartError
from gatewayd.identity.jws import parse_jws
from gatewayd.identity.signatures import ConfiguredKeys, VerificationKey
from gatewayd.keys import load_public_key
from tests.identity.forging import SECRET, auth_settings, forge, private_pem, public_key_settings, public_pem


def with_public_key(pem: str, *algorithms: str) -> AuthSettings:
    return auth_settings(algorithms=algorithms, public_key=Secret(pem, "a test"))


async def test_each_configured_algorithm_has_its_key_and_no_other_has_one() -> None:
    keys = ConfiguredKeys(with_public_key(public_pem("RSA"), "HS256", "RS256", "PS512"))
    found = {name: await keys.find(name, "any id") for name in ("HS256", "RS256", "PS512", "HS512", "none")}
    assert [name for name, key in found.items() if key] == ["HS256", "RS256", "PS512"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        pytest.param(lambda: auth_settings(algorithms=()), "auth.algorithms: name at least one", id="no algorithm"),
        pytest.param(
            lambda: auth_settings(algorithms=("none",)), "auth.algorithms: 'none' is none of HS256", id="none"
        ),
        pytest.param(
            lambda: auth_settings(algorithms=("HS256", "HS1")),
            "auth.algorithms: 'HS1' is none of",
            id="unknown",
        ),
        pytest.param(lambda: auth_settings(secret=None), "auth.secret: HS256 needs it", id="no secret"),
        pytest.param(
            lambda: auth_settings(algorithms=("RS256",)),
            "auth.public_key: RS256 needs it",
            id="no public key",
        ),
        pytest.param(
            lambda: auth_settings(secret=Secret("hunter2" * 4, "a test")),
            "auth.secret: HS256 needs a secret of at least 32 bytes, this one has 28",
            id="short secret",
        ),
        pytest.param(
            lambda: auth_settings(algorithms=("HS256", "HS512"), secret=Secret("hunter2" * 5, "a test")),
            "auth.secret: HS512 needs a secret of at least 64 bytes, this one has 35",
            id="short for the second algorithm",
        ),
        pytest.param(
            lambda: auth_settings(secret=Secret(public_pem("RSA"), "a test")),
            "auth.secret: HS256 needs a secret, this is a key",
            id="public key as the secret",
        ),
        pytest.param(lambda: with_public_key("hunter2", "RS256"), "auth.public_key: is not a public key", id="no PEM"),
        pytest.param(
            lambda: with_public_key(private_pem("RSA"), "RS256"),
            "auth.public_key: is a private key; give its public half",
            id="private key",
        ),
        pytest.param(
            lambda: with_public_key(public_pem("P-256"), "ES256", "RS256"),
            "auth.public_key: RS256 needs an RSA key",
            id="wrong kind",
        ),
        pytest.param(
            lambda: with_public_key(public_pem("P-384"), "ES256"),
            "auth.public_key: ES256 needs an EC key on the curve secp256r1",
            id="wrong curve",
        ),
        pytest.param(
            lambda: with_public_key(public_pem("RSA-1024"), "RS256"),
            "auth.public_key: RS256 needs an RSA key of at least 2048 bits",
            id="weak key",
        ),
    ],
)
def test_a_key_that_cannot_serve_is_named_with_its_fault(settings: Callable[[], AuthSettings], message: str) -> None:
    with pytest.raises(StartError) as caught:
        ConfiguredKeys(settings())
    assert str(caught.value).startswith(message)
    assert "hunter2" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_key_verifies_what_it_signed_and_nothing_else() -> None:
    key = VerificationKey.of_secret("HS256", SECRET.encode())
    assert key.verifies(parse_jws(forge(), {"HS256"}))
    assert not key.verifies(parse_jws(forge(secret="another"), {"HS256"}))


def test_a_key_is_bound_only_to_an_algorithm_that_fits() -> None:
    with pytest.raises(ValueError, match="needs a secret of at least"):
        VerificationKey.of_secret("HS256", b"short")
    with pytest.raises(ValueError, match="needs an RSA key"):
        VerificationKey.of_public_key("RS256", load_public_key(public_pem("P-256")))


def test_a_key_never_shows_itself() -> None:
    assert SECRET not in repr(VerificationKey.of_secret("HS256", SECRET.encode()))


def test_a_configuration_for_public_keys_needs_no_secret() -> None:
    assert ConfiguredKeys(public_key_settings("ES256"))
