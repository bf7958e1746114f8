"""A call on one connection; and, first, what it takes of aiohttp, so that an upgrade that moves it is noticed here."""

import asyncio
import inspect

import pytest
from aiohttp import BaseConnector, ClientRequest, ClientTimeout
from aiohttp.base_protocol import BaseProtocol
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from aiohttp.http import HttpResponseParser, RawResponseMessage
from aiohttp.streams import EMPTY_PAYLOAD, DataQueue, StreamReader
from yarl import URL

from gatewayd import sent
from gatewayd.errors import BodyTooLarge, UpstreamProtocol, UpstreamReset, UpstreamTimeout
from gatewayd.proxy.call import Call, StaleConnectionError
from gatewayd.proxy.connector import AgentConnector
from gatewayd.proxy.upstream import Upstream
from tests.agents import Script, answering, raw_agent
from tests.patience import PATIENCE, when
from tests.proxy.upstreams import ASK, ask, upstream_at
from tests.proxy.wire import OK, at_first, beat, saying

# ------------------------------------------------------------------ the contract with aiohttp


def parameters(function: object) -> list[str]:
    return list(inspect.signature(function).parameters)  # type: ignore[arg-type]


def test_the_pool_is_asked_as_it_expects() -> None:
    assert parameters(BaseConnector.connect) == ["self", "req", "traces", "timeout"]
    assert inspect.iscoroutinefunction(BaseConnector.connect)


def test_the_parser_is_set_up_as_it_expects() -> None:
    used = {
        "skip_payload",
        "read_until_eof",
        "auto_decompress",
        "read_timeout",
        "read_bufsize",
        "max_line_size",
        "max_field_size",
        "max_headers",
    }
    assert used <= set(parameters(ResponseHandler.set_response_params))
    assert parameters(ResponseHandler.set_parser)[:3] == ["self", "parser", "payload"]
    assert parameters(DataQueue.read) == ["self"]
    assert callable(ResponseHandler.force_close)
    assert issubclass(ResponseHandler, DataQueue)
    assert issubclass(ResponseHandler, BaseProtocol)


def test_the_parser_is_the_one_in_c() -> None:
    """The other reads some heads in another way, and `judge` was not tried against it."""
    assert HttpResponseParser.__module__ == "aiohttp._http_parser"


def test_a_parsed_head_has_what_is_read_of_it() -> None:
    for name in ("version", "code", "reason", "raw_headers"):
        assert hasattr(RawResponseMessage, name), name


def test_a_stream_has_what_is_asked_of_it() -> None:
    for name in ("is_eof", "at_eof", "exception", "set_exception", "on_eof", "read_nowait", "readany", "_read_nowait"):
        assert callable(getattr(StreamReader, name)), name
    assert (EMPTY_PAYLOAD.is_eof(), EMPTY_PAYLOAD.at_eof(), EMPTY_PAYLOAD.read_nowait()) == (True, True, b"")
    assert EMPTY_PAYLOAD.exception() is None


async def test_a_fresh_protocol_can_be_told_from_a_used_one() -> None:
    protocol = ResponseHandler(asyncio.get_running_loop())
    timeouts = [protocol.read_timeout]
    assert not protocol.should_close
    protocol.set_response_params(read_timeout=0.0)
    timeouts.append(protocol.read_timeout)
    assert timeouts == [None, 0.0]
    for name in ("connected", "writing_paused", "closed", "transport"):
        assert hasattr(protocol, name), name
    error = ValueError()
    protocol.set_exception(error)
    assert protocol.exception() is error
    assert protocol.should_close


async def test_a_connection_can_be_had_kept_and_closed() -> None:
    async with raw_agent(answering(OK)) as agent, AgentConnector(keepalive_timeout=15.0) as connector:
        dial = ClientRequest("GET", URL(f"http://127.0.0.1:{agent.port}"), loop=asyncio.get_running_loop())
        connection = await connector.connect(dial, [], ClientTimeout())
        assert isinstance(connection, Connection)
        protocol = connection.protocol
        assert isinstance(protocol, ResponseHandler)
        connection.release()
        again = await connector.connect(dial, [], ClientTimeout())
        assert again.protocol is protocol
        again.close()
        assert protocol.transport is None


