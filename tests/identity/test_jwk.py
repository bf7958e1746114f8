"""What a provider publishes serves for what it is there for, and for nothing else."""

import json
from collections.abc import Mapping
from contextlib import suppress

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from gatewayd.identity.jwk import MAX_KEYS, MAX_TRIED, KeySet, Unusable, read_keys, read_object
from gatewayd.identity.jws import parse_jws
from tests.identity.forging import PUBLIC_KEY_ALGORITHMS, key_kind, private_key, sign_with_key
from tests.identity.provider import jwk


def read(*keys: object) -> tuple[KeySet, list[str]]:
    told: list[str] = []
    return read_keys(json.dumps({"keys": keys}).encode(), told.append), told


def of(algorithm: str, **members: object) -> dict[str, object]:
    return jwk(private_key(key_kind(algorithm)), algorithm, **members)


GOOD = of("ES256", kid="good")


@pytest.mark.parametrize("algorithm", PUBLIC_KEY_ALGORITHMS)
def test_a_published_key_of_every_kind_verifies(algorithm: str) -> None:
    keys, told = read(of(algorithm, kid="k"))
    (key,) = keys.find(algorithm, "k")
    assert key.verifies(parse_jws(sign_with_key(algorithm), {algorithm}))
    assert (told, keys.size) == ([], 1)


def test_a_key_that_states_its_alg_serves_for_no_other() -> None:
    keys, _ = read(of("RS256", kid="k"))
    assert [name for name in PUBLIC_KEY_ALGORITHMS if keys.find(name, "k")] == ["RS256"]


