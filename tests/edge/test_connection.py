import asyncio
import inspect
import json
import logging
import re
import ssl
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.web_protocol import RequestHandler, _ErrInfo

from gatewayd.edge import connection as module
from gatewayd.edge.connection import USED, EdgeConnection
from gatewayd.errors import InternalError, RequestTimeout
from gatewayd.sent import BrokenOff, Sent
from tests.agents import Script, answering, raw_agent, read_body, talk
from tests.certificates import write_certificate
from tests.edge.hostile import CHUNKED, GET, POST, request
from tests.edge.serving import edge
from tests.gateways import RunningGateway, running_gateway
from tests.patience import PATIENCE
from tests.sources import parameters, source_of

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
QUICK = 'header_timeout = "200ms"\nbody_timeout = "300ms"\nmax_header_bytes = "4KiB"'
ROUTES = """
[routes.email]
prefix = "/api/email"
upstream = "{upstream}"
public = true
[routes.rag]
prefix = "/api/rag"
upstream = "{upstream}"
"""


@asynccontextmanager
async def gateway_before(
    path: Path, script: Script, server: str = QUICK
) -> AsyncIterator[tuple[RunningGateway, list[bytearray]]]:
    async with (
        raw_agent(script) as agent,
        running_gateway(path, routes=ROUTES.format(upstream=agent.url), server=server) as gateway,
    ):
        yield gateway, agent.received


