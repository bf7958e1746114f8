import asyncio
import inspect
import logging
import re
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.web_protocol import RequestHandler, _ErrInfo

from gatewayd.edge import connection as module
from gatewayd.edge import heads, line
from gatewayd.edge.connection import USED, EdgeConnection
from gatewayd.edge.heads import AwaitedHeads
from gatewayd.edge.line import CallerLine
from gatewayd.edge.turns import Turns
from gatewayd.errors import InternalError, RequestTimeout
from gatewayd.sent import Sent
from tests.agents import answering, raw_agent, talk
from tests.edge.callers import OK, ROUTES, answering_when, caller, gateway_before, is_refused, listening, pieces
from tests.edge.hostile import CHUNKED, GET, POST, request
from tests.edge.serving import edge
from tests.gateways import running_gateway
from tests.patience import PATIENCE
from tests.sources import parameters, source_of

# Broken bodies


@pytest.mark.parametrize("broken", [b"zz\r\n", b"-1\r\n", b"5\r\nhello!\r\n", b"1\n", b"FFFFFFFFFFFFFFFFF\r\n"])
async def test_a_body_that_breaks_in_its_middle_is_400_and_never_whole_at_the_agent(
    tmp_path: Path, broken: bytes
) -> None:
    async with gateway_before(tmp_path, listening, "") as (gateway, received), caller(gateway.port) as sender:
        sender.writer.write(request(POST, CHUNKED, body=b"5\r\nhello\r\n"))
        async with asyncio.timeout(PATIENCE):
            while not any(b"hello" in each for each in received):
                await sender.pause(0.005)
        sender.writer.write(broken)
        answer = await sender.all()
        (line,) = await gateway.log_lines(1)
    assert is_refused(answer, 400, "bad_request")
    assert (line["status"], line["code"]) == (400, "bad_request")
    assert not any(each.endswith(b"0\r\n\r\n") for each in received)


async def test_a_caller_that_leaves_in_the_middle_of_a_body_leaves_it_unfinished(tmp_path: Path) -> None:
    async with (
        raw_agent(listening) as agent,
        running_gateway(tmp_path, routes=ROUTES.format(upstream=agent.url)) as gateway,
    ):
        async with caller(gateway.port) as sender:
            sender.writer.write(request(POST, CHUNKED, body=b"5\r\nhello\r\n"))
            async with asyncio.timeout(PATIENCE):
                while not any(b"hello" in each for each in agent.received):
                    await sender.pause(0.005)
        async with asyncio.timeout(PATIENCE):
            await agent.closed.wait()
        (line,) = await gateway.log_lines(1)
    assert (line["status"], line["code"]) == (499, "client_closed")
    assert agent.received[0].endswith(b"5\r\nhello\r\n")


async def test_garbage_behind_a_request_waits_for_its_answer(tmp_path: Path) -> None:
    go = asyncio.Event()

    async with gateway_before(tmp_path, answering_when(go), "") as (gateway, received), caller(gateway.port) as sender:
        sender.writer.write(request(POST, b"Content-Length: 5", body=b"hello"))
        async with asyncio.timeout(PATIENCE):
            while not any(each.endswith(b"hello") for each in received):
                await sender.pause(0.005)
        sender.writer.write(b"garbage\r\n\r\n")
        sender.writer.write(b"more of it\r\n\r\n")
        await sender.pause(0.02)
        go.set()
        answer = await sender.all()
    first, _, second = answer.partition(b"{}")
    assert first.startswith(b"HTTP/1.1 200 ")
    assert is_refused(second, 400, "bad_request")


async def test_a_body_that_breaks_while_its_request_still_waits_is_known_to_be_broken() -> None:
    go = asyncio.Event()
    bodies: list[object] = []

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        await go.wait()
        try:
            bodies.append(await request.read())
        except web.RequestPayloadError:
            bodies.append("broken")
        return web.Response(text="ok")

    async with edge(handler) as running, caller(running.port) as sender:
        sender.writer.write(request() + request(POST, CHUNKED, body=b"1\r\na\r\n"))
        await sender.pause(0.02)
        sender.writer.write(b"zz\r\n")
        await sender.pause(0.02)
        go.set()
        await sender.all()
    assert bodies == [b"", "broken"]
    assert sender.got.count(b"\r\n\r\nok") == 2
    assert [refusal.status for refusal in running.refused] == [400]


async def test_a_body_that_breaks_before_its_request_was_looked_at_is_known_to_be_broken() -> None:
    async with edge() as running, caller(running.port) as sender:
        while not running.connections:
            await sender.pause(0.001)
        (connection,) = running.connections
        await sender.pause(0.01)
        connection.data_received(request(POST, CHUNKED, body=b"1\r\na\r\n"))
        connection.data_received(b"zz\r\n")
        await sender.all()
    assert [body for _, _, body in running.asked] == [None]
    assert [refusal.status for refusal in running.refused] == [400]


