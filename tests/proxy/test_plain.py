"""An answer that is read without the parser is read as the parser and the judge read it, or not at all."""

import asyncio
from typing import Any

import pytest
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http import HttpResponseParser
from aiohttp.streams import EMPTY_PAYLOAD
from hypothesis import given
from hypothesis import strategies as st

from gatewayd.proxy import plain
from gatewayd.proxy.answer import AnswerHead, judge
from gatewayd.proxy.plain import PlainAnswer, plain_answer

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: a/b\r\ncontent-length: 2\r\nDate: now\r\nServer: a/1\r\nX-A: b c\r\n\r\nhi"
LINES = st.sampled_from(
    [
        b"Content-Length: 2",
        b"content-length: 2",
        b"Content-Length: 0",
        b"Content-Length: 02",
        b"Content-Length: 2, 2",
        b"Content-Length: -2",
        b"Transfer-Encoding: chunked",
        b"Connection: keep-alive",
        b"Connection: close",
        b"Connection: keep-alive, X-A",
        b"Proxy-Connection: close",
        b"Keep-Alive: timeout=5",
        b"Upgrade: websocket",
        b"Trailer: X-A",
        b"Set-Cookie: a=b",
        b"X-Usage-Quantity: 3",
        b"RateLimit: a",
        b"Server: a",
        b"Server: a/1.1",
        b"X-A: b c",
        b"X-A:b",
        b"X-A: ",
        b"X-A:  b",
        b"X-A: b ",
        b"X-A : b",
        b"X-A: \xe4",
        b"X-A: \x00",
        b" folded",
        b"no colon",
        b"Content-Encoding: gzip",
        b"X-Request-ID: a",
    ]
)
FIRST = st.sampled_from(
    [
        b"HTTP/1.1 200 OK",
        b"HTTP/1.1 404 Not Found",
        b"HTTP/1.1 599 a b",
        b"HTTP/1.1 600 a",
        b"HTTP/1.1 204 No Content",
        b"HTTP/1.1 304 Not Modified",
        b"HTTP/1.1 100 Continue",
        b"HTTP/1.1 101 Switching Protocols",
        b"HTTP/1.1 200 ",
        b"HTTP/1.1 200",
        b"HTTP/1.1  200 OK",
        b"HTTP/1.1 2000 OK",
        b"HTTP/1.1 +20 OK",
        b"HTTP/1.0 200 OK",
        b"HTTP/2.0 200 OK",
        b"http/1.1 200 OK",
        b"HTTP/1.1 200 \xe4",
        b"HTTP/1.1 200 OK ",
    ]
)


def parsed(said: bytes) -> tuple[AnswerHead, bytes, bool]:
    """What aiohttp's parser and our judge make of it, the body, and whether the connection has to end."""
    loop = asyncio.new_event_loop()
    try:
        parser: Any = HttpResponseParser(
            BaseProtocol(loop), loop, 65536, response_with_body=True, read_until_eof=True, auto_decompress=False
        )
        ((message, payload),), upgraded, _ = parser.feed_data(said)
        assert not upgraded
        assert payload is EMPTY_PAYLOAD or payload.is_eof()
        body = b"" if payload is EMPTY_PAYLOAD else payload.read_nowait()
        return judge(message, bodiless=False), body, message.should_close
    finally:
        loop.close()


def compared(found: PlainAnswer, said: bytes) -> None:
    head, body, closes = parsed(said)
    for name in ("status", "reason", "length", "chunked", "has_body", "is_interim", "ends_with_connection"):
        assert getattr(found.head, name) == getattr(head, name), name
    for name in ("lines", "named", "hops", "fields"):
        assert getattr(found.head.section, name) == getattr(head.section, name), name
    assert (found.body, closes) == (body, False)


def test_a_usual_answer_is_plain_and_read_as_the_parser_reads_it() -> None:
    found = plain_answer(ANSWER)
    assert found is not None
    assert (found.head.status, found.head.length, found.body) == (200, 2, b"hi")
    compared(found, ANSWER)


@given(FIRST, st.lists(LINES, max_size=6), st.sampled_from([b"", b"h", b"hi", b"hi!"]))
def test_whatever_is_plain_the_parser_reads_alike(first: bytes, lines: list[bytes], body: bytes) -> None:
    said = b"\r\n".join([first, b"Content-Length: %d" % len(body), *lines]) + b"\r\n\r\n" + body
    for _ in range(2):  # the second time of what was remembered
        if (found := plain_answer(said)) is not None:
            compared(found, said)


