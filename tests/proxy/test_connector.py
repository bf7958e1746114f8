"""Connections to agents are aiohttp's and remember the end of an answer: no more of it, and no longer, than needed."""

import asyncio
import socket
from functools import partial
from types import SimpleNamespace
from typing import cast

import pytest
from aiohttp import ClientSession, TCPConnector
from aiohttp.client_proto import ResponseHandler

from gatewayd.errors import UpstreamConnect
from gatewayd.proxy.call import Call
from gatewayd.proxy.connector import AgentConnector, AgentProtocol
from gatewayd.proxy.upstream import Upstream
from tests.agents import answering, raw_agent
from tests.patience import PATIENCE
from tests.proxy.upstreams import ask, upstream_at
from tests.proxy.wire import OK, beat, saying

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
TRAILED = CHUNKED + b"2\r\nok\r\n0\r\nX-Sum: 1\r\nX-More: 2\r\n\r\n"


async def taken(call: Call) -> bytes:
    assert call.body is not None
    body = b""
    while piece := await call.body.read(5):
        body += piece
    return body


async def test_a_pool_makes_connections_of_ours() -> None:
    """aiohttp's own makes them with `_factory`, which this holds on to."""
    async with AgentConnector(limit=0, keepalive_timeout=15.0) as connector, TCPConnector() as plain:
        assert type(connector._factory()) is AgentProtocol
        assert type(plain._factory()) is ResponseHandler
        assert isinstance(connector._factory, partial)
        assert isinstance(plain._factory, partial)
        assert (connector._factory.args, {*connector._factory.keywords}) == (
            plain._factory.args,
            {*plain._factory.keywords},
        )


async def test_trailers_are_known_wherever_the_segments_end() -> None:
    for cut in range(len(TRAILED)):
        async with raw_agent(saying(TRAILED[:cut], TRAILED[cut:])) as agent, upstream_at(agent.port) as upstream:
            call, _ = await ask(upstream)
            assert await taken(call) == b"ok"
            assert call.body is not None
            assert call.body.trailers() == [(b"X-Sum", b"1"), (b"X-More", b"2")], cut
            call.release()
            assert call.protocol._last == b""


async def test_who_waits_for_a_plain_answer_goes_on_as_it_comes() -> None:
    loop = asyncio.get_running_loop()
    protocol = AgentProtocol(loop)
    if protocol.awaited.expect(bodiless=False):
        protocol.prepare(bodiless=False)
    heard: list[object] = []

    async def listen() -> None:
        arrival = protocol.awaited.arrival()
        assert arrival is not None
        await arrival
        heard.append(protocol.awaited.take())

    def come() -> None:
        protocol.data_received(OK)
        came.set_result(len(heard))

    task, came = loop.create_task(listen()), loop.create_future()
    await asyncio.sleep(0)
    loop.call_soon(come)
    assert await came == 1
    assert heard != [None]
    await task


@pytest.mark.parametrize(
    "answer",
    [OK, b"HTTP/1.1 204 No Content\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n" + b"\n0" * 30_000],
    ids=["small", "without a body", "large"],
)
async def test_nothing_is_kept_of_an_answer_that_cannot_have_trailers(answer: bytes) -> None:
    async with raw_agent(saying(answer[:40], answer[40:])) as agent, upstream_at(agent.port) as upstream:
        call, _ = await ask(upstream)
        await taken(call)
        assert call.body is not None
        assert (call.protocol._last, call.body.trailers()) == (b"", [])
        call.abort()


async def test_what_an_agent_says_after_the_end_does_not_change_its_trailers() -> None:
    async with raw_agent(saying(TRAILED, b"HTTP/1.1 408 Late\r\n\r\n")) as agent, upstream_at(agent.port) as upstream:
        call, _ = await ask(upstream)
        for _ in range(5):
            await beat()
        assert await taken(call) == b"ok"
        assert call.body is not None
        assert call.body.trailers() == [(b"X-Sum", b"1"), (b"X-More", b"2")]
        assert call.protocol.should_close
        call.abort()