@pytest.mark.parametrize(
    ("algorithm", "fitting"),
    [("RS256", ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"]), ("ES384", ["ES384"]), ("EdDSA", ["EdDSA"])],
)
def test_a_key_that_states_none_serves_for_those_that_its_kty_fits(algorithm: str, fitting: list[str]) -> None:
    keys, _ = read(of(algorithm, kid="k", alg=...))
    assert [name for name in PUBLIC_KEY_ALGORITHMS if keys.find(name, "k")] == fitting


@pytest.mark.parametrize(
    "members",
    [
        pytest.param({"use": "enc"}, id="use for encryption"),
        pytest.param({"use": None}, id="use null"),
        pytest.param({"key_ops": ["encrypt"]}, id="operations without verify"),
        pytest.param({"key_ops": "verify"}, id="operations not a list"),
        pytest.param({"alg": "RSA-OAEP"}, id="alg for encryption"),
        pytest.param({"alg": "HS256"}, id="alg of a shared secret"),
        pytest.param({"alg": "none"}, id="alg none"),
    ],
)
def test_a_key_for_something_else_is_left_out_in_silence(members: Mapping[str, object]) -> None:
    keys, told = read(of("RS256", kid="other", **members), GOOD)
    assert (keys.size, told) == (1, [])
    assert not any(keys.find(name, "other") for name in (*PUBLIC_KEY_ALGORITHMS, "HS256", "none"))


NOT_ON_CURVE = {**GOOD, "y": GOOD["x"]}
BROKEN = {
    "not an object": 7,
    "null": None,
    "a list": [GOOD],
    "no kty": {**GOOD, "kty": ...},
    "kty a number": {**GOOD, "kty": 7},
    "kty unknown": {**GOOD, "kty": "XYZ"},
    "kty of another key": {**GOOD, "kty": "RSA"},
    "a shared secret": {"kty": "oct", "k": "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0", "kid": "broken"},
    "its private half shown": {**GOOD, "d": "AA"},
    "no x": {**GOOD, "x": ...},
    "x empty": {**GOOD, "x": ""},
    "x not base64": {**GOOD, "x": "!!!!"},
    "x a number": {**GOOD, "x": 5},
    "x too short": {**GOOD, "x": "AAAA"},
    "a point that is not on its curve": NOT_ON_CURVE,
    "the point at zero": {**GOOD, "x": "A" * 43, "y": "A" * 43},
    "crv unknown": {**GOOD, "crv": "P-999"},
    "crv of Bitcoin": {**GOOD, "crv": "secp256k1"},
    "crv that alg does not fit": {**GOOD, "alg": "ES384"},
    "kid a number": {**GOOD, "kid": 7},
    "kid empty": {**GOOD, "kid": ""},
    "kid very long": {**GOOD, "kid": "k" * 1000},
    "modulus of a million bits": {**of("RS256"), "n": "_" * 180_000},
    "modulus of 1,024 bits": jwk(private_key("RSA-1024"), "RS256", kid="broken"),
    "exponent out of proportion": {**of("RS256"), "e": "_" * 5000},
    "exponent that takes as long as a signature": {**of("RS256"), "e": "_" * 300},
    "exponent 1": {**of("RS256"), "e": "AQ"},
    "exponent even": {**of("RS256"), "e": "AQAA"},
    "exponent zero": {**of("RS256"), "e": "AA"},
    "modulus zero": {**of("RS256"), "n": "A" * 342},
    "Ed25519 too short": {**of("EdDSA"), "x": "AAAA"},
}


@pytest.mark.parametrize("entry", [pytest.param(entry, id=name) for name, entry in BROKEN.items()])
def test_a_broken_key_is_told_without_quoting_it_and_the_others_serve(entry: object) -> None:
    if isinstance(entry, dict):
        entry = {name: value for name, value in entry.items() if value is not ...}
    keys, told = read({**GOOD, "kid": "first"}, entry, {**GOOD, "kid": "last"})
    assert keys.size == 2
    assert keys.find("ES256", "first")
    assert keys.find("ES256", "last")
    (words,) = told
    assert words.startswith("key 2 is left out: ")
    assert str(GOOD["x"]) not in words


@pytest.mark.parametrize(
    "document",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"<html>500</html>", id="a page"),
        pytest.param(b"[]", id="a list"),
        pytest.param(b"null", id="null"),
        pytest.param(b'"keys"', id="a text"),
        pytest.param(b"{}", id="no keys"),
        pytest.param(b'{"keys":{}}', id="keys an object"),
        pytest.param(b'{"keys":null}', id="keys null"),
        pytest.param(b'{"keys":[]}', id="keys empty"),
        pytest.param(b'{"keys":[{}]}', id="only broken keys"),
        pytest.param(b'{"keys":' + b"[" * 100_000, id="deep"),
        pytest.param(b'{"keys":[' + b"9" * 5000 + b"]}", id="5,000 digits"),
        pytest.param(b"\xff\xfe{", id="not UTF-8"),
        pytest.param(json.dumps({"keys": [GOOD] * (MAX_KEYS + 1)}).encode(), id="more keys than allowed"),
        pytest.param(json.dumps({"keys": [of("RS256", use="enc")]}).encode(), id="keys for encryption only"),
    ],
)
def test_a_document_without_a_key_that_serves_is_unusable(document: bytes) -> None:
    with pytest.raises(Unusable) as caught:
        read_keys(document, lambda _: None)
    assert caught.value.__cause__ is None
    assert str(GOOD["x"]) not in str(caught.value)


def test_keys_of_one_id_are_tried_each_but_only_a_few() -> None:
    others = [jwk(ec.generate_private_key(ec.SECP256R1()), "ES256", kid="k") for _ in range(MAX_TRIED)]
    assert len(read(*others)[0].find("ES256", "k")) == MAX_TRIED
    assert read(*others, {**GOOD, "kid": "k"})[0].find("ES256", "k") == ()


def test_a_token_without_an_id_is_tried_with_the_keys_of_its_algorithm() -> None:
    keys, _ = read(of("ES256"), of("RS256", kid="k"))
    assert len(keys.find("ES256", None)) == len(keys.find("RS256", None)) == 1
    assert keys.find("ES256", "k") == ()


@given(text=st.binary(max_size=200))
def test_any_bytes_are_an_object_or_unusable(text: bytes) -> None:
    with suppress(Unusable):
        assert isinstance(read_object(text), dict)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
MEMBERS = st.sampled_from(["kty", "use", "alg", "kid", "crv", "x", "y", "n", "e", "key_ops"])


@given(changes=st.dictionaries(MEMBERS, JSON, max_size=4))
def test_no_change_of_a_key_raises_anything_but_a_word_about_it(changes: dict[str, object]) -> None:
    keys, told = read(GOOD, {**GOOD, "kid": "k", **changes})
    assert keys.size + len(told) in (1, 2)