@given(st.integers(0, len(ANSWER)), st.binary(min_size=1, max_size=2))
def test_a_byte_more_anywhere_changes_nothing_that_the_parser_would_not_see(at: int, more: bytes) -> None:
    said = ANSWER[:at] + more + ANSWER[at:]
    for _ in range(2):  # the second time of what was remembered
        if (found := plain_answer(said)) is not None:
            compared(found, said)


@pytest.mark.parametrize(
    "said",
    [
        ANSWER[:-1],
        ANSWER + b"!",
        ANSWER.replace(b"200 OK", b"204 No Content"),
        ANSWER.replace(b"200 OK", b"103 Early Hints"),
        ANSWER.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"),
        ANSWER.replace(b"\r\n\r\n", b"\r\nTransfer-Encoding: chunked\r\n\r\n"),
        ANSWER.replace(b"\r\n\r\n", b"\r\nContent-Length: 2\r\n\r\n"),
        ANSWER.replace(b"content-length: 2\r\n", b""),
    ],
)
def test_what_is_not_whole_or_ends_otherwise_is_the_parsers(said: bytes) -> None:
    assert plain_answer(said) is None


@pytest.mark.parametrize("at", range(ANSWER.index(b"\r\n\r\n") + 1))
def test_one_byte_that_is_not_printable_makes_an_answer_the_parsers(at: int) -> None:
    for byte in (b"\0", b"\t", b"\r", b"\n", b"\x7f", b"\x80", b"\xff"):
        assert plain_answer(ANSWER[:at] + byte + ANSWER[at:]) is None


def test_what_is_nobodys_secret_is_remembered_and_nothing_else() -> None:
    plain._fields.clear()
    plain._heads.clear()
    more = b"\r\nSet-Cookie: a=b\r\nLocation: /a?b\r\nX-Usage-Quantity: 3\r\n\r\n"
    for _ in range(2):
        assert plain_answer(ANSWER.replace(b"\r\n\r\n", more)) is not None
    kept = [b"Content-Type: a/b", b"Date: now", b"Server: a/1", b"X-Usage-Quantity: 3", b"content-length: 2"]
    assert sorted(plain._fields) == kept
    assert not plain._heads


HARMLESS = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nDate: now\r\nServer: a"


def test_a_head_of_harmless_lines_alone_is_remembered_whole_and_read_once() -> None:
    plain._heads.clear()
    first, second = plain_answer(HARMLESS + b"\r\n\r\nhi"), plain_answer(HARMLESS + b"\r\n\r\nho")
    assert first is not None
    assert second is not None
    assert second.head is first.head
    assert (first.body, second.body) == (b"hi", b"ho")
    assert list(plain._heads) == [HARMLESS]


@pytest.mark.parametrize("more", [b"\r\nSet-Cookie: a=b", b"\r\nX-A: b", b"\r\nVary: " + b"a" * 128])
def test_a_head_with_one_line_that_is_not_is_not(more: bytes) -> None:
    plain._heads.clear()
    for _ in range(2):
        assert plain_answer(HARMLESS + more + b"\r\n\r\nhi") is not None
    assert not plain._heads


@pytest.mark.parametrize("said", [HARMLESS, HARMLESS + b"\r\n", HARMLESS + b"\r\n\r\nh", HARMLESS + b"\r\n\r\nhi!"])
def test_what_is_remembered_of_a_head_makes_no_other_message_whole(said: bytes) -> None:
    assert plain_answer(HARMLESS + b"\r\n\r\nhi") is not None
    assert plain_answer(said) is None


def test_memory_of_lines_is_bounded() -> None:
    for number in range(2 * plain._KEPT):
        said = b"HTTP/1.1 200 %d\r\nContent-Length: 0\r\nDate: %d\r\n\r\n" % (number, number)
        assert plain_answer(said) is not None
        assert plain_answer(said.replace(b"\r\n\r\n", b"\r\nX%d: 1\r\n\r\n" % number)) is not None
    for kept in (plain._firsts, plain._fields, plain._kinds, plain._heads):
        assert 0 < len(kept) <= plain._KEPT
