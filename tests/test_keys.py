"""Keys are judged before a token ever meets them."""

from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.asymmetric import dsa

from gatewayd.keys import (
    ALGORITHMS,
    SECRET_BYTES,
    judge_public_key,
    judge_secret,
    load_public_key,
    needs_secret,
    secret_bytes,
)
from tests.identity.forging import PUBLIC_KEY_ALGORITHMS, key_kind, pem_of, private_pem, public_pem

JWK = b'{"kty":"RSA","n":"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7","e":"AQAB"}'


def test_every_algorithm_has_either_a_secret_or_a_public_key() -> None:
    assert sorted(ALGORITHMS) == sorted([*SECRET_BYTES, *PUBLIC_KEY_ALGORITHMS])
    assert [name for name in ALGORITHMS if needs_secret(name)] == ["HS256", "HS384", "HS512"]


@pytest.mark.parametrize(("algorithm", "least"), [("HS256", 32), ("HS384", 48), ("HS512", 64)])
def test_a_secret_is_at_least_as_long_as_the_hash(algorithm: str, least: int) -> None:
    assert judge_secret(algorithm, b"s" * least) is None
    problem = judge_secret(algorithm, b"s" * (least - 1))
    assert problem == f"{algorithm} needs a secret of at least {least} bytes, this one has {least - 1}"


@pytest.mark.parametrize(
    "secret",
    [
        pytest.param(lambda: public_pem("RSA").encode(), id="public key in PEM"),
        pytest.param(lambda: private_pem("P-256").encode(), id="private key in PEM"),
        pytest.param(lambda: b"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIExampleExampleExample a@b", id="ssh key"),
        pytest.param(lambda: JWK, id="json web key"),
    ],
)
def test_a_key_that_others_may_know_is_no_secret(secret: Callable[[], bytes]) -> None:
    problem = judge_secret("HS256", secret())
    assert problem is not None
    assert "others may know" in problem


@pytest.mark.parametrize("algorithm", ["RS256", "none", ""])
def test_only_hmac_algorithms_take_a_secret(algorithm: str) -> None:
    assert judge_secret(algorithm, b"s" * 64) == f"{algorithm} is not verified with a secret"


def test_a_secret_that_was_bytes_in_the_environment_is_those_bytes_again() -> None:
    assert secret_bytes(b"\xff\xfe key".decode("utf-8", "surrogateescape")) == b"\xff\xfe key"
    assert secret_bytes("é") == b"\xc3\xa9"
    assert secret_bytes("\ud800") == b"\xed\xa0\x80"


@pytest.mark.parametrize("algorithm", PUBLIC_KEY_ALGORITHMS)
def test_a_key_of_the_right_kind_is_fit(algorithm: str) -> None:
    assert judge_public_key(algorithm, load_public_key(public_pem(key_kind(algorithm)))) is None


def test_both_edwards_curves_are_fit_for_eddsa() -> None:
    assert judge_public_key("EdDSA", load_public_key(public_pem("Ed448"))) is None


@pytest.mark.parametrize(
    ("algorithm", "kind", "problem"),
    [
        ("RS256", "P-256", "RS256 needs an RSA key"),
        ("PS512", "Ed25519", "PS512 needs an RSA key"),
        ("RS256", "RSA-1024", "RS256 needs an RSA key of at least 2048 bits, this one has 1024"),
        ("ES256", "P-384", "ES256 needs an EC key on the curve secp256r1"),
        ("ES512", "P-256", "ES512 needs an EC key on the curve secp521r1"),
        ("ES384", "RSA", "ES384 needs an EC key on the curve secp384r1"),
        ("EdDSA", "P-256", "EdDSA needs an Ed25519 or Ed448 key"),
        ("HS256", "RSA", "HS256 is not verified with a public key"),
        ("none", "RSA", "none is not verified with a public key"),
    ],
)
def test_a_key_of_another_kind_is_refused_by_name(algorithm: str, kind: str, problem: str) -> None:
    assert judge_public_key(algorithm, load_public_key(public_pem(kind))) == problem


@pytest.mark.parametrize(
    ("pem", "problem"),
    [
        pytest.param(lambda: private_pem("RSA"), "is a private key", id="private key"),
        pytest.param(
            lambda: "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----",
            "is a certificate",
            id="cert",
        ),
        pytest.param(lambda: "hunter2", "is not a public key in PEM", id="not PEM"),
        pytest.param(lambda: "", "is not a public key in PEM", id="empty"),
        pytest.param(lambda: "\ud800", "is not a public key in PEM", id="lone surrogate"),
        pytest.param(
            lambda: "-----BEGIN PUBLIC KEY-----\nhunter2\n-----END PUBLIC KEY-----",
            "is not a public key in PEM",
            id="PEM of nothing",
        ),
        pytest.param(lambda: pem_of(dsa.generate_private_key(1024).public_key()), "verifies no tokens", id="DSA key"),
    ],
)
def test_a_text_that_is_no_usable_public_key_says_what_it_is(pem: Callable[[], str], problem: str) -> None:
    with pytest.raises(ValueError, match=problem) as caught:
        load_public_key(pem())
    assert "hunter2" not in str(caught.value)
