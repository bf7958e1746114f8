"""A body gives out what came and then says how it ended, whichever of aiohttp's parts noticed it first."""

import asyncio
import gc
import logging

import pytest

from gatewayd.errors import BodyTooLarge, Refusal, UpstreamProtocol, UpstreamReset, UpstreamTimeout
from gatewayd.proxy.body import Body
from gatewayd.proxy.whole import Whole
from tests.agents import answering, raw_agent
from tests.pauses import skip
from tests.proxy.upstreams import ask, upstream_at
from tests.proxy.wire import OK, beat, chunked, saying

HEAD = b"HTTP/1.1 200 OK\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
SIZED = HEAD + b"Content-Length: 10\r\n\r\n"


async def all_of(body: Body | Whole, idle: float = 5) -> tuple[bytes, type[Exception] | None]:
    """What was read, and what ended it if that was not the end."""
    read = b""
    try:
        while piece := await body.read(idle):
            read += piece
    except Refusal as refusal:
        return read, type(refusal)
    return read, None


@pytest.mark.parametrize("patient", [True, False], ids=["read as it comes", "read when all is over"])
@pytest.mark.parametrize(
    ("parts", "then", "body", "end"),
    [
        pytest.param([SIZED, b"0123456789"], "stay", b"0123456789", None, id="sized"),
        pytest.param([SIZED, b"0123456789"], "reset", b"0123456789", None, id="sized, reset after its end"),
        pytest.param([CHUNKED, chunked(b"one", b"two")], "stay", b"onetwo", None, id="chunked"),
        pytest.param([CHUNKED, chunked(b"one")], "reset", b"one", None, id="chunked, reset after its end"),
        pytest.param([HEAD + b"\r\n", b"one"], "close", b"one", None, id="until the end"),
        pytest.param([HEAD + b"\r\n", b"one"], "reset", b"one", UpstreamReset, id="until the end, reset"),
        pytest.param([SIZED, b"one"], "close", b"one", UpstreamReset, id="sized, cut short"),
        pytest.param([SIZED, b"one"], "reset", b"one", UpstreamReset, id="sized, reset"),
        pytest.param([CHUNKED, b"3\r\none\r\n"], "close", b"one", UpstreamReset, id="chunked, cut short"),
        pytest.param([CHUNKED, b"3\r\none\r\n", b"zz\r\n"], "stay", b"one", UpstreamProtocol, id="chunked, garbled"),
        pytest.param(
            [CHUNKED, b"3\r\none\r\n", b"zz\r\n"], "reset", b"one", UpstreamProtocol, id="garbled, then reset"
        ),
    ],
)
async def test_a_body_ends_whole_or_says_why_not(
    parts: list[bytes], then: str, body: bytes, end: type[Exception] | None, patient: bool
) -> None:
    async with raw_agent(saying(*parts, then=then)) as agent, upstream_at(agent.port) as upstream:  # type: ignore[arg-type]
        call, _ = await ask(upstream)
        assert call.body is not None
        if not patient:
            for _ in range(5):
                await beat()
            assert call.body.is_whole == (end is None)
        assert await all_of(call.body) == (body, end)
        assert call.is_complete == (end is None)
        call.abort()


async def test_a_body_that_stops_coming_is_late() -> None:
    async with raw_agent(saying(SIZED, b"one")) as agent, upstream_at(agent.port) as upstream:
        call, _ = await ask(upstream)
        assert call.body is not None
        assert await call.body.read(30) == b"one"
        asyncio.get_running_loop().call_soon(skip, 31)
        assert await all_of(call.body, idle=30) == (b"", UpstreamTimeout)
        call.abort()


async def test_what_came_while_the_gateway_stood_still_is_no_silence() -> None:
    async with raw_agent(saying(SIZED)) as agent, upstream_at(agent.port) as upstream:
        call, _ = await ask(upstream)
        assert call.body is not None
        for piece in (b"one", b"two"):
            reading = asyncio.create_task(call.body.read(30))
            await beat()
            asyncio.get_running_loop().call_soon(call.protocol.data_received, piece)
            skip(31)
            assert await reading == piece
        call.abort()


async def test_whoever_waits_for_a_body_is_told_that_it_failed() -> None:
    async with raw_agent(saying(SIZED)) as agent, upstream_at(agent.port) as upstream:
        call, _ = await ask(upstream)
        assert call.body is not None
        reading = asyncio.create_task(call.body.read(0))
        await beat()
        call.fail(BodyTooLarge())
        with pytest.raises(BodyTooLarge):
            await reading
        with pytest.raises(BodyTooLarge):
            await call.body.read(0)
        call.abort()


async def test_a_body_may_be_waited_for_without_a_bound() -> None:
    async with raw_agent(saying(SIZED, b"0123456789")) as agent, upstream_at(agent.port) as upstream:
        call, _ = await ask(upstream)
        assert call.body is not None
        assert await all_of(call.body, idle=0) == (b"0123456789", None)
        call.abort()


async def test_a_pool_that_stops_waiting_for_a_connection_to_close_is_no_news() -> None:
    async with raw_agent(saying(SIZED)) as agent, upstream_at(agent.port) as upstream:
        call, _ = await ask(upstream)
        assert call.body is not None
        closed = call.protocol.closed
        assert closed is not None
        closed.cancel()
        await beat()
        with pytest.raises(UpstreamReset):
            await call.body.read(0)
        call.abort()


async def test_a_body_that_is_all_here_cannot_fail_any_more() -> None:
    async with raw_agent(answering(OK)) as agent, upstream_at(agent.port) as upstream:
        call, _ = await ask(upstream)
        assert call.body is not None
        call.fail(BodyTooLarge())
        assert call.body.take() == b"ok"
        call.abort()


async def test_a_connection_that_serves_many_bodies_is_watched_for_one_at_a_time(
    caplog: pytest.LogCaptureFixture,
) -> None:
    goes_on = asyncio.Event()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(50):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(CHUNKED)
            await beat()
            writer.write(chunked(b"one"))
        await goes_on.wait()
        writer.transport.abort()

    async with raw_agent(script) as agent, upstream_at(agent.port) as upstream:
        for _ in range(50):
            call, _ = await ask(upstream)
            assert call.body is not None
            assert await all_of(call.body) == (b"one", None)
            protocol = call.protocol
            call.release()
        closed = protocol.closed
        assert closed is not None
        assert len(closed._callbacks or ()) == 1
        closed.set_exception(ConnectionError("reset while idle"))  # what aiohttp would say of it
        del closed
        protocol._closed = None
        del protocol, call
        await beat()
        gc.collect()
        goes_on.set()
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]
