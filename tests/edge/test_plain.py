"""A request that is read without the parser is read as the parser reads it, or not at all."""

import asyncio
from collections.abc import Iterable
from typing import Any

import pytest
from aiohttp.base_protocol import BaseProtocol
from aiohttp.streams import EMPTY_PAYLOAD
from hypothesis import given
from hypothesis import strategies as st

from gatewayd.edge import plain
from gatewayd.edge.parser import EdgeLimits, new_parser
from gatewayd.edge.plain import PlainRequest, plain_request
from gatewayd.framing import read_head
from gatewayd.plain import LONGEST, LONGEST_MESSAGE, MOST_LINES
from tests.edge.callers import caller
from tests.edge.hostile import CHUNKED, GET, request
from tests.edge.hostile import POST as POST_LINE
from tests.edge.serving import edge

LIMITS = EdgeLimits(5, 75, 64 * 1024, 10)
POST = b"POST /a%20b?c=d HTTP/1.1\r\nHost: x\r\nX-A: b c\r\nContent-Length: 2\r\nConnection: Keep-Alive\r\n\r\nhi"

# Pieces of requests as they are usual, as they are refused, and as they are read in two ways somewhere.
LINES = st.sampled_from(
    [
        b"Host: x",
        b"host: y:80",
        b"X-A: b c",
        b"X-A: b",
        b"x_a: b",
        b"X-A:b",
        b"X-A : b",
        b"X-A: ",
        b"X-A:  b",
        b"X-A: b ",
        b"X-A: b\t",
        b"X-A: \xe4",
        b"X-A: \x00",
        b" folded: b",
        b"no colon",
        b": b",
        b"Content-Length: 2",
        b"Content-Length: 0",
        b"Content-Length: 02",
        b"Content-Length: +2",
        b"Content-Length: 2, 2",
        b"content-length: 2",
        b"Transfer-Encoding: chunked",
        b"Connection: keep-alive",
        b"Connection: close",
        b"Connection: keep-alive, X-A",
        b"Proxy-Connection: close",
        b"Upgrade: websocket",
        b"Expect: 100-continue",
        b"TE: trailers",
        b"Content-Encoding: gzip",
        b"Sec-WebSocket-Key1: 1",
        b"User-Agent: a",
        b"Cookie: a=b",
        b"Authorization: Bearer a",
        b"Authorization: b ",
        b"authorization: Bearer a",
        b"AUTHORIZATION: \xe4",
    ]
)
FIRST = st.sampled_from(
    [
        b"GET / HTTP/1.1",
        b"POST /a%20b?c=d HTTP/1.1",
        b"DELETE /a?b#c?d HTTP/1.1",
        b"PUT /a#b?c HTTP/1.1",
        b"HEAD //a HTTP/1.1",
        b"GET  / HTTP/1.1",
        b"GET / HTTP/1.0",
        b"GET / HTTP/1.2",
        b"get / HTTP/1.1",
        b"OPTIONS * HTTP/1.1",
        b"GET http://x/ HTTP/1.1",
        b"GET a HTTP/1.1",
        b"GET / RTSP/1.0",
        b"\r\nGET / HTTP/1.1",
        b"GET / HTTP/1.1 ",
        b"GET /",
    ]
)


def parsed(said: bytes) -> tuple[Any, bytes | None]:
    """The one message that aiohttp's parser finds in it, and its body if that is whole."""
    loop = asyncio.new_event_loop()
    try:
        ((message, payload),), upgraded, _ = new_parser(BaseProtocol(loop), loop, LIMITS).feed_data(said)
        assert not upgraded
        if payload is EMPTY_PAYLOAD:
            return message, b""
        return message, payload.read_nowait() if payload.is_eof() else None
    finally:
        loop.close()


def compared(found: PlainRequest, said: bytes) -> None:
    message, body = parsed(said)
    for name in ("method", "path", "version", "raw_headers", "should_close", "upgrade", "chunked", "headers", "url"):
        assert getattr(found, name) == getattr(message, name), name
    assert body == (found.rest if len(found.rest) == found.length else None)
    judged = read_head(message.raw_headers, message.version, found.head.size)
    names = ("chunked", "content_length", "expects_continue", "hops", "host", "lines", "named", "size", "upgrade")
    for name in (*names, "proof"):
        assert getattr(found.head, name) == getattr(judged, name), name
    assert found.head.written() == judged.written()


def test_a_usual_request_is_plain_and_read_as_the_parser_reads_it() -> None:
    found = plain_request(POST, LONGEST)
    assert found is not None
    assert (found.method, found.path, found.length, found.rest) == ("POST", "/a%20b?c=d", 2, b"hi")
    compared(found, POST)


@given(FIRST, st.lists(LINES, max_size=6), st.sampled_from([b"", b"h", b"hi"]))
def test_whatever_is_plain_the_parser_reads_alike(first: bytes, lines: list[bytes], body: bytes) -> None:
    said = b"\r\n".join([first, b"Host: x", *lines]) + b"\r\n\r\n" + body
    for _ in range(2):  # the second time of what was remembered
        found = plain_request(said, LONGEST)
        if found is not None and len(found.rest) <= found.length:
            compared(found, said)


