"""What a caller gets of an agent's answer: all of it, as it came, as it comes, and no more than it can take."""

import asyncio
import gc
import gzip
from pathlib import Path

import pytest
from aiohttp.http_parser import RawRequestMessage
from aiohttp.streams import EMPTY_PAYLOAD
from aiohttp.test_utils import make_mocked_request

from gatewayd.edge.plain import PlainRequest
from gatewayd.exchange import Exchange
from gatewayd.framing import Head
from gatewayd.incoming import Incoming
from gatewayd.proxy.answer import AnswerHead, read_section
from gatewayd.proxy.body import Body
from gatewayd.proxy.connector import AgentProtocol
from gatewayd.proxy.relay import _HOLD_HEAD_BELOW, Relay
from tests.agents import answering, raw_agent
from tests.clocks import ManualClock
from tests.gateways import running_gateway
from tests.patience import PATIENCE
from tests.pauses import skip
from tests.policies.rings import EMAIL, Ring
from tests.proxy.wire import OK, beat, call, calling, chunked, message, saying
from tests.standins import SlowLedger, current, swap_stores

HEAD = b"HTTP/1.1 200 OK\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
EVERY_BYTE = bytes(range(256)) * 4
LARGE = EVERY_BYTE * 3000


def sized(body: bytes, *lines: bytes, status: bytes = b"200 OK") -> bytes:
    fields = b"".join(line + b"\r\n" for line in lines)
    return b"HTTP/1.1 %s\r\n%bContent-Length: %d\r\n\r\n%b" % (status, fields, len(body), body)


# ------------------------------------------------------------------ heads


async def test_the_agents_own_fields_pass_in_their_order_with_their_repeats(tmp_path: Path) -> None:
    fields = [
        ("Content-Type", "application/json"),
        ("Set-Cookie", "a=1; Path=/"),
        ("ETag", '"x"'),
        ("set-cookie", "b=2"),
        ("X-Usage-Quantity", "3"),
        ("X-Latin", "caf\xe9"),
        ("X-Empty", ""),
        ("X-Correlation-ID", "the agent's own"),
        ("Server", "uvicorn"),
    ]
    answer = sized(b"{}", *[f"{name}: {value}".encode("latin-1") for name, value in fields])
    async with raw_agent(answering(answer)) as agent, running_gateway(tmp_path, agent.url) as gateway:
        heard = await call(gateway)
    assert heard.fields[: len(fields)] == fields
    assert (heard.status, heard.reason, heard.body) == (200, "OK", b"{}")


async def test_the_agents_status_and_words_pass_unchanged(tmp_path: Path) -> None:
    answer = sized(b"no", b"Content-Type: text/plain", status=b"418 I am a teapot")
    async with raw_agent(answering(answer)) as agent, running_gateway(tmp_path, agent.url) as gateway:
        heard = await call(gateway)
    assert (heard.status, heard.reason, heard.body) == (418, "I am a teapot", b"no")


async def test_what_concerns_the_agents_connection_only_stays_on_it(tmp_path: Path) -> None:
    lines = [b"Connection: X-Secret", b"X-Secret: 1", b"Keep-Alive: timeout=5", b"Proxy-Authenticate: Basic"]
    lines += [b"Upgrade: h2c", b"Trailer: X-T", b"X-Stays: 1"]
    async with raw_agent(answering(sized(b"ok", *lines))) as agent, running_gateway(tmp_path, agent.url) as gateway:
        heard = await call(gateway)
    names = {name.lower() for name, _ in heard.fields}
    assert "x-stays" in names
    assert not names & {"connection", "x-secret", "keep-alive", "proxy-authenticate", "upgrade", "trailer"}


