import asyncio
from collections.abc import Sequence

import pytest
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http import HttpRequestParser, RawRequestMessage
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.http_parser import HttpRequestParserPy
from aiohttp.web_protocol import _MsgType

from gatewayd.edge import parser as module
from gatewayd.edge.parser import (
    EdgeLimits,
    RefusedHead,
    last_of_connection,
    new_parser,
    refusal_for,
    require_c_parser,
    speaks_http,
)
from gatewayd.errors import Overloaded, StartError
from tests.edge.hostile import CHUNKED, GET, POST, request

LIMITS = EdgeLimits(header_timeout=1, keepalive_timeout=1, max_header_bytes=4096, max_connections=1)


async def parsed(data: bytes, limits: EdgeLimits = LIMITS) -> Sequence[_MsgType]:
    loop = asyncio.get_running_loop()
    messages, _, _ = new_parser(BaseProtocol(loop), loop, limits).feed_data(data)
    return messages


@pytest.mark.parametrize(
    ("data", "status"),
    [
        pytest.param(b"garbage\r\n\r\n", 400, id="garbage"),
        pytest.param(request(GET, b"X : a"), 400, id="a bad field"),
        pytest.param(request(POST, CHUNKED, body=b"zz\r\n"), 400, id="a bad chunk"),
        pytest.param(request(host=b""), 400, id="no host"),
        pytest.param(request(GET, b"Content-Length: 1", b"Content-Length: 1"), 400, id="two lengths"),
        pytest.param(request(b"GET http:/// HTTP/1.1"), 400, id="a bad URL"),
        pytest.param(request(b"GET /" + b"a" * 4080 + b" HTTP/1.1"), 414, id="a long target"),
        pytest.param(request(GET, b"X: " + b"a" * 4098), 431, id="a long value"),
        pytest.param(request(GET, b"X" * 4098 + b": a"), 431, id="a long name"),
        pytest.param(request(GET, *[b"A:"] * 1024), 431, id="many fields"),
        pytest.param(request(b"GET / HTTP/1.2"), 505, id="another version"),
        pytest.param(request(b"GET / HTTP/3.0"), 505, id="a version to come"),
        pytest.param(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, id="the preface of HTTP/2"),
        pytest.param(request(b"GET / HTTP/1.1 x"), 400, id="more than a version"),
    ],
)
async def test_every_error_of_the_parser_has_its_refusal(data: bytes, status: int) -> None:
    with pytest.raises(HttpProcessingError) as raised:
        await parsed(data)
    refusal = refusal_for(raised.value, LIMITS)
    assert refusal is not None
    assert (refusal.status, refusal.closes) == (status, True)


@pytest.mark.parametrize("size", [1024, 16 * 1024 - 2, 16 * 1024 - 1, 16 * 1024, 32 * 1024, 1024 * 1024])
async def test_a_target_and_a_field_too_long_are_told_apart_at_every_limit(size: int) -> None:
    limits = EdgeLimits(header_timeout=1, keepalive_timeout=1, max_header_bytes=size, max_connections=1)
    for data, status in (
        (request(b"GET /" + b"a" * limits.max_target + b" HTTP/1.1"), 414),
        (request(GET, b"X: " + b"a" * (size + 2)), 431),
    ):
        with pytest.raises(HttpProcessingError) as raised:
            await parsed(data, limits)
        refusal = refusal_for(raised.value, limits)
        assert refusal is not None
        assert refusal.status == status
    assert len(await parsed(request(b"GET /" + b"a" * (limits.max_target - 1) + b" HTTP/1.1"), limits)) == 1


def test_our_own_refusal_comes_back_as_it_was() -> None:
    refusal = Overloaded("full")
    assert refusal_for(RefusedHead(refusal), LIMITS) is refusal


@pytest.mark.parametrize("error", [None, ValueError("x"), TimeoutError()])
def test_what_is_no_error_of_the_parser_is_nobodys_bad_request(error: BaseException | None) -> None:
    assert refusal_for(error, LIMITS) is None


@pytest.mark.parametrize(
    ("said", "is_http"),
    [
        pytest.param(b"GET /x HTTP/1.1\r\n\r\n", True, id="HTTP"),
        pytest.param(b"GET /x RTSP/1.1\r\n\r\n", False, id="RTSP"),
        pytest.param(b"GET /x ICE/1.0\r\n\r\n", False, id="ICE"),
        pytest.param(b"GET  /x   RTSP/1.0\r\n\r\n", False, id="more spaces"),
        pytest.param(b"GET /y HTTP/1.1\r\n\r\nGET /x RTSP/1.0\r\n\r\n", False, id="behind another request"),
        pytest.param(b"GET /x HTTP/1.1\r\nUser-Agent: RTSP/1.0 RTSP/1.0\r\n\r\n", True, id="in a field"),
        pytest.param(b"GET /x HTTP/1.1\r\nX: GET /x RTSP/1.0\r\n\r\n", True, id="a line in a field"),
        pytest.param(b"GET /y RTSP/1.0\r\n", True, id="another request"),
        pytest.param(b"", True, id="nothing known"),
    ],
)
def test_a_request_of_another_protocol_is_known_by_its_line(said: bytes, is_http: bool) -> None:
    assert speaks_http(said, "GET", "/x") is is_http


async def test_the_parser_still_takes_another_protocol_for_http() -> None:
    """When this fails, llhttp has mended it, and speaks_http can go."""
    assert len(await parsed(request(b"GET /x RTSP/1.1"))) == 1


async def test_the_last_request_of_a_connection_differs_in_nothing_else() -> None:
    ((message, _),) = await parsed(request(POST, CHUNKED, b"X: a", body=b"0\r\n\r\n"))
    assert isinstance(message, RawRequestMessage)
    before, after = repr(message), repr(last_of_connection(message))
    assert "should_close=False" in before
    assert after == before.replace("should_close=False", "should_close=True")


async def test_a_trailer_still_lands_in_the_next_head_so_the_edge_must_still_prevent_it() -> None:
    """When this fails, aiohttp has mended it, and EdgeConnection._end_chunks can go."""
    trailed = request(POST, CHUNKED, body=b"0\r\nX-Evil: 1\r\n\r\n")
    _, (message, _) = await parsed(trailed + request(b"GET /next HTTP/1.1"))
    assert isinstance(message, RawRequestMessage)
    assert (b"X-Evil", b"1") in message.raw_headers


def test_the_parser_in_use_is_the_one_in_c() -> None:
    require_c_parser()
    assert HttpRequestParser is not HttpRequestParserPy


def test_nothing_starts_on_the_parser_in_python(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "HttpRequestParser", HttpRequestParserPy)
    with pytest.raises(StartError, match="AIOHTTP_NO_EXTENSIONS"):
        require_c_parser()