@given(st.integers(0, len(POST)), st.binary(min_size=1, max_size=2))
def test_a_byte_more_anywhere_changes_nothing_that_the_parser_would_not_see(at: int, more: bytes) -> None:
    said = POST[:at] + more + POST[at:]
    for _ in range(2):  # the second time of what was remembered
        found = plain_request(said, LONGEST)
        if found is not None and len(found.rest) <= found.length:
            compared(found, said)


@pytest.mark.parametrize(
    "line",
    [
        b"Transfer-Encoding: chunked",
        b"Expect: 100-continue",
        b"Upgrade: websocket",
        b"Connection: close",
        b"Content-Length: 2",
        b"Host: y",
        b"X-A: c",
        b"X-A:b",
        b"X B: c",
    ],
)
def test_what_frames_otherwise_or_comes_twice_is_the_parsers(line: bytes) -> None:
    assert plain_request(POST.replace(b"\r\n\r\n", b"\r\n" + line + b"\r\n\r\n"), LONGEST) is None


@pytest.mark.parametrize("at", range(POST.index(b"\r\n\r\n") + 1))
def test_one_byte_that_is_not_printable_makes_a_head_the_parsers(at: int) -> None:
    for byte in (b"\0", b"\t", b"\r", b"\n", b"\x7f", b"\x80", b"\xff"):
        assert plain_request(POST[:at] + byte + POST[at:], LONGEST) is None


def test_what_is_nobodys_secret_is_remembered_and_nothing_else() -> None:
    kept = plain._fields
    kept.clear()
    more = b"\r\nAuthorization: Bearer a.b.c\r\nCookie: a=b\r\nX-Api-Key: k\r\nUser-Agent: " + b"a" * 200 + b"\r\n\r\n"
    for _ in range(2):
        assert plain_request(POST.replace(b"\r\n\r\n", more), LONGEST) is not None
    assert sorted(kept) == [b"Connection: Keep-Alive", b"Content-Length: 2", b"Host: x"]


PROVING = b"GET / HTTP/1.1\r\nHost: x\r\n%b: Bearer %b\r\nAccept: */*\r\n\r\n"


@pytest.mark.parametrize("name", [b"Authorization", b"authorization"])
def test_requests_that_differ_in_their_token_alone_are_read_once_and_no_token_is_remembered(name: bytes) -> None:
    plain._sections.clear()
    plain._firsts.clear()
    plain._fields.clear()
    for token in (b"a.b.c", b"d.e.f"):
        said = PROVING % (name, token)
        found = plain_request(said, LONGEST)
        assert found is not None
        assert found.head.proof == b"Bearer " + token
        compared(found, said)
    assert list(plain._sections) == [b"Host: x\r\nAccept: */*"]
    assert list(plain._firsts) == [b"GET / HTTP/1.1"]
    assert sorted(plain._fields) == [b"Accept: */*", b"Host: x"]


@pytest.mark.parametrize(
    "said",
    [
        b"GET / HTTP/1.1\r\nAuthorization: Bearer a\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nAccept: */*\r\n\r\n",
    ],
)
def test_a_token_is_read_wherever_it_stands_and_none_where_there_is_none(said: bytes) -> None:
    assert plain_request(PROVING % (b"Authorization", b"z"), LONGEST) is not None
    for _ in range(2):
        found = plain_request(said, LONGEST)
        assert found is not None
        compared(found, said)


@pytest.mark.parametrize(
    "token",
    [b"a\r\nAuthorization: b", b"a\r\nauthorization: b", b"a\r\nAUTHORIZATION: b", b"a\x00", b"a ", b" a", b"\xe4"],
)
def test_a_second_token_or_one_that_is_not_printable_is_the_parsers(token: bytes) -> None:
    for name in (b"Authorization", b"authorization"):
        for _ in range(2):
            assert plain_request(PROVING % (name, b"a"), LONGEST) is not None
            assert plain_request(PROVING.replace(b"Bearer ", b"") % (name, token), LONGEST) is None


@pytest.mark.parametrize("line", [b"Cookie: a=b", b"X-A: b", b"AUTHORIZATION: a", b"User-Agent: " + b"a" * 128])
def test_a_section_with_one_line_that_may_be_a_secret_is_not_remembered(line: bytes) -> None:
    plain._sections.clear()
    for _ in range(2):
        assert plain_request(POST.replace(b"X-A: b c", line), LONGEST) is not None
    assert not plain._sections


def test_a_head_that_goes_on_with_other_lines_changes_none_that_is_remembered() -> None:
    said = POST.replace(b"X-A: b c", b"Accept: */*")
    first, second = plain_request(said, LONGEST), plain_request(said, LONGEST)
    assert first is not None
    assert second is not None
    first.head.copy([*first.head.lines, b"tracestate: a"])
    assert first.head.written() == b"Accept: */*\r\ntracestate: a\r\nContent-Length: 2\r\n"
    assert second.head.written() == b"Accept: */*\r\nContent-Length: 2\r\n"
    compared(second, said)


