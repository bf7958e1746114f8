import asyncio

import pytest

from gatewayd.prove.wire import Head, read_body, read_head


def heard(data: bytes) -> asyncio.StreamReader:
    reader = asyncio.StreamReader()
    reader.feed_data(data)
    reader.feed_eof()
    return reader


def test_a_requests_head_has_a_target_and_an_answers_a_status() -> None:
    assert Head.parsed(b"GET /call?a=1 HTTP/1.1\r\nHost: gateway").target == "/call?a=1"
    assert Head.parsed(b"HTTP/1.1 402 Payment Required\r\nA: 1").status == 402


def test_fields_are_found_in_any_case_and_without_white_space() -> None:
    assert Head.parsed(b"HTTP/1.1 200 OK\r\nX-Request-ID:  abc \r\nRetry-After:1").fields == {
        "x-request-id": "abc",
        "retry-after": "1",
    }


@pytest.mark.parametrize(
    ("head", "body", "whole"),
    [
        pytest.param(b"Content-Length: 4", b"four", b"four", id="sized"),
        pytest.param(b"Content-Length: 4", b"for", None, id="sized, and too short"),
        pytest.param(b"Transfer-Encoding: chunked", b"4\r\nfour\r\n3\r\nand\r\n0\r\n\r\n", b"fourand", id="chunks"),
        pytest.param(b"Transfer-Encoding: chunked", b"4\r\nfour\r\n", None, id="chunks without a last one"),
        pytest.param(b"Transfer-Encoding: chunked", b"4\r\nfo", None, id="half a chunk"),
        pytest.param(b"X: y", b"", b"", id="none"),
    ],
)
async def test_a_body_is_whole_or_visibly_is_not(head: bytes, body: bytes, whole: bytes | None) -> None:
    reader = heard(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n\r\n" + body)
    found = await read_head(reader)
    if whole is not None:
        assert await read_body(reader, found) == whole
        return
    with pytest.raises(EOFError):
        await read_body(reader, found)


async def test_what_is_no_chunk_is_an_error() -> None:
    reader = heard(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nnothing\r\n")
    with pytest.raises(ValueError, match="invalid literal"):
        await read_body(reader, await read_head(reader))