async def test_one_answers_trailers_are_not_the_nexts() -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for answer in (TRAILED, CHUNKED + b"2\r\nok\r\n0\r\n\r\n", TRAILED):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answer)
        await reader.read()

    found = []
    async with raw_agent(script) as agent, upstream_at(agent.port) as upstream:
        for _ in range(3):
            call, _ = await ask(upstream)
            await taken(call)
            assert call.body is not None
            found.append(len(call.body.trailers()))
            call.release()
        assert len(agent.received) == 1
    assert found == [2, 0, 2]


@pytest.mark.parametrize(
    ("by_tls", "error", "heard"),
    [
        pytest.param(False, ConnectionResetError(), 20, id="what has come is heard, within bounds"),
        pytest.param(True, ConnectionResetError(), 0, id="what is encrypted cannot be"),
        pytest.param(False, None, 0, id="who closed it himself wants to hear no more"),
    ],
)
async def test_a_connection_whose_writing_failed_still_hears(
    by_tls: bool, error: Exception | None, heard: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(AgentProtocol, "_at_once", 5)
    agent, ours = socket.socketpair()
    with agent, ours:
        agent.sendall(OK)
        known = {"socket": ours, "sslcontext": object() if by_tls else None}
        protocol = AgentProtocol(asyncio.get_running_loop())
        protocol.transport = cast("asyncio.Transport", SimpleNamespace(get_extra_info=known.get))
        protocol.connection_lost(error)
        assert ours.recv(1000) == OK[heard:]


# What of aiohttp's pool is used, and what is ours


async def test_aiohttp_counts_a_connection_as_acquired_until_ours_closes_it_and_keeps_none() -> None:
    async with raw_agent(saying(OK)) as agent, upstream_at(agent.port) as upstream:
        call, _ = await ask(upstream)
        connector, protocol = upstream._connector, call.protocol
        assert await taken(call) == b"ok"
        assert connector._acquired == {protocol}
        call.release()
        assert (connector._acquired, len(upstream._address.idle)) == ({protocol}, 1)
        again = upstream.way.idle()
        assert again is not None
        assert again.protocol is protocol
        again.abort()
        assert (connector._acquired, len(upstream._address.idle)) == (set(), 0)
        assert connector._conns == {}
        assert (connector._limit, connector._limit_per_host, len(connector._waiters)) == (0, 0, 0)


async def test_a_connector_that_is_closed_closes_idle_connections_and_those_in_use_and_waits_for_them() -> None:
    async with raw_agent(answering(OK)) as agent:
        async with upstream_at(agent.port) as upstream:
            (idle, _), (used, _) = await ask(upstream), await ask(upstream)
            await taken(idle)
            idle.release()
            transports = [idle.protocol.transport, used.protocol.transport]
        assert [transport is not None and transport.is_closing() for transport in transports] == [True, True]
        assert not idle.protocol.connected
        assert upstream._address.idle._timer is None
        used.release()
        assert (upstream.way.idle(), upstream._address.idle._timer) == (None, None)
        with pytest.raises(UpstreamConnect):
            await upstream.connect(5)


async def test_those_who_call_at_one_address_share_its_connections_and_others_do_not() -> None:
    async with raw_agent(answering(OK)) as agent, raw_agent(answering(OK)) as another, upstream_at(agent.port) as one:
        loop, connector = asyncio.get_running_loop(), one._connector
        same = Upstream(f"http://127.0.0.1:{agent.port}/elsewhere", connector, loop)
        other = Upstream(f"http://127.0.0.1:{another.port}", connector, loop)
        call = await one.connect(5)
        call.release()
        assert other.way.idle() is None
        again = same.way.idle()
        assert again is not None
        assert again.protocol is call.protocol
        again.abort()


async def test_an_address_that_nobody_calls_any_more_is_forgotten_and_its_connections_are_closed() -> None:
    connector = AgentConnector(limit=0, keepalive_timeout=0.01)
    async with raw_agent(answering(OK)) as agent, connector:
        upstream = Upstream(f"http://127.0.0.1:{agent.port}", connector, asyncio.get_running_loop())
        in_use, left = await upstream.connect(5), await upstream.connect(5)
        left.release()
        del upstream
        assert len(connector._addresses) == 0
        await asyncio.wait_for(agent.closed.wait(), PATIENCE)
        assert connector._acquired == {in_use.protocol}
        agent.closed.clear()
        in_use.release()
        await asyncio.wait_for(agent.closed.wait(), PATIENCE)
        assert connector._acquired == set()


async def test_a_connection_that_is_not_clean_is_closed_when_it_is_given_back() -> None:
    async with raw_agent(saying(OK)) as agent, upstream_at(agent.port) as upstream:
        call, _ = await ask(upstream)
        await taken(call)
        call.release()
        again = upstream.way.idle()
        assert again is not None
        again.serve_nobody_else()
        again.release()
        assert upstream.way.idle() is None
        await asyncio.wait_for(agent.closed.wait(), PATIENCE)


async def test_an_agent_that_said_its_last_word_is_not_asked_again() -> None:
    async with raw_agent(saying(OK, then="close")) as agent, upstream_at(agent.port) as upstream:
        call, _ = await ask(upstream)
        await taken(call)
        call.protocol.eof_received()
        call.release()
        assert (upstream.way.idle(), upstream._connector._acquired) == (None, set())


SIZED = b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * 9_000 + b"\r\nContent-Length: 2\r\n\r\nok"
"""Nothing that is remembered as plain."""
EMPTY = b"HTTP/1.1 204 No Content\r\n\r\n"
WHOLE_CHUNKED = CHUNKED + b"2\r\nok\r\n0\r\n\r\n"
ANSWERS = {"plain": OK, "sized": SIZED, "chunked": WHOLE_CHUNKED, "trailed": TRAILED, "empty": EMPTY}


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
async def test_a_connection_whose_answer_was_whole_is_kept(answer: bytes) -> None:
    async with raw_agent(saying(answer)) as agent, upstream_at(agent.port) as upstream:
        call, _ = await ask(upstream)
        await taken(call)
        call.release()
        assert upstream.way.idle() is not None


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
@pytest.mark.parametrize(
    "more",
    [b"H", b"HTTP/1.1 201 Evil\r\nSet-Cookie: evil=1\r\nX-Swallow: ", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n"],
    ids=["a letter", "a field", "all but its end"],
)
async def test_a_part_of_a_head_behind_an_answer_begins_nobody_elses(answer: bytes, more: bytes) -> None:
    async with raw_agent(saying(answer + more)) as agent, upstream_at(agent.port) as upstream:
        call, _ = await ask(upstream)
        await taken(call)
        call.release()
        assert (upstream.way.idle(), upstream._connector._acquired) == (None, set())


async def test_a_part_of_a_head_on_an_idle_connection_begins_nobody_elses_answer() -> None:
    async with raw_agent(saying(OK)) as agent, upstream_at(agent.port) as upstream:
        call, _ = await ask(upstream)
        await taken(call)
        protocol = call.protocol
        call.release()
        protocol.data_received(b"HTTP/1.1 201 Evil\r\nX-Swallow: ")
        assert (upstream.way.idle(), upstream._connector._acquired) == (None, set())


@pytest.mark.parametrize("answer", [OK, SIZED, WHOLE_CHUNKED], ids=["plain", "sized", "chunked"])
async def test_aiohttps_own_client_may_use_its_connections(answer: bytes) -> None:
    """Identity providers are asked by it."""
    async with (
        raw_agent(saying(answer)) as agent,
        AgentConnector(limit=0, keepalive_timeout=4.0) as connector,
        ClientSession(connector=connector, read_bufsize=1 << 16, max_field_size=1 << 15) as session,
        asyncio.timeout(PATIENCE),
        session.get(f"http://127.0.0.1:{agent.port}/") as got,
    ):
        assert (got.status, await got.read()) == (200, b"ok")


async def test_one_parser_serves_a_connection_until_an_answer_had_chunks_or_no_body_to_have() -> None:
    chunked = CHUNKED + b"2\r\nok\r\n0\r\n\r\n"

    async def answers(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for answer in (OK, OK, chunked, OK):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answer)
        await reader.read()

    async with raw_agent(answers) as agent, upstream_at(agent.port) as upstream:
        parsers = []
        for _ in range(4):
            call, _ = await ask(upstream)
            parsers.append(call.protocol._parser)
            assert await taken(call) == b"ok"
            call.release()
    assert parsers[0] is parsers[1] is parsers[2]
    assert parsers[3] is not parsers[2]