@pytest.mark.parametrize(
    "said",
    [
        POST.partition(b"\r\n\r\n")[0],
        POST.partition(b"\r\n\r\n")[0] + b"\r\n",
        b"",
        POST.replace(b"X-A: b c", b"X-A: " + b"b" * LONGEST),
        POST.replace(b"X-A: b c", b"\r\n".join([b"X-%d: b" % number for number in range(MOST_LINES)])),
        POST + b"z" * LONGEST_MESSAGE,
    ],
)
def test_what_is_not_whole_or_not_small_is_the_parsers(said: bytes) -> None:
    assert plain_request(said, LONGEST) is None


def test_a_head_may_be_as_long_as_it_is_said() -> None:
    size = POST.index(b"\r\n\r\n")
    assert plain_request(POST, size) is not None
    assert plain_request(POST, size - 1) is None


def test_memory_of_lines_is_bounded() -> None:
    for number in range(2 * plain._KEPT):
        said = b"GET /%d HTTP/1.1\r\nHost: h%d\r\n\r\n" % (number, number)
        assert plain_request(said, LONGEST) is not None
        assert plain_request(said[:-2] + b"X%d: 1\r\n\r\n" % number, LONGEST) is not None
    for kept in (plain._firsts, plain._fields, plain._names, plain._sections):
        assert 0 < len(kept) <= plain._KEPT


def test_a_request_without_a_host_is_the_parsers() -> None:
    assert plain_request(b"GET / HTTP/1.1\r\nX-A: b\r\n\r\n", LONGEST) is None


# On a connection, between requests of the parser's

ROW = (
    request(POST_LINE, b"Content-Length: 2", body=b"hi"),
    request(),
    request(POST_LINE, b"Content-Length:3", body=b"\r\n\r"),
    request(POST_LINE, b"Content-Length: 4", body=b"\r\n\r\n"),
    request(GET, b"X-A: b", b"X-A: c"),
    request(POST_LINE, b"Content-Length: 2", body=b"hi"),
)
BODIES = [b"hi", b"", b"\r\n\r", b"\r\n\r\n", b"", b"hi"]


async def taken(pieces: Iterable[bytes], count: int = len(ROW)) -> list[bytes | None]:
    """The bodies of the requests that come in these pieces."""
    async with edge() as running, caller(running.port) as sender:
        async with asyncio.timeout(5):
            while not running.connections:
                await asyncio.sleep(0)
        (connection,) = running.connections
        for piece in pieces:
            connection.data_received(piece)
            for _ in range(10):
                await asyncio.sleep(0)
        await sender.hear(b"\r\n\r\nok", count)
        return [body for _, _, body in running.asked]


@pytest.mark.parametrize("size", [1, 2, 7, 40, 41, 42, 43, 60, 61, 62, 90, 128, 1000])
async def test_requests_cut_anywhere_are_those_that_were_sent(size: int) -> None:
    said = b"".join(ROW)
    assert await taken(said[at : at + size] for at in range(0, len(said), size)) == BODIES


@pytest.mark.parametrize("at", range(0, len(ROW[0]) + len(ROW[1]), 5))
async def test_two_pieces_of_a_row_are_its_requests_wherever_it_is_cut(at: int) -> None:
    said = b"".join(ROW)
    assert await taken([said[:at], said[at:]]) == BODIES


async def test_the_parser_and_who_goes_without_it_take_turns() -> None:
    chunked = request(POST_LINE, CHUNKED, body=b"2\r\nhi\r\n0\r\n\r\n")
    pieces = [ROW[0], chunked, ROW[1], ROW[0][:-1], b"i", ROW[0], chunked, ROW[0]]
    assert await taken(pieces, 7) == [b"hi", b"hi", b"", b"hi", b"hi", b"hi", b"hi"]


async def test_what_comes_whole_is_kept_from_the_parser_until_something_else_comes() -> None:
    parsed_by_aiohttp: list[bytes] = []

    class Parser:
        def feed_data(self, data: bytes) -> tuple[Any, bool, bytes]:
            parsed_by_aiohttp.append(data)
            return (), False, b""

        def message_consumed(self) -> None:
            raise AssertionError("it gave no message")

    async with edge() as running, caller(running.port) as sender:
        sender.writer.write(ROW[0])
        await sender.hear(b"ok")
        running.connections[0]._parser = Parser()  # type: ignore[assignment]
        for number, said in enumerate((ROW[0], ROW[1], ROW[3]), 2):
            sender.writer.write(said)
            await sender.hear(b"\r\n\r\nok", number)
        assert not any(parsed_by_aiohttp)  # it is asked to go on, with nothing, behind a body
        running.connections[0].data_received(ROW[4])
        assert parsed_by_aiohttp[-1] == ROW[4]
