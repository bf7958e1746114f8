"""A trailer section is found from its end, wherever the bytes were cut, and only what may stand in one goes on."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewayd.errors import BadRequest, HeadersTooLarge
from gatewayd.trailers import LONGEST, announcement, heard, last_chunk, may_pass, section

HEAD = b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
TOKEN = st.text("!#$%&'*+.^_`|~09aZ-", min_size=1, max_size=8).map(str.encode)
VALUE = st.text([chr(code) for code in range(256) if code in (9, *range(32, 127), *range(128, 256))], max_size=12).map(
    lambda text: text.strip(" \t").encode("latin-1")
)
FIELDS = st.lists(st.tuples(TOKEN, VALUE), max_size=5)
EXTENSION = st.sampled_from([b"", b";a", b";a=b", b';a="b: c"', b" ", b"0", b"00;x"])


def heard_of(pieces: list[bytes]) -> bytes:
    last = b""
    for piece in pieces:
        last = heard(last, piece)
    return last


def lines(fields: list[tuple[bytes, bytes]]) -> bytes:
    return b"".join(b"%b: %b\r\n" % field for field in fields)


def cut(data: bytes, places: list[int]) -> list[bytes]:
    ends = [*sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:end] for start, end in zip([0, *ends], ends, strict=False)]


@given(st.binary(max_size=40), EXTENSION, FIELDS, st.lists(st.integers(0, 1000), max_size=6))
def test_the_fields_behind_the_last_chunk_are_found_wherever_the_bytes_were_cut(
    body: bytes, extension: bytes, fields: list[tuple[bytes, bytes]], places: list[int]
) -> None:
    chunk = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
    message = HEAD + chunk + b"0" + extension + b"\r\n" + lines(fields) + b"\r\n"
    assert section(heard_of(cut(message, places))) == fields


@pytest.mark.parametrize("body", [b"0\r\nX: 1\r\n", b"\r\n0\r\nX: 1\r\n\r\n", b"X: 1", b"X: 1\r\n", b"0"])
def test_a_body_that_looks_like_trailers_is_none(body: bytes) -> None:
    last = heard(b"", HEAD + b"%x\r\n%b\r\n0\r\n" % (len(body), body) + b"Y: 2\r\n\r\n")
    assert section(last) == [(b"Y", b"2")]
    assert section(heard(b"", HEAD + b"%x\r\n%b\r\n0;e\r\n\r\n" % (len(body), body))) == []


def test_what_is_remembered_is_little_and_next_to_nothing_where_no_end_is_in_sight() -> None:
    last = heard(b"", b"10\r\n" + b"data: something\n\r\n")
    for _ in range(100):
        last = heard(last, b"10\r\n" + b"data: something\n\r\n")
        assert len(last) == 4
    for _ in range(100):
        last = heard(last, b"10\r\n" + b"data: \n000000000\r\n")
        assert len(last) <= LONGEST
    assert len(heard(b"", b"\n0" * 100_000)) == LONGEST


@pytest.mark.parametrize(("excess", "fits"), [(0, True), (1, False), (5000, False)])
def test_a_section_has_a_largest_size(excess: int, fits: bool) -> None:
    value = b"a" * (LONGEST - len(b"\n0\r\nX: \r\n\r\n") + excess)
    last = heard(b"", HEAD + b"0\r\nX: " + value + b"\r\n\r\n")
    if fits:
        assert section(last) == [(b"X", value)]
    else:
        with pytest.raises(HeadersTooLarge):
            section(last)


def test_no_field_that_was_cut_in_two_is_taken_for_the_last_chunk() -> None:
    field = b"X: 1\r\n"
    last = HEAD + b"0\r\n" + b"Y: 10\r\n" + field * (LONGEST // len(field)) + b"\r\n"
    for length in range(LONGEST - 20, LONGEST):
        with pytest.raises(HeadersTooLarge):
            section(last[-length:])


@pytest.mark.parametrize(
    "line", [b"X Y: 1", b" X: 1", b"X : 1", b": 1", b"X", b"X: a\x00b", b"X: a\rb", b"X: \x7f", b"", b"X\xe9: 1"]
)
def test_a_line_that_is_no_field_spoils_the_section(line: bytes) -> None:
    with pytest.raises(BadRequest):
        section(heard(b"", HEAD + b"0\r\nA: 1\r\n" + line + b"\r\nB: 1\r\n\r\n"))


def test_lenient_line_ends_are_read_and_blank_lines_behind_the_end_are_not_part_of_it() -> None:
    assert section(HEAD + b"0 \nX: 1\nY:\t2 \n\n") == [(b"X", b"1"), (b"Y", b"2")]
    assert section(HEAD + b"0\r\nX: 1\r\n\r\n\r\n\r\n") == [(b"X", b"1")]


@pytest.mark.parametrize(
    "name",
    [
        b"Content-Length", b"transfer-encoding", b"Host", b"Trailer", b"TE", b"Connection", b"Upgrade", b"Expect",
        b"Authorization", b"Proxy-Authorization", b"Cookie", b"Set-Cookie", b"WWW-Authenticate",
        b"Content-Type", b"Content-Encoding", b"Content-Range", b"Range", b"If-Match", b"Cache-Control", b"Vary",
        b"Location", b"Age", b"Via", b"Forwarded", b"X-Forwarded-For", b"X-Real-IP", b"traceparent", b"tracestate",
        b"X-User-ID", b"x_user_id", b"X.User.ID", b"X-User-Plan", b"X-Request-ID", b"X-Correlation-ID",
        b"RateLimit", b"X-Usage-Quantity", b"Content_Length", b"set_cookie", b"X-Named", b"x-named",
    ],
)  # fmt: skip
def test_what_must_come_before_a_body_never_comes_behind_it(name: bytes) -> None:
    hops = frozenset({b"x-named"})
    assert not may_pass(name, hops)
    assert last_chunk([(name, b"1")], hops) == b"0\r\n\r\n"
    assert announcement([name], hops) == []


def test_the_other_fields_pass_in_their_order_with_their_repeats_and_letters() -> None:
    fields = [(b"X-Sum", b"1"), (b"Host", b"evil"), (b"grpc-status", b"0"), (b"x-sum", b"2"), (b"ETag", b'"a"')]
    assert last_chunk(fields, ()) == b'0\r\nX-Sum: 1\r\ngrpc-status: 0\r\nx-sum: 2\r\nETag: "a"\r\n\r\n'
    assert last_chunk([], ()) == b"0\r\n\r\n"


def test_what_is_announced_is_what_may_come() -> None:
    assert announcement([b"X-Sum, Host", b"ETag,,X Y"], ()) == [(b"Trailer", b"X-Sum, ETag")]
    assert announcement([], ()) == announcement([b""], ()) == []


@given(st.lists(st.tuples(TOKEN, VALUE)), st.binary(max_size=200), st.integers(0, LONGEST))
def test_whatever_was_heard_only_fields_come_of_it(
    fields: list[tuple[bytes, bytes]], noise: bytes, length: int
) -> None:
    try:
        found = section((noise + b"\n0\r\n" + lines(fields) + noise)[-length:])
    except (BadRequest, HeadersTooLarge):
        return
    for name, value in found:
        assert name
        assert b":" not in name
        assert not {b"\r", b"\n", b"\x00"} & {bytes([code]) for code in name + value}
