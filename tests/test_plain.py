"""What is plain is short, printable and whole; whatever else is left to the parser."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewayd.plain import (
    LONGEST,
    LONGEST_KEPT,
    MOST_LINES,
    is_plain,
    is_printable,
    is_token,
    lines_of,
    may_be_kept,
)

HEAD = b"GET / HTTP/1.1\r\nHost: x\r\nX-A: b c"


def test_a_plain_head_is_taken_apart_into_its_lines() -> None:
    assert lines_of(HEAD, LONGEST) == HEAD.split(b"\r\n")


@given(st.binary(max_size=4))
def test_what_is_printable_is_printable_ascii(said: bytes) -> None:
    assert is_printable(said) == all(0x20 <= byte < 0x7F for byte in said)


@pytest.mark.parametrize("byte", [b"\r", b"\n"])
@pytest.mark.parametrize("at", range(len(HEAD) + 1))
def test_a_line_that_ends_otherwise_is_the_parsers(byte: bytes, at: int) -> None:
    lines = lines_of(HEAD[:at] + byte + HEAD[at:], LONGEST)
    assert not lines or not all(map(is_printable, lines))


def test_a_head_of_too_many_lines_is_the_parsers() -> None:
    assert lines_of(b"\r\n".join([b"A: b"] * MOST_LINES), LONGEST)
    assert not lines_of(b"\r\n".join([b"A: b"] * (MOST_LINES + 1)), LONGEST)


def test_a_head_may_be_as_long_as_it_is_said() -> None:
    assert lines_of(HEAD, len(HEAD))
    assert not lines_of(HEAD, len(HEAD) - 1)


@given(st.binary(max_size=3))
def test_a_plain_value_is_there_and_has_no_space_at_its_ends(value: bytes) -> None:
    assert is_plain(value) == (value != b"" and value.strip(b" ") == value)


@pytest.mark.parametrize(("name", "found"), [(b"X-A_1", True), (b"", False), (b"a b", False), (b"a:", False)])
def test_a_name_is_a_token(name: bytes, found: bool) -> None:
    assert is_token(name) is found


def test_only_what_is_short_and_nobodys_secret_may_be_kept() -> None:
    assert may_be_kept(b"Host: x", b"host")
    assert not may_be_kept(b"Host: " + b"x" * LONGEST_KEPT, b"host")
    for name in (b"authorization", b"cookie", b"set-cookie", b"x-api-key", b"proxy-authorization", b"location", b"x-a"):
        assert not may_be_kept(name + b": x", name)