async def test_a_connection_that_is_lost_tells_a_reset_from_an_end() -> None:
    said = b"HTTP/1.1 200 OK\r\n\r\n"
    for script, was_reset in ((saying(said, then="close"), False), (saying(said, then="reset"), True)):
        async with raw_agent(script) as agent, upstream_at(agent.port) as upstream:
            call, _ = await ask(upstream)
            for _ in range(5):
                await beat()
            assert isinstance(call.protocol.exception(), OSError) is was_reset
            call.abort()


# ------------------------------------------------------------------ a call


async def test_a_connection_is_used_again_after_a_whole_answer() -> None:
    async with raw_agent(answering(OK)) as agent, upstream_at(agent.port) as upstream:
        for _ in range(3):
            call, head = await ask(upstream)
            assert call.body is not None
            assert (head.status, call.body.take(), call.is_complete) == (200, b"ok", True)
            call.release()
    assert len(agent.received) == 1


async def test_a_connection_that_was_not_used_goes_back() -> None:
    async with raw_agent(answering(OK)) as agent, upstream_at(agent.port) as upstream:
        call = await upstream.connect(5)
        call.release()
        again, _ = await ask(upstream)
        assert again.protocol is call.protocol
        again.abort()


async def test_who_calls_counts_as_a_speaker_until_the_call_is_ended_either_way() -> None:
    async with raw_agent(answering(OK)) as agent, upstream_at(agent.port) as upstream:
        outbox, speakers = upstream._connector._outbox, []
        for end in (Call.release, Call.abort):
            calls = [await upstream.connect(5) for _ in range(2)]
            speakers.append(outbox.speakers)
            for each in calls:
                end(each)
            speakers.append(outbox.speakers)
    assert speakers == [2, 0, 2, 0]


async def test_a_connection_on_which_the_agent_spoke_unasked_is_not_used_again() -> None:
    async with raw_agent(at_first(saying(OK + OK, then="stay"))) as agent, upstream_at(agent.port) as upstream:
        call, _ = await ask(upstream)
        assert call.body is not None
        call.body.take()
        call.protocol.awaited.is_quiet = True
        assert call._idle.keep(call.protocol.awaited)
        call.protocol.awaited.is_quiet = False  # as if the second answer had come after the release
        again, head = await ask(upstream)
        assert (head.status, again.protocol is call.protocol) == (200, False)
        again.abort()


async def test_a_call_that_was_aborted_is_seen_by_the_agent_at_once() -> None:
    async with raw_agent(saying(OK)) as agent, upstream_at(agent.port) as upstream:
        call, _ = await ask(upstream)
        call.abort()
        await asyncio.wait_for(agent.closed.wait(), PATIENCE)


def reading_no_further_until(goes_on: asyncio.Event) -> Script:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK)
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        await goes_on.wait()

    return script


async def filled(upstream: Upstream) -> tuple[Call, asyncio.Transport]:
    """A call with more written than its agent takes."""
    call, _ = await ask(upstream)
    assert call.body is not None
    call.body.take()
    transport = call.protocol.transport
    assert transport is not None
    call.send(b"x" * 50_000_000)
    return call, transport


async def test_what_was_written_to_an_agent_is_forgotten_when_the_call_is_aborted() -> None:
    goes_on = asyncio.Event()
    async with raw_agent(reading_no_further_until(goes_on)) as agent, upstream_at(agent.port) as upstream:
        call, transport = await filled(upstream)
        call.abort()
        await beat()
        assert transport.get_write_buffer_size() == 0
        goes_on.set()
        await agent.closed.wait()


async def test_an_agent_that_does_not_take_what_was_written_is_not_waited_for_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sent, "_LINGER", 0.05)
    goes_on = asyncio.Event()
    async with raw_agent(reading_no_further_until(goes_on)) as agent, upstream_at(agent.port) as upstream:
        call, transport = await filled(upstream)
        closed = call.protocol.closed
        assert closed is not None
        call.protocol.force_close()
        call.release()
        assert transport.get_write_buffer_size()
        await asyncio.wait_for(closed, PATIENCE)
        goes_on.set()
        await agent.closed.wait()


async def test_an_answer_that_is_late_times_out() -> None:
    async with raw_agent(saying()) as agent, upstream_at(agent.port) as upstream:
        call = await upstream.connect(5)
        call.expect(bodiless=False)
        call.send(ASK)
        call.start_clock(0.02)
        with pytest.raises(UpstreamTimeout):
            await call.answer()
        call.abort()