async def test_a_body_that_breaks_after_its_answer_ends_the_connection_quietly(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with gateway_before(tmp_path, answering(OK), "") as (gateway, received), caller(gateway.port) as sender:
        sender.writer.write(request(b"POST /api/rag/x HTTP/1.1", CHUNKED, body=b"1\r\na\r\n"))
        await sender.hear(b"token_missing")
        sender.writer.write(b"zz\r\n")
        answer = await sender.all()
    assert answer.startswith(b"HTTP/1.1 401 ")
    assert answer.count(b"HTTP/1.1 400 ") == 1
    assert not received
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


# Chunks that carry next to nothing


async def test_chunks_that_carry_too_little_end_the_request(tmp_path: Path) -> None:
    """Every one has a byte, so neither a limit of the body nor its timeout would ever end them."""
    async with gateway_before(tmp_path, listening) as (gateway, received), caller(gateway.port) as sender:
        sender.writer.write(request(POST, CHUNKED))
        while not sender.ended and not sender.got:
            sender.writer.write((b"1;" + b"a" * 1000 + b"\r\na\r\n") * 10)
            await sender.pause(0.001)
        answer = await sender.all()
        (line,) = await gateway.log_lines(1)
    assert is_refused(answer, 400, "bad_request")
    assert line["bytes_in"] < 1000
    assert b"0\r\n\r\n" not in b"".join(received)


async def test_chunks_that_carry_too_little_are_not_waited_for_by_who_reads_none(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def uninterested(_request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(text="ok")

    async with edge(uninterested) as running, caller(running.port) as sender:
        sender.writer.write(request(POST, CHUNKED))
        await sender.hear(b"ok")
        sender.writer.write(b"1;" + b"a" * 100_000 + b"\r\na\r\n")
        assert (await sender.all()).count(b"HTTP/1.1 ") == 1
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


async def test_the_smallest_chunks_are_an_ordinary_body(tmp_path: Path) -> None:
    async with gateway_before(tmp_path, answering(OK), "") as (gateway, received), caller(gateway.port) as sender:
        sender.writer.write(request(POST, CHUNKED, body=b"1\r\na\r\n" * 200_000 + b"0\r\n\r\n"))
        answer = await sender.hear(b"{}")
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b"".join(received).endswith(b"0\r\n\r\n")


@pytest.mark.parametrize("cut", [3, 20, 22, 24, 26, 28, 40])
async def test_another_protocol_is_known_though_its_head_comes_in_pieces(tmp_path: Path, cut: int) -> None:
    other = request(b"GET /api/email/x RTSP/1.1")
    async with gateway_before(tmp_path, answering(OK), "") as (gateway, received), caller(gateway.port) as sender:
        sender.writer.write(other[:cut])
        await sender.pause(0.01)
        sender.writer.write(other[cut:])
        answer = await sender.all()
    assert is_refused(answer, 505, "version_unsupported")
    assert not received


async def test_another_protocol_is_known_behind_a_request_of_ours(tmp_path: Path) -> None:
    data = request() + request(b"GET /api/email/y RTSP/1.1")
    async with gateway_before(tmp_path, answering(OK), "") as (gateway, received), caller(gateway.port) as sender:
        sender.writer.write(data)
        answer = await sender.all()
    served, _, refused = answer.partition(b"{}")
    assert served.startswith(b"HTTP/1.1 200 ")
    assert is_refused(refused, 505, "version_unsupported")
    assert b"".join(received).count(b"GET /") == 1


# Trailers, which aiohttp's parser would put into the next request's head

TRAILED = request(POST, CHUNKED, body=b"3\r\nabc\r\n0\r\nX-Evil: 1\r\nX-More: 2\r\n\r\n")
NEXT = request(b"GET /next HTTP/1.1", b"X-Good: 1")


@pytest.mark.parametrize("between", [b"", b"\r\n", b"\r\n\r\n"], ids=["nothing", "a blank line", "two blank lines"])
async def test_no_trailer_reaches_the_next_request_wherever_the_segments_end(between: bytes) -> None:
    stream = TRAILED + between + NEXT
    for cut in range(1, len(stream)):
        async with edge() as running, caller(running.port) as sender:
            while not running.connections:
                await sender.pause(0.001)
            (connection,) = running.connections
            for piece in (stream[:cut], stream[cut:]):
                connection.data_received(piece)
                await sender.pause(0)
            await sender.hear(b"ok")
            kept = cut in range(len(TRAILED), len(TRAILED + between) + 1) and stream[:cut].endswith(b"\r\n\r\n")
            await (sender.hear(b"ok", 2) if kept else sender.all())
        assert running.asked[0][::2] == ("/api/email/x", b"abc")
        assert not [name for _, fields, _ in running.asked for name, _ in fields if name in (b"X-Evil", b"X-More")]
        assert not running.refused
        assert len(running.asked) == (2 if kept else 1), cut


@pytest.mark.parametrize("late", [True, False], ids=["late", "at once"])
async def test_trailers_are_forgotten_with_their_request(late: bool) -> None:
    async def uninterested(_request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(text="ok")

    async with edge(uninterested) as running, caller(running.port) as sender:
        for count in range(1, 6):
            cut = TRAILED.index(b"0\r\nX-Evil") if late else len(TRAILED)
            sender.writer.write(TRAILED[:cut])
            await sender.hear(b"ok", count)
            sender.writer.write(TRAILED[cut:])
            (connection,) = running.connections
            while connection._chunked:
                await sender.pause(0.001)
        sender.writer.write(NEXT)
        await sender.hear(b"ok", 6)
        assert len(connection._chunks._kept) <= 1
        assert connection._chunks._last == b""


@pytest.mark.parametrize("size", [1, 100_000, 1_000_000])
async def test_a_connection_is_kept_behind_a_chunked_body_of_any_size(tmp_path: Path, size: int) -> None:
    body = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces(b"a" * size, 7000)) + b"0\r\n\r\n"
    async with gateway_before(tmp_path, answering(OK), "") as (gateway, received), caller(gateway.port) as sender:
        for count in (1, 2):
            sender.writer.write(request(POST, CHUNKED, body=body))
            await sender.hear(b"{}", count)
        sender.writer.write(request())
        answer = await sender.hear(b"{}", 3)
    assert answer.count(b"HTTP/1.1 200 ") == 3
    assert b"".join(received).count(b" HTTP/1.1\r\n") == 3


async def test_a_caller_is_told_that_nothing_behind_its_chunked_body_was_read() -> None:
    async with edge() as running, caller(running.port) as sender:
        sender.writer.write(TRAILED + NEXT)
        answer = await sender.all()
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b"\r\nConnection: close\r\n" in answer
    assert [path for path, _, _ in running.asked] == ["/api/email/x"]


# Upgrades that come to nothing


@pytest.mark.parametrize("together", [True, False], ids=["in one segment", "in two"])
async def test_what_is_said_in_another_protocol_is_no_head(together: bool) -> None:
    go = asyncio.Event()

    async def handler(_request: web.BaseRequest) -> web.StreamResponse:
        await go.wait()
        return Sent(101, keep_alive=False)

    async with edge(handler, header_timeout=0.1) as running, caller(running.port) as sender:
        sender.writer.write(request(GET, b"Connection: Upgrade", b"Upgrade: websocket") + b"x" * 5000 * together)
        await sender.pause(0.02)
        sender.writer.write(b"x" * 5000)
        await sender.pause(0.2)
        assert [each.talk.deaf for each in running.connections] == [False]
        go.set()
        await sender.all()
    assert not running.refused


async def test_what_stands_behind_a_declined_upgrade_is_judged_like_everything_else() -> None:
    async with edge() as running, caller(running.port) as sender:
        upgrade = request(GET, b"Connection: Upgrade", b"Upgrade: websocket")
        sender.writer.write(upgrade + request(b"GET / HTTP/2.0"))
        await sender.all()
    assert [refusal.status for refusal in running.refused] == [505]
    assert len(running.asked) == 1


# What failed outside the ring


async def test_an_error_outside_the_ring_is_ours_and_not_the_callers(caplog: pytest.LogCaptureFixture) -> None:
    async def handler(_request: web.BaseRequest) -> web.StreamResponse:
        raise LookupError("a secret")

    async with edge(handler) as running:
        answer = await talk(running.port, request())
    assert [type(refusal) for refusal in running.refused] == [InternalError]
    assert answer.startswith(b"HTTP/1.1 500 ")
    assert b"secret" not in answer
    assert "outside the ring" in caplog.text


# What of aiohttp is used


@pytest.mark.parametrize("name", USED)
async def test_aiohttp_still_has_what_is_used_of_it(name: str) -> None:
    async with edge() as running, caller(running.port) as sender:
        sender.writer.write(request())
        await sender.hear(b"ok")
        assert hasattr(running.connections[0], name)
        assert hasattr(RequestHandler, name), "it has become an attribute of ours alone"


def test_what_is_used_of_aiohttp_is_listed() -> None:
    source = "".join(source_of(each.__name__) for each in (module, heads, line))
    classes = (EdgeConnection, AwaitedHeads, CallerLine, Turns)
    ours = {name for each in classes for name in (*each.__slots__, *vars(each))}
    assert set(re.findall(r"self\.(_[a-z_]+)", source)) - ours == set(USED)


def test_the_shapes_on_which_the_edge_relies_are_unchanged() -> None:
    error = _ErrInfo(408, RequestTimeout(), "")
    assert (error.status, error.message) == (408, "")
    for of, kind, name in (
        (module, "EdgeConnection", "handle_error"),
        (module, "EdgeConnection", "finish_response"),
        (module, "EdgeConnection", "data_received"),
        (heads, "AwaitedHeads", "connection_made"),
        (heads, "AwaitedHeads", "connection_lost"),
        (line, "CallerLine", "connection_made"),
        (line, "CallerLine", "connection_lost"),
    ):
        theirs = inspect.signature(getattr(RequestHandler, name))
        assert parameters(of.__name__, kind, name) == list(theirs.parameters)
