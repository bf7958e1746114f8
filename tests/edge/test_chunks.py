"""What is kept of chunked bodies while they are heard and read."""

import asyncio

import pytest
from aiohttp.base_protocol import BaseProtocol
from aiohttp.streams import StreamReader

from gatewayd.edge.chunks import Chunks
from gatewayd.errors import BadRequest


@pytest.fixture
async def body() -> StreamReader:
    loop = asyncio.get_running_loop()
    return StreamReader(BaseProtocol(loop), 2**16, loop=loop)


def test_chunks_may_take_so_much_beside_what_is_in_them_and_each_body_begins_anew() -> None:
    chunks = Chunks()
    assert chunks.count(64 * 1024 + 16 * 10, 10)
    assert not chunks.count(1, 10)
    chunks.begin()
    assert chunks.count(64 * 1024, 0)


async def test_the_trailers_of_a_body_are_known_at_its_end_however_they_came(body: StreamReader) -> None:
    chunks = Chunks()
    for byte in b"2\r\nhi\r\n0\r\nX-A: b\r\n\r\n":
        chunks.hear(bytes([byte]))
    assert chunks.trailers_of(body) == []
    assert chunks.end(body)
    assert chunks.trailers_of(body) == [(b"X-A", b"b")]


async def test_what_came_behind_a_body_is_told(body: StreamReader) -> None:
    chunks = Chunks()
    chunks.hear(b"2\r\nhi\r\n0\r\n\r\nGET /")
    assert not chunks.end(body)
    chunks.hear(b"0\r\n\r\n")
    assert chunks.end(body)


async def test_whoever_reads_a_body_hears_of_trailers_that_cannot_be_read(body: StreamReader) -> None:
    chunks = Chunks()
    chunks.hear(b"0\r\nno field\r\n\r\n")
    assert chunks.end(body)
    assert isinstance(body.exception(), BadRequest)
    assert chunks.trailers_of(body) == []