@pytest.mark.parametrize(
    ("server", "passes"),
    [("uvicorn", True), ("nginx/1.18.0", False), ("Python/3.11 aiohttp/3.9", False), ("Apache (Debian)", True)],
)
async def test_a_server_field_that_names_versions_goes_no_further(server: str, passes: bool, tmp_path: Path) -> None:
    answer = sized(b"ok", f"Server: {server}".encode())
    async with raw_agent(answering(answer)) as agent, running_gateway(tmp_path, agent.url) as gateway:
        heard = await call(gateway)
    assert heard.all("server") == ([server] if passes else [])


async def test_our_request_id_and_our_limits_are_the_only_ones(tmp_path: Path) -> None:
    lines = [b"X-Request-ID: theirs", b'RateLimit: "theirs";r=1;t=1', b'RateLimit-Policy: "theirs";q=1;w=1']
    async with raw_agent(answering(sized(b"ok", *lines))) as agent, running_gateway(tmp_path, agent.url) as gateway:
        heard = await call(gateway)
        (line,) = await gateway.log_lines(1)
    assert heard["x-request-id"] == line["request_id"]
    assert "user-minute" in heard["ratelimit"]
    assert "user-minute" in heard["ratelimit-policy"]
    assert "theirs" not in str(heard.fields)


async def test_an_agents_limits_pass_where_we_have_none(tmp_path: Path) -> None:
    unlimited = (
        "[plans.free]\ndefault = true\nquota = { api_calls = 0 }\n[rate_limit]\nlimits = []\nunauthenticated = []"
    )
    answer = sized(b"ok", b'RateLimit: "theirs";r=1;t=1')
    async with (
        raw_agent(answering(answer)) as agent,
        running_gateway(tmp_path, agent.url, general=unlimited) as gateway,
    ):
        heard = await call(gateway)
    assert heard["ratelimit"] == '"theirs";r=1;t=1'


# ------------------------------------------------------------------ bodies


@pytest.mark.parametrize(
    ("answer", "body", "framing"),
    [
        pytest.param(sized(b""), b"", "content-length", id="sized, empty"),
        pytest.param(sized(EVERY_BYTE), EVERY_BYTE, "content-length", id="sized, every byte"),
        pytest.param(sized(LARGE), LARGE, "content-length", id="sized, 3 MB"),
        pytest.param(CHUNKED + chunked(), b"", "transfer-encoding", id="chunked, empty"),
        pytest.param(CHUNKED + chunked(b"one", b"two"), b"onetwo", "transfer-encoding", id="chunked"),
        pytest.param(
            CHUNKED + chunked(*[LARGE[:99_991]] * 30), LARGE[:99_991] * 30, "transfer-encoding", id="chunked, 3 MB"
        ),
        pytest.param(CHUNKED + b"2;x=y\r\nok\r\n0\r\nX-T: 1\r\n\r\n", b"ok", "transfer-encoding", id="with trailers"),
        pytest.param(CHUNKED + b"2 \r\nok\r\n0\r\n\r\n", b"ok", "transfer-encoding", id="a space after a chunk size"),
    ],
)
async def test_a_body_comes_as_the_agent_sent_it(answer: bytes, body: bytes, framing: str, tmp_path: Path) -> None:
    async with raw_agent(answering(answer)) as agent, running_gateway(tmp_path, agent.url) as gateway:
        async with calling(gateway) as caller:
            for _ in range(2):
                await caller.send(message(gateway))
                heard = await caller.hear()
                assert (heard.status, heard.ending, heard.body == body) == (200, "whole", True)
                assert [name for name in ("content-length", "transfer-encoding") if heard.all(name)] == [framing]
                assert not heard.closes
        record = await gateway.record_of(heard["x-request-id"])
    assert (record["outcome"], record["bytes_out"]) == ("delivered", len(body))
    assert len(agent.received) == 1


@pytest.mark.parametrize("body", [b"", b"short", LARGE], ids=["empty", "short", "3 MB"])
async def test_a_body_that_ends_with_its_connection_becomes_a_chunked_one(body: bytes, tmp_path: Path) -> None:
    async with (
        raw_agent(saying(HEAD + b"\r\n" + body, then="close")) as agent,
        running_gateway(tmp_path, agent.url) as gateway,
    ):
        heard = await call(gateway)
        record = await gateway.record_of(heard["x-request-id"])
    assert (heard.ending, heard.body == body) == ("whole", True)
    assert heard["transfer-encoding"] == "chunked"
    assert record["outcome"] == "delivered"


