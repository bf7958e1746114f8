"""A token's text is taken apart only if it is written as the standard says."""

import inspect
import json
import re
import sys
from base64 import urlsafe_b64decode, urlsafe_b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewayd.errors import TokenInvalid
from gatewayd.identity.jws import json_object, parse_jws
from tests.identity.forging import CLAIMS, b64, forge, sign, with_header

ALGORITHMS = frozenset({"HS256"})


def test_a_token_comes_apart_into_what_was_signed_and_the_signature() -> None:
    token = with_header(kid="key 1")
    jws = parse_jws(token, ALGORITHMS)
    assert (jws.algorithm, jws.key_id) == ("HS256", "key 1")
    assert jws.signing_input == token.rpartition(".")[0].encode()
    assert json.loads(jws.payload) == CLAIMS
    assert len(jws.signature) == 32


@pytest.mark.parametrize("kind", ["JWT", "jwt", "at+jwt", "AT+JWT", "application/at+jwt"])
def test_the_types_of_access_tokens_are_known_in_any_case(kind: str) -> None:
    assert parse_jws(with_header(typ=kind), ALGORITHMS).algorithm == "HS256"


def test_keys_that_a_header_offers_are_not_even_looked_at() -> None:
    offered = {"jwk": {"kty": "oct"}, "jku": "http://evil/", "x5u": "http://evil/", "x5c": ["MIIB"]}
    jws = parse_jws(with_header(**offered), ALGORITHMS)
    assert (jws.algorithm, jws.key_id) == ("HS256", None)


def test_one_token_has_one_text() -> None:
    token = sign(b64('{"alg":"HS256"}'), b64("{}"))
    twin = token[:-1] + chr(ord(token[-1]) + 1)  # differs in bits that decoding drops
    assert parse_jws(token, ALGORITHMS)
    with pytest.raises(TokenInvalid):
        parse_jws(twin, ALGORITHMS)


@pytest.mark.parametrize(
    ("text", "members"),
    [
        (b'{"a":1}', {"a": 1}),
        (b' {"a": {"b": [null, true]}}\n', {"a": {"b": [None, True]}}),
        ('{"ä":"€"}'.encode(), {"ä": "€"}),
        (b"{}", {}),
    ],
)
def test_a_json_object_is_read(text: bytes, members: dict[str, object]) -> None:
    assert json_object(text) == members


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"[]", id="array"),
        pytest.param(b'"text"', id="string"),
        pytest.param(b"null", id="null"),
        pytest.param(b'{"a":1}x', id="something behind"),
        pytest.param(b'{"a":1}{"a":1}', id="two objects"),
        pytest.param(b'{"a":1,"a":1}', id="repeated member"),
        pytest.param(b'{"a":{"b":1,"b":2}}', id="repeated member further down"),
        pytest.param(b'{"a":1,"\\u0061":2}', id="repeated member in disguise"),
        pytest.param(b'{"a":NaN}', id="NaN"),
        pytest.param(b'{"a":-Infinity}', id="Infinity"),
        pytest.param(b'{"a":' + b"9" * 5000 + b"}", id="5,000 digits"),
        pytest.param(b"[" * 5000, id="deep arrays"),
        pytest.param(b'{"a":' * 257 + b"1" + b"}" * 257, id="deep objects"),
        pytest.param(b'\xef\xbb\xbf{"a":1}', id="byte order mark"),
        pytest.param('{"a":1}'.encode("utf-16"), id="UTF-16"),
        pytest.param('{"a":1}'.encode("utf-32-be"), id="UTF-32"),
        pytest.param(b'{"a":"\xff"}', id="not UTF-8"),
        pytest.param(b'{"a":"\xed\xa0\x80"}', id="surrogate in UTF-8"),
        pytest.param(b'{"a":"\n"}', id="control character in a string"),
        pytest.param(b"{'a':1}", id="single quotes"),
    ],
)
def test_whatever_is_not_one_json_object_is_nothing(text: bytes) -> None:
    assert json_object(text) is None


def test_json_is_read_or_refused_even_where_the_stack_is_nearly_full() -> None:
    text = b'{"a":' * 200 + b"1" + b"}" * 200

    def at_depth(frames: int) -> object:
        return at_depth(frames - 1) if frames else json_object(text)

    room = sys.getrecursionlimit() - len(inspect.stack())
    assert at_depth(room - 100) is None or sys.version_info >= (3, 12)  # which counts C calls apart


@given(text=st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_no_bytes_raise_anything_when_read_as_json(text: bytes) -> None:
    members = json_object(text)
    assert members is None or isinstance(members, dict)


@given(token=st.text() | st.from_regex(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+", fullmatch=True))
def test_no_text_raises_anything_but_a_refusal(token: str) -> None:
    with pytest.raises(TokenInvalid):
        parse_jws(token, ALGORITHMS)


@given(header=st.dictionaries(st.sampled_from(["alg", "typ", "kid", "crit", "b64", "x"]), st.text() | st.none()))
def test_whatever_header_passes_names_an_allowed_algorithm(header: dict[str, str | None]) -> None:
    try:
        jws = parse_jws(forge(header=json.dumps(header)), ALGORITHMS)
    except TokenInvalid:
        return
    assert jws.algorithm == "HS256"
    assert not {"crit", "b64"} & header.keys()


def _strictly(part: str) -> bytes | None:
    """By the standard library: what an encoder writes of what it reads is the same again."""
    if re.fullmatch(r"[A-Za-z0-9_-]+", part) is None or len(part) % 4 == 1:
        return None
    read = urlsafe_b64decode(part + "=" * (-len(part) % 4))
    return read if urlsafe_b64encode(read).rstrip(b"=") == part.encode() else None


@given(part=st.text("AQgwz09_-+/=\n ") | st.binary().map(lambda raw: urlsafe_b64encode(raw).decode().rstrip("=")))
def test_a_part_is_read_only_if_it_is_written_as_an_encoder_does(part: str) -> None:
    head, _, _ = forge().split(".")
    try:
        read: bytes | None = parse_jws(f"{head}.{part}.AA", ALGORITHMS).payload
    except TokenInvalid:
        read = None
    assert read == _strictly(part)