async def listening(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    """An agent that takes what comes, as it comes, and says nothing."""
    while await reader.read(65536):
        pass


class Caller:
    """A caller in no hurry: `pause` is how it paces itself, and what comes meanwhile is kept."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writer = writer
        self.got = b""
        self._reader = reader
        self._reading = asyncio.create_task(self._read())
        self._news = asyncio.Event()

    async def _read(self) -> None:
        try:
            while chunk := await self._reader.read(65536):
                self.got += chunk
                self._news.set()
        except ConnectionError:
            pass

    @property
    def ended(self) -> bool:
        return self._reading.done()

    async def pause(self, seconds: float) -> None:
        await asyncio.wait({self._reading}, timeout=seconds)

    async def hear(self, words: bytes, count: int = 1) -> bytes:
        async with asyncio.timeout(PATIENCE):
            while self.got.count(words) < count:
                self._news.clear()
                await self._news.wait()
        return self.got

    async def all(self) -> bytes:
        async with asyncio.timeout(PATIENCE):
            await self._reading
        return self.got

    def close(self) -> None:
        self._reading.cancel()
        self.writer.close()


@asynccontextmanager
async def caller(port: int) -> AsyncIterator[Caller]:
    calling = Caller(*await asyncio.open_connection("127.0.0.1", port))
    try:
        yield calling
    finally:
        calling.close()


def is_refused(answer: bytes, status: int, code: str) -> bool:
    head, _, body = answer.partition(b"\r\n\r\n")
    return (
        head.startswith(b"HTTP/1.1 %d " % status)
        and b"\r\nConnection: close" in head
        and b"\r\nContent-Type: application/problem+json" in head
        and json.loads(body)["code"] == code
    )


# Deadlines


async def test_a_connection_that_says_nothing_is_closed_without_an_answer(tmp_path: Path) -> None:
    async with gateway_before(tmp_path, answering(OK)) as (gateway, _):
        assert await talk(gateway.port, b"") == b""
        await talk(gateway.port, request(), until=b"{}")
        (line,) = await gateway.log_lines(1)
    assert line["status"] == 200


async def test_a_first_head_that_is_not_complete_in_time_gets_408(tmp_path: Path) -> None:
    async with gateway_before(tmp_path, answering(OK)) as (gateway, received):
        answer = await talk(gateway.port, b"GET /api/email/x HT")
        (line,) = await gateway.log_lines(1)
    assert is_refused(answer, 408, "request_timeout")
    assert (line["status"], line["code"]) == (408, "request_timeout")
    assert not received


async def test_a_dribbling_head_gets_no_extra_time(tmp_path: Path) -> None:
    async with gateway_before(tmp_path, answering(OK)) as (gateway, _):
        began = asyncio.get_running_loop().time()
        async with caller(gateway.port) as slow:
            slow.writer.write(b"GET /")
            while not slow.ended:
                slow.writer.write(b"a")
                await slow.pause(0.02)
            took = asyncio.get_running_loop().time() - began
    assert is_refused(slow.got, 408, "request_timeout")
    assert 0.19 <= took < 2


async def test_a_later_head_on_a_kept_connection_has_the_same_deadline(tmp_path: Path) -> None:
    async with gateway_before(tmp_path, answering(OK)) as (gateway, _), caller(gateway.port) as slow:
        slow.writer.write(request())
        await slow.hear(b"{}")
        slow.writer.write(b"GET /api/email/y")
        answer = await slow.all()
    assert is_refused(answer.partition(b"{}")[2], 408, "request_timeout")


async def test_a_kept_connection_may_be_idle_for_longer_than_a_head_may_take(tmp_path: Path) -> None:
    async with gateway_before(tmp_path, answering(OK)) as (gateway, _), caller(gateway.port) as slow:
        for count in (1, 2):
            slow.writer.write(request())
            await slow.hear(b"{}", count)
            await slow.pause(0.3)
        assert not slow.ended


@pytest.mark.parametrize("between", [b"", b"\r\n", b"\r\n\r\n"])
async def test_a_head_that_began_behind_another_request_has_the_deadline_too(tmp_path: Path, between: bytes) -> None:
    async with gateway_before(tmp_path, answering(OK)) as (gateway, received), caller(gateway.port) as slow:
        slow.writer.write(request() + between + b"GET /api/email/y HTTP/1.1\r\nHost: gw\r\n")
        answer = await slow.all()
    first, _, second = answer.partition(b"{}")
    assert first.startswith(b"HTTP/1.1 200 ")
    assert is_refused(second, 408, "request_timeout")
    assert len(received) == 1


async def test_a_late_head_does_not_harm_the_request_before_it(tmp_path: Path) -> None:
    go = asyncio.Event()

    async def slowly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_body(await reader.readuntil(b"\r\n\r\n"), reader)
        await go.wait()
        writer.write(OK)
        await writer.drain()

    async with gateway_before(tmp_path, slowly) as (gateway, _), caller(gateway.port) as slow:
        asyncio.get_running_loop().call_later(0.35, go.set)
        slow.writer.write(request() + b"GET /api/em")
        answer = await slow.all()
    first, _, second = answer.partition(b"{}")
    assert first.startswith(b"HTTP/1.1 200 ")
    assert is_refused(second, 408, "request_timeout")


@pytest.mark.parametrize("blank", [b"\r\n", b"\r\n\r\n", b"\r"])
async def test_blank_lines_behind_a_request_begin_nothing(tmp_path: Path, blank: bytes) -> None:
    async with gateway_before(tmp_path, answering(OK)) as (gateway, _), caller(gateway.port) as slow:
        slow.writer.write(request() + blank)
        await slow.hear(b"{}")
        await slow.pause(0.3)
        assert not slow.ended


async def test_the_timer_for_idle_connections_leaves_a_head_alone_that_has_begun() -> None:
    async with edge(keepalive_timeout=0.15) as running, caller(running.port) as slow:
        slow.writer.write(GET)
        await slow.pause(0.3)
        assert not slow.ended
        slow.writer.write(b"\r\nHost: gw\r\n\r\n")
        await slow.hear(b"\r\n\r\nok")
        await slow.all()  # idle now, and so it is closed
    assert len(running.asked) == 1


async def test_trailers_that_do_not_end_have_the_deadline_of_a_body(tmp_path: Path) -> None:
    async with gateway_before(tmp_path, answering(OK)) as (gateway, received):
        answer = await talk(gateway.port, request(POST, CHUNKED, body=b"1\r\na\r\n0\r\nX: a"))
    assert is_refused(answer, 408, "request_timeout")
    assert not any(each.endswith(b"0\r\n\r\n") for each in received)


async def test_a_caller_that_hangs_up_in_the_middle_of_a_head_is_forgotten() -> None:
    async with edge() as running:
        async with caller(running.port) as brief:
            brief.writer.write(GET)
        async with caller(running.port) as next_one:
            next_one.writer.write(request())
            await next_one.hear(b"ok")
        assert not running.refused
        assert len(running.asked) == 1


# Sizes


def head_of(size: int) -> bytes:
    return request(GET, b"X: " + b"a" * (size - len(request(GET, b"X: "))))


def pieces(data: bytes, size: int) -> Iterable[bytes]:
    return (data[start : start + size] for start in range(0, len(data), size))


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        pytest.param(head_of(4096), 200, id="a head at the limit"),
        pytest.param(head_of(4097), 431, id="one byte more"),
        pytest.param(head_of(4098)[:-1], 431, id="one byte more and never ended"),
        pytest.param(head_of(9000)[:-4], 431, id="far above and never ended"),
        pytest.param(request(GET, *[b"A: b"] * 700), 431, id="many small fields"),
        pytest.param(b"\r\n" * 2049, 431, id="nothing but blank lines"),
        pytest.param(request(b"GET /api/email/" + b"a" * 4069 + b" HTTP/1.1"), 431, id="a target that fits"),
        pytest.param(request(b"GET /api/email/" + b"a" * 4070 + b" HTTP/1.1"), 414, id="a target too long"),
        pytest.param(b"GET /" + b"a" * 9000, 414, id="a target that never ends"),
    ],
)
async def test_a_size_is_judged_alike_however_the_head_arrives(tmp_path: Path, data: bytes, expected: int) -> None:
    async with gateway_before(tmp_path, answering(OK), 'max_header_bytes = "4KiB"') as (gateway, _):
        for size in (10_000, 900, 97):
            async with caller(gateway.port) as sender:
                for piece in pieces(data, size):
                    sender.writer.write(piece)
                    await sender.pause(0.001)
                answer = await sender.hear(b"\r\n\r\n")
            assert answer.startswith(b"HTTP/1.1 %d " % expected), size


async def test_a_second_head_is_measured_from_its_own_beginning(tmp_path: Path) -> None:
    async with (
        gateway_before(tmp_path, answering(OK), 'max_header_bytes = "4KiB"') as (gateway, _),
        caller(gateway.port) as sender,
    ):
        for count in (1, 2, 3):
            for piece in pieces(head_of(4096), 2000):
                sender.writer.write(piece)
                await sender.pause(0.005)
            await sender.hear(b"{}", count)


# Too many


async def test_a_connection_too_many_is_told_so_before_it_asks(tmp_path: Path) -> None:
    async with gateway_before(tmp_path, answering(OK), "max_connections = 1") as (gateway, received):
        async with caller(gateway.port) as first:
            first.writer.write(request())
            await first.hear(b"{}")
            for data in (b"", request(), b"garbage\r\n\r\n"):
                answer = await talk(gateway.port, data)
                assert is_refused(answer, 503, "overloaded")
                assert b"\r\nRetry-After: 1\r\n" in answer
            first.writer.write(request())
            await first.hear(b"{}", 2)
        lines = await gateway.log_lines(5)
    assert [line["code"] for line in lines].count("overloaded") == 3
    assert b"".join(received).count(b" HTTP/1.1\r\n") == 2


async def test_a_place_that_is_left_can_be_taken() -> None:
    async with edge(max_connections=1) as running:
        async with caller(running.port) as first:
            first.writer.write(request())
            await first.hear(b"ok")
            (connection,) = running.connections
        async with asyncio.timeout(PATIENCE):
            while connection.connected:
                await asyncio.sleep(0)
        async with caller(running.port) as second:
            second.writer.write(request())
            assert (await second.hear(b"ok")).startswith(b"HTTP/1.1 200 ")


async def test_far_too_many_are_not_even_answered() -> None:
    async with edge(max_connections=1) as running:
        callers = [Caller(*await asyncio.open_connection("127.0.0.1", running.port)) for _ in range(80)]
        answers = [await each.all() for each in callers[1:]]
        for each in callers:
            each.close()
    assert answers.count(b"") == 80 - 1 - 64
    assert sum(answer.startswith(b"HTTP/1.1 503 ") for answer in answers) == 64


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

    async def slowly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_body(await reader.readuntil(b"\r\n\r\n"), reader)
        await go.wait()
        writer.write(OK)
        await writer.drain()

    async with gateway_before(tmp_path, slowly, "") as (gateway, received), caller(gateway.port) as sender:
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
        assert len(connection._trailers) <= 1
        assert connection._last_bytes == b""


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
        assert [each._deaf for each in running.connections] == [False]
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


# The last answer


async def test_an_answer_arrives_though_its_caller_goes_on_sending(tmp_path: Path) -> None:
    async with gateway_before(tmp_path, answering(OK), "") as (gateway, _), caller(gateway.port) as sender:
        sender.writer.write(request(GET, b"X : a"))
        for _ in range(50):
            sender.writer.write(b"a" * 100_000)
        answer = await sender.all()
    assert is_refused(answer, 400, "bad_request")


async def test_a_refused_upload_is_answered_before_it_has_ended(tmp_path: Path) -> None:
    async with (
        gateway_before(tmp_path, answering(OK), 'max_body = "1KiB"') as (gateway, _),
        caller(gateway.port) as sender,
    ):
        sender.writer.write(request(POST, b"Content-Length: 5000000", body=b"a" * 2_000_000))
        answer = await sender.all()
    assert is_refused(answer, 413, "body_too_large")


async def test_a_refusal_arrives_over_tls_and_the_connection_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_LINGERING", 0.05)
    certificate, key = write_certificate(tmp_path)
    server = f'tls = {{ certificate = "{certificate}", key = "{key}" }}'
    context = ssl.create_default_context(cafile=certificate)
    async with gateway_before(tmp_path, answering(OK), server) as (gateway, _), asyncio.timeout(PATIENCE):
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port, ssl=context)
        writer.write(request(GET, b"X : a"))
        answer = await reader.read()
        writer.close()
    assert is_refused(answer, 400, "bad_request")


async def test_nobody_is_listened_to_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LINGERING", 0.05)
    async with edge() as running, caller(running.port) as sender:
        sender.writer.write(b"garbage\r\n\r\n")
        await sender.all()
        with pytest.raises(ConnectionError):
            await keep_sending(sender.writer)


async def keep_sending(writer: asyncio.StreamWriter) -> None:
    async with asyncio.timeout(PATIENCE):
        while True:
            writer.write(b"a" * 1000)
            await writer.drain()
            await asyncio.sleep(0)


async def test_an_answer_that_was_cut_off_is_not_waited_for() -> None:
    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        return BrokenOff(request)

    async with edge(handler) as running, asyncio.timeout(PATIENCE):
        assert await talk(running.port, request(POST, b"Content-Length: 9", body=b"a")) == b""


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
    source = source_of(module.__name__)
    ours = {*EdgeConnection.__slots__, *vars(EdgeConnection)}
    assert set(re.findall(r"self\.(_[a-z_]+)", source)) - ours == set(USED)


def test_the_shapes_on_which_the_edge_relies_are_unchanged() -> None:
    error = _ErrInfo(408, RequestTimeout(), "")
    assert (error.status, error.message) == (408, "")
    for name in ("handle_error", "finish_response", "data_received", "connection_made", "connection_lost"):
        theirs = inspect.signature(getattr(RequestHandler, name))
        assert parameters(module.__name__, "EdgeConnection", name) == list(theirs.parameters)
