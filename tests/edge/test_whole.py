"""A whole body is taken at once, or read like any stream that has ended."""

import asyncio

from aiohttp.base_protocol import BaseProtocol

from gatewayd.edge.whole import WholeBody


def whole(data: bytes) -> WholeBody:
    return WholeBody(data, BaseProtocol(asyncio.get_running_loop()))


async def test_it_is_taken_once() -> None:
    body = whole(b"hello")
    assert (body.is_eof(), body.at_eof(), body.total_bytes) == (True, False, 5)
    assert (body.take(), body.take(), body.total_bytes) == (b"hello", b"", 5)
    assert body.at_eof()


async def test_it_is_a_stream_to_whoever_reads_it() -> None:
    body = whole(b"hello\nyou")
    assert (await body.readline(), body.total_bytes, body.at_eof()) == (b"hello\n", 9, False)
    assert body.take() == b"you"
    assert (body.at_eof(), await body.read(), await body.readany()) == (True, b"", b"")


async def test_it_can_fail_like_one() -> None:
    body, ended = whole(b"hello"), []
    body.on_eof(lambda: ended.append(1))
    body.set_exception(ValueError())
    assert (ended, isinstance(body.exception(), ValueError)) == ([1], True)
    assert whole(b"x").exception() is None