async def test_a_coded_body_is_left_coded(tmp_path: Path) -> None:
    body = gzip.compress(b"hello" * 1000)
    answer = sized(body, b"Content-Encoding: gzip")
    async with raw_agent(answering(answer)) as agent, running_gateway(tmp_path, agent.url) as gateway:
        heard = await call(gateway, fields=["Accept-Encoding: gzip"])
    assert heard.body == body
    assert heard["content-encoding"] == "gzip"


async def test_a_range_is_the_agents_to_answer(tmp_path: Path) -> None:
    answer = sized(b"ell", b"Content-Range: bytes 1-3/5", status=b"206 Partial Content")
    async with raw_agent(answering(answer)) as agent, running_gateway(tmp_path, agent.url) as gateway:
        heard = await call(gateway, fields=["Range: bytes=1-3"])
    assert (heard.status, heard.body, heard["content-range"]) == (206, b"ell", "bytes 1-3/5")
    assert b"Range: bytes=1-3\r\n" in agent.received[0]


@pytest.mark.parametrize(
    ("method", "answer", "length"),
    [
        pytest.param("HEAD", HEAD + b"Content-Length: 12345\r\n\r\n", ["12345"], id="HEAD with a length"),
        pytest.param("HEAD", CHUNKED, [], id="HEAD of what would be chunked"),
        pytest.param("HEAD", HEAD + b"\r\n", [], id="HEAD without framing"),
        pytest.param("GET", b"HTTP/1.1 204 No Content\r\n\r\n", [], id="204"),
        pytest.param("GET", b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", [], id="204 with a length"),
        pytest.param("GET", b"HTTP/1.1 304 Not Modified\r\nETag: a\r\n\r\n", [], id="304"),
        pytest.param("GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", ["5"], id="304 with a length"),
        pytest.param("OPTIONS", b"HTTP/1.1 204 No Content\r\nAllow: GET\r\n\r\n", [], id="OPTIONS"),
    ],
)
async def test_an_answer_without_a_body_gets_none(
    method: str, answer: bytes, length: list[str], tmp_path: Path
) -> None:
    async with (
        raw_agent(answering(answer)) as agent,
        running_gateway(tmp_path, agent.url) as gateway,
        calling(gateway) as caller,
    ):
        for _ in range(3):
            await caller.send(message(gateway, method))
            heard = await caller.hear(method)
            assert heard.all("content-length") == length
            assert not heard.all("transfer-encoding")
        record = await gateway.record_of(heard["x-request-id"])
    assert (record["outcome"], record["bytes_out"]) == ("delivered", 0)


# ------------------------------------------------------------------ HTTP/1.0


async def test_a_caller_of_http_1_0_gets_a_body_that_ends_with_the_connection(tmp_path: Path) -> None:
    answer = CHUNKED + chunked(b"one", b"two")
    async with raw_agent(answering(answer)) as agent, running_gateway(tmp_path, agent.url) as gateway:
        heard = await call(gateway, version="1.0", fields=["Connection: keep-alive"])
    assert (heard.body, heard.ending) == (b"onetwo", "whole")
    assert heard.closes
    assert not heard.all("transfer-encoding")


@pytest.mark.parametrize(("asks", "kept"), [("keep-alive", True), ("close", False), (None, False)])
async def test_a_caller_of_http_1_0_keeps_his_connection_if_he_asks(
    asks: str | None, kept: bool, tmp_path: Path
) -> None:
    async with (
        raw_agent(answering(OK)) as agent,
        running_gateway(tmp_path, agent.url) as gateway,
        calling(gateway) as caller,
    ):
        fields = [f"Connection: {asks}"] if asks else []
        await caller.send(message(gateway, version="1.0", fields=fields))
        heard = await caller.hear()
        assert (heard.body, heard["content-length"]) == (b"ok", "2")
        assert heard["connection"] == ("keep-alive" if kept else "close")
        if kept:
            await caller.send(message(gateway, version="1.0"))
            assert (await caller.hear()).body == b"ok"
        assert await caller.gone() == b""


async def test_a_caller_who_closes_is_told_so(tmp_path: Path) -> None:
    async with (
        raw_agent(answering(OK)) as agent,
        running_gateway(tmp_path, agent.url) as gateway,
        calling(gateway) as caller,
    ):
        await caller.send(message(gateway, fields=["Connection: close"]))
        heard = await caller.hear()
        assert (heard.body, heard["connection"]) == (b"ok", "close")
        assert await caller.gone() == b""


# ------------------------------------------------------------------ interim heads

HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\nConnection: X-B\r\nX-B: 1\r\n\r\n"


async def test_interim_heads_pass_as_they_come(tmp_path: Path) -> None:
    hinted = asyncio.Event()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(HINTS + b"HTTP/1.1 102 Processing\r\n\r\n")
        await hinted.wait()
        writer.write(OK)
        await reader.read()

    async with (
        raw_agent(script) as agent,
        running_gateway(tmp_path, agent.url) as gateway,
        calling(gateway) as caller,
    ):
        await caller.send(message(gateway))
        hints, processing = await caller.head(), await caller.head()
        hinted.set()
        heard = await caller.hear()
    assert (hints.status, hints.reason, hints.fields) == (103, "Early Hints", [("Link", "</a.css>; rel=preload")])
    assert processing.status == 102
    assert (heard.status, heard.body) == (200, b"ok")


@pytest.mark.parametrize(
    ("interim", "version"),
    [
        pytest.param(b"HTTP/1.1 100 Continue\r\n\r\n", "1.1", id="100, which is between us and the agent"),
        pytest.param(HINTS, "1.0", id="103 to HTTP/1.0, which knows none"),
    ],
)
async def test_an_interim_head_that_the_caller_cannot_use_stays_here(
    interim: bytes, version: str, tmp_path: Path
) -> None:
    async with raw_agent(saying(interim + OK)) as agent, running_gateway(tmp_path, agent.url) as gateway:
        heard = await call(gateway, version=version)
    assert (heard.status, heard.interim, heard.body) == (200, [], b"ok")


# ------------------------------------------------------------------ streams


async def test_each_event_is_forwarded_when_it_comes(tmp_path: Path) -> None:
    gates = [asyncio.Event() for _ in range(5)]

    async def events(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(HEAD + b"Content-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        for number, gate in enumerate(gates):
            await gate.wait()
            writer.write(b"a\r\ndata: %d\r\n\n\r\n" % number)
        writer.write(b"0\r\n\r\n")
        await reader.read()

    async with (
        raw_agent(events) as agent,
        running_gateway(tmp_path, agent.url) as gateway,
        calling(gateway) as caller,
    ):
        await caller.send(message(gateway))
        head = await caller.head()
        for number, gate in enumerate(gates):
            gate.set()
            assert await asyncio.wait_for(caller.chunk(), PATIENCE) == b"data: %d\r\n\n" % number
        assert await caller.chunk() == b""
        record = await gateway.record_of(head["x-request-id"])
    assert head["content-type"] == "text/event-stream"
    assert (record["outcome"], record["bytes_out"]) == ("delivered", 50)


async def test_the_last_words_before_a_break_are_passed_on(tmp_path: Path) -> None:
    asked, told = asyncio.Event(), asyncio.Event()

    async def dies(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(CHUNKED + b"3\r\none\r\n")
        asked.set()
        await told.wait()
        writer.write(b"5\r\nerror\r\n")

    async with (
        raw_agent(dies) as agent,
        running_gateway(tmp_path, agent.url) as gateway,
        calling(gateway) as caller,
    ):
        await caller.send(message(gateway))
        await caller.head()
        assert await caller.chunk() == b"one"
        told.set()
        assert await caller.chunk() == b"error"
        assert await caller.gone() == b""


async def test_a_slow_reader_holds_the_agent_back(tmp_path: Path) -> None:
    written = 0

    async def floods(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal written
        await reader.readuntil(b"\r\n\r\n")
        writer.write(HEAD + b"Content-Length: 80000000\r\n\r\n")
        for _ in range(800):
            writer.write(b"x" * 100_000)
            await writer.drain()
            written += 100_000
        await reader.read()

    async with (
        raw_agent(floods) as agent,
        running_gateway(tmp_path, agent.url) as gateway,
        calling(gateway, window=65536) as caller,
    ):
        await caller.send(message(gateway))
        await caller.head()
        before = -1
        while before != written:  # until the agent comes no further
            before = written
            for _ in range(20):
                await beat()
        held_back_at = written
        left = 80_000_000
        while left:
            left -= len(await caller.reader.read(left))
    # what lies in the gateway, and in the buffers of two loopback connections (several MB each, as Linux tunes them)
    assert held_back_at < 30_000_000
    assert written == 80_000_000


async def test_a_caller_who_takes_nothing_is_given_up(tmp_path: Path) -> None:
    route = '[routes.email]\nprefix = "/api/email"\nupstream = "{}"\ntimeouts = {{ idle = "150ms" }}'

    async def floods(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(CHUNKED)
        while True:
            writer.write(b"186a0\r\n" + b"x" * 100_000 + b"\r\n")
            await writer.drain()

    async with (
        raw_agent(floods) as agent,
        running_gateway(tmp_path, routes=route.format(agent.url)) as gateway,
        calling(gateway, window=65536) as caller,
    ):
        await caller.send(message(gateway))
        await asyncio.wait_for(agent.closed.wait(), PATIENCE)
        (record,) = await gateway.records_when(1)
        (line,) = await gateway.log_lines(1)
    assert (record["outcome"], record["quantity"]) == ("client_closed", 1)
    assert (line["status"], line["code"]) == (499, "client_closed")


async def test_a_caller_who_took_more_while_the_gateway_stood_still_took_it_in_time(tmp_path: Path) -> None:
    agents: list[asyncio.StreamWriter] = []

    async def streams(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        agents.append(writer)
        writer.write(CHUNKED + b"3\r\none\r\n")
        await reader.read()

    async with (
        raw_agent(streams) as agent,
        running_gateway(tmp_path, agent.url) as gateway,
        calling(gateway) as caller,
    ):
        await caller.send(message(gateway))
        await caller.head()
        assert await caller.chunk() == b"one"
        [line] = gateway.daemon.connections
        line.pause_writing()
        agents[0].write(b"3\r\ntwo\r\n")
        assert await caller.chunk() == b"two"
        asyncio.get_running_loop().call_soon(line.resume_writing)
        skip(100)
        agents[0].write(b"5\r\nthree\r\n0\r\n\r\n")
        assert await caller.chunk() == b"three"
        [logged] = await gateway.log_lines(1)
    assert logged["outcome"] == "delivered"


# ------------------------------------------------------------------ the head of a small answer


@pytest.mark.parametrize(
    ("length", "held"),
    [
        pytest.param(_HOLD_HEAD_BELOW, True, id="small: it leaves with its body"),
        pytest.param(_HOLD_HEAD_BELOW + 1, False, id="large: it leaves at once"),
    ],
)
async def test_only_the_head_of_a_small_answer_waits_for_its_first_byte(
    length: int, held: bool, tmp_path: Path
) -> None:
    goes_on = asyncio.Event()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(HEAD + b"Content-Length: %d\r\n\r\n" % length)
        await goes_on.wait()
        writer.write(b"x")
        await reader.read()

    async with (
        raw_agent(script) as agent,
        running_gateway(tmp_path, agent.url) as gateway,
        calling(gateway) as caller,
    ):
        await caller.send(message(gateway))
        head = asyncio.create_task(caller.head())
        if held:
            while not agent.received or not agent.received[0]:
                await beat()
            await beat()
            assert not head.done()
            goes_on.set()
        assert (await head).status == 200
        goes_on.set()
        assert await caller.reader.readexactly(1) == b"x"


async def test_a_small_answer_leaves_in_one_write(tmp_path: Path) -> None:
    async with (
        raw_agent(answering(OK)) as agent,
        running_gateway(tmp_path, agent.url) as gateway,
        calling(gateway) as caller,
    ):
        await caller.send(message(gateway))
        assert (await caller.reader.read(65536)).endswith(b"\r\n\r\nok")


async def test_the_record_is_there_before_the_last_byte(tmp_path: Path) -> None:
    async with (
        raw_agent(saying(CHUNKED + b"2\r\nok\r\n", b"4\r\nlast\r\n0\r\n\r\n")) as agent,
        running_gateway(tmp_path, agent.url) as gateway,
        calling(gateway) as caller,
    ):
        await caller.send(message(gateway))
        heard = await caller.hear()
        assert heard.body == b"oklast"
        assert [record["id"] for record in await gateway.posted()] == [heard["x-request-id"]]


@pytest.mark.parametrize("stays", [True, False])
async def test_the_last_byte_waits_for_the_record_and_the_log_agrees_with_it(stays: bool, tmp_path: Path) -> None:
    async with raw_agent(answering(OK)) as agent, running_gateway(tmp_path, agent.url) as gateway:
        slow = SlowLedger(current(gateway).stores.ledger)
        slow.holding.set()
        swap_stores(gateway, ledger=slow)
        async with calling(gateway) as caller:
            await caller.send(message(gateway))
            hearing = asyncio.create_task(caller.hear())
            while not await gateway.posted():
                await beat()
            assert not hearing.done()
            if stays:
                slow.settling.set()
                assert (await hearing).body == b"ok"
        hearing.cancel()
        (line,) = await gateway.log_lines(1)
        (record,) = await gateway.posted()
        slow.settling.set()
    assert (record["outcome"], record["status"]) == ("delivered", 200)
    assert (line["outcome"], line["status"], line["code"]) == ("delivered", 200, None)


@pytest.mark.parametrize("odd", [b"", b"X-Odd: \xc3\xa9\r\n"], ids=["plain", "parsed"])
async def test_a_connection_that_idles_holds_nothing_of_its_last_request(tmp_path: Path, odd: bytes) -> None:
    """Of a head there is a token in it."""
    kinds = (Exchange, Relay, Incoming, PlainRequest, Head, RawRequestMessage)

    def there_are() -> list[object]:
        gc.collect()
        return [each for each in gc.get_objects() if isinstance(each, kinds)]

    async with (
        raw_agent(answering(OK)) as agent,
        running_gateway(tmp_path, agent.url) as gateway,
        calling(gateway) as caller,
    ):
        before = there_are()
        await caller.send(message(gateway).replace(b"Host:", odd + b"Host:", 1))
        assert (await caller.hear()).status == 200
        await beat()
        held = [type(each) for each in there_are() if not any(each is other for other in before)]
    assert held == []


async def test_an_answer_whose_caller_is_gone_at_the_end_is_not_written() -> None:
    request, clock = make_mocked_request("GET", "/"), ManualClock()
    head = AnswerHead(200, b"OK", read_section(()), 0, chunked=False, has_body=True)
    exchange = Exchange(request, Ring(EMAIL, clock).generation, clock)
    body = Body(EMPTY_PAYLOAD, AgentProtocol(asyncio.get_running_loop()), chunked=False, until_close=False)
    relay = Relay(exchange, request, head, body, idle=0, reusable=True)
    request._protocol.transport = None
    relay.finish()
    assert not exchange.sent