async def test_a_shorter_patience_counts_although_the_connection_has_a_timer_for_a_longer_one() -> None:
    async with raw_agent(saying(OK)) as agent, upstream_at(agent.port) as upstream:
        call, _ = await ask(upstream)
        awaited = call.protocol.awaited
        awaited.within(30)
        awaited.in_time()
        awaited.within(0.02)
        await when(lambda: isinstance(call.protocol.exception(), UpstreamTimeout))
        assert not awaited.is_watched, "nobody is waited for"
        awaited.within(30)
        closed = call.protocol.closed
        assert closed is not None
        call.abort()
        await asyncio.wait({closed}, timeout=PATIENCE)
        assert not awaited.is_watched, "a closed connection keeps no timer"


async def test_each_interim_head_starts_the_clock_anew() -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        leaving = asyncio.create_task(reader.read())
        for _ in range(4):
            await asyncio.wait({leaving}, timeout=0.1)
            writer.write(b"HTTP/1.1 102 Processing\r\n\r\n")
        writer.write(OK)
        await leaving

    async with raw_agent(script) as agent, upstream_at(agent.port) as upstream:
        call = await upstream.connect(5)
        call.expect(bodiless=False)
        call.send(ASK)
        call.start_clock(0.3)
        heads = [await call.answer() for _ in range(5)]
        assert [head.status for head in heads] == [102, 102, 102, 102, 200]
        assert not call.protocol.awaited.is_timed
        call.start_clock(0.01)  # an upload that ends only now
        assert not call.protocol.awaited.is_timed
        call.abort()


async def test_whoever_waits_for_an_answer_is_told_that_the_call_failed() -> None:
    async with raw_agent(saying()) as agent, upstream_at(agent.port) as upstream:
        call = await upstream.connect(5)
        call.expect(bodiless=False)
        call.send(ASK)
        waiting = asyncio.create_task(call.answer())
        await beat()
        call.fail(BodyTooLarge())
        with pytest.raises(BodyTooLarge):
            await waiting
        call.abort()


async def test_an_answer_that_has_come_wins_over_a_failure_that_comes_later() -> None:
    async with raw_agent(answering(OK)) as agent, upstream_at(agent.port) as upstream:
        call = await upstream.connect(5)
        call.expect(bodiless=False)
        call.send(ASK)
        while call.protocol.awaited.answer is None:
            await beat()
        call.fail(BodyTooLarge())
        assert (await call.answer()).status == 200
        assert call.body is not None
        assert call.body.take() == b"ok"
        call.abort()


async def test_writing_to_a_connection_that_is_gone_is_stale_if_it_was_pooled() -> None:
    async with raw_agent(answering(OK)) as agent, upstream_at(agent.port) as upstream:
        call, _ = await ask(upstream)
        assert call.body is not None
        call.body.take()
        call.release()
        again = await upstream.connect(5)
        again.protocol.close()
        with pytest.raises(StaleConnectionError):
            again.send(ASK)
        again.abort()
        fresh = await upstream.connect(5)
        fresh.protocol.close()
        with pytest.raises(UpstreamReset):
            fresh.send(ASK)
        with pytest.raises(UpstreamReset):
            await fresh.answer()
        fresh.abort()


async def test_waiting_for_room_on_a_lost_connection_is_a_reset() -> None:
    async with raw_agent(saying(then="close")) as agent, upstream_at(agent.port) as upstream:
        call = await upstream.connect(5)
        await call.drain()  # there is room
        call.protocol.pause_writing()
        draining = asyncio.create_task(call.drain())
        await beat()
        call.protocol.connection_lost(ConnectionResetError())
        with pytest.raises(UpstreamReset):
            await draining
        call.abort()


@pytest.mark.parametrize("count", [16, 17])
async def test_interim_heads_are_bounded(count: int) -> None:
    flood = b"HTTP/1.1 103 Early Hints\r\n\r\n" * count
    async with raw_agent(saying(flood + OK)) as agent, upstream_at(agent.port) as upstream:
        call, head = await ask(upstream)
        for _ in range(15):
            assert head.is_interim
            head = await call.answer()
        assert head.is_interim
        if count == 16:
            assert (await call.answer()).status == 200
        else:
            with pytest.raises(UpstreamProtocol):
                await call.answer()
        call.abort()
