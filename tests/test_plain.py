"""What is plain is short, printable and whole; whatever else is left to the parser."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewayd.plain import LONGEST, MOST_LINES, is_plain, is_token, plain_lines

HEAD = b"GET / HTTP/1.1\r\nHost: x\r\nX-A: b c"


def test_a_plain_head_is_taken_apart_and_what_is_behind_it_is_kept() -> None:
    assert plain_lines(HEAD + b"\r\n\r\n" + b"body\r\n\r\n", LONGEST) == (HEAD.split(b"\r\n"), b"body\r\n\r\n")


@given(st.integers(0, 255), st.integers(0, len(HEAD)).filter(lambda at: HEAD[at - 1 : at + 1] != b"\r\n"))
def test_one_byte_that_is_not_printable_makes_a_head_the_parsers(byte: int, at: int) -> None:
    lines, _ = plain_lines(HEAD[:at] + bytes([byte]) + HEAD[at:] + b"\r\n\r\n", LONGEST)
    assert bool(lines) == (0x20 <= byte < 0x7F)


@pytest.mark.parametrize("byte", [b"\r", b"\n"])
@pytest.mark.parametrize("at", range(len(HEAD) + 1))
def test_a_line_that_ends_otherwise_is_the_parsers(byte: bytes, at: int) -> None:
    lines, _ = plain_lines(HEAD[:at] + byte + HEAD[at:] + b"\r\n\r\n", LONGEST)
    assert not lines


@pytest.mark.parametrize(
    "said",
    [
        HEAD,
        HEAD + b"\r\n",
        HEAD + b"\n\n",
        b"",
        b"A: " + b"b" * LONGEST + b"\r\n\r\n",
        b"\r\n".join([b"A: b"] * (MOST_LINES + 1)) + b"\r\n\r\n",
        HEAD + b"\r\n\r\n" + b"z" * 65_536,
    ],
)
def test_what_is_not_whole_or_not_small_is_the_parsers(said: bytes) -> None:
    assert plain_lines(said, LONGEST) == ([], b"")


def test_a_head_may_be_as_long_as_it_is_said() -> None:
    assert plain_lines(HEAD + b"\r\n\r\n", len(HEAD))[0]
    assert not plain_lines(HEAD + b"\r\n\r\n", len(HEAD) - 1)[0]


@given(st.binary(max_size=3))
def test_a_plain_value_is_there_and_has_no_space_at_its_ends(value: bytes) -> None:
    assert is_plain(value) == (value != b"" and value.strip(b" ") == value)


@pytest.mark.parametrize(("name", "found"), [(b"X-A_1", True), (b"", False), (b"a b", False), (b"a:", False)])
def test_a_name_is_a_token(name: bytes, found: bool) -> None:
    assert is_token(name) is found
