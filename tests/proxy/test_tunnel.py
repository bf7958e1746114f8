"""A WebSocket through the gateway, end to end: nothing is changed, nothing is lost, nobody is left waiting."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import aiohttp
import pytest
from aiohttp import web
from aiohttp.base_protocol import BaseProtocol
from aiohttp.test_utils import TestServer, make_mocked_request

from gatewayd.errors import ClientClosed
from gatewayd.proxy.answer import AnswerHead, read_section
from gatewayd.proxy.tunnel import Direction, Tunnel
from tests.agents import Script, answering, raw_agent
from tests.gateways import RunningGateway, running_gateway
from tests.patience import PATIENCE
from tests.proxy.test_websocket import Frame
from tests.proxy.wire import OK, Caller, Heard, at_first, beat, calling, message, reset, saying
from tests.sealing import NONE

ROUTE = """
[routes.email]
prefix = "/api/email"
upstream = "{upstream}"
{more}
"""
ASKS = ["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZQ=="]
SWITCHES = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nX-Own: 1\r\n\r\n"
CLOSE = bytes(Frame(0x8, (1000).to_bytes(2, "big")))
MASKED_CLOSE = bytes(Frame(0x8, (1000).to_bytes(2, "big"), masked=True))
LARGE = bytes(range(256)) * 4 * 3000
BLOCK = bytes(Frame(0x2, bytes(999_990)))  # a million bytes
BLOCKS = 80  # far more than the buffers of two loopback connections (some MB each, as Linux tunes them) can hold
AT_MOST = 30_000_000


def switching(then: Script, early: bytes = b"") -> Script:
    """Agrees to the upgrade, says `early` with the same breath, and goes on as told."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(SWITCHES + early)
        await then(reader, writer)

    return script


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()


async def says_nothing(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    while await reader.read(65536):
        pass


async def upgraded(caller: Caller, gateway: RunningGateway, *more: str) -> Heard:
    await caller.send(message(gateway, fields=[*ASKS, *more]))
    heard = await caller.head()
    assert heard.status == 101
    return heard


@asynccontextmanager
async def websocket_agent(
    talk: Callable[[web.WebSocketResponse], Awaitable[None]], **options: Any
) -> AsyncIterator[str]:
    async def handle(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(max_msg_size=0, **options)
        await socket.prepare(request)
        await talk(socket)
        return socket

    app = web.Application()
    app.router.add_get("/api/email/ws", handle)
    async with TestServer(app) as server:
        yield f"http://127.0.0.1:{server.port}/api/email"


@asynccontextmanager
async def connected(gateway: RunningGateway, **options: Any) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    async with (
        aiohttp.ClientSession(headers=gateway.bearer()) as session,
        session.ws_connect(gateway.url + "/api/email/ws", max_msg_size=0, **options) as socket,
    ):
        yield socket


async def echoing(socket: web.WebSocketResponse) -> None:
    async for each in socket:
        if each.type is aiohttp.WSMsgType.TEXT:
            await socket.send_str(each.data)
        else:
            await socket.send_bytes(each.data)


# ------------------------------------------------------------------ what passes


async def test_a_conversation_of_text_and_binary_ends_with_its_close_code(tmp_path: Path) -> None:
    codes: list[int | None] = []

    async def talk(socket: web.WebSocketResponse) -> None:
        await echoing(socket)
        codes.append(socket.close_code)

    async with websocket_agent(talk) as url, running_gateway(tmp_path, url) as gateway:
        async with connected(gateway) as socket:
            await socket.send_str("grüezi")
            assert await socket.receive_str() == "grüezi"
            await socket.send_bytes(LARGE)
            assert await socket.receive_bytes() == LARGE
            await socket.close(code=4321)
        (record,) = await gateway.records_when(1)
        (line,) = await gateway.log_lines(1)
    assert codes == [4321]
    assert (record["outcome"], record["quantity"], record["status"]) == ("delivered", 1, 101)
    assert min(record["bytes_in"], record["bytes_out"]) > len(LARGE)
    assert (line["status"], line["code"]) == (101, None)


async def test_the_agents_close_code_reaches_the_caller(tmp_path: Path) -> None:
    async def talk(socket: web.WebSocketResponse) -> None:
        await socket.send_str("last words")
        await socket.close(code=4999, message=b"because")

    async with websocket_agent(talk) as url, running_gateway(tmp_path, url) as gateway:
        async with connected(gateway) as socket:
            assert await socket.receive_str() == "last words"
            closing = await socket.receive()
            assert (closing.type, closing.data, closing.extra) == (aiohttp.WSMsgType.CLOSE, 4999, "because")
        (record,) = await gateway.records_when(1)
    assert record["outcome"] == "delivered"


async def test_pings_and_pongs_are_the_ends_business(tmp_path: Path) -> None:
    async def talk(socket: web.WebSocketResponse) -> None:
        message = await socket.receive()
        assert message.type is aiohttp.WSMsgType.PING
        await socket.pong(message.data)

    async with (
        websocket_agent(talk, autoping=False) as url,
        running_gateway(tmp_path, url) as gateway,
        connected(gateway, autoping=False) as socket,
    ):
        await socket.ping(b"are you there")
        answer = await socket.receive()
    assert (answer.type, bytes(answer.data)) == (aiohttp.WSMsgType.PONG, b"are you there")


async def test_subprotocols_and_extensions_are_agreed_between_the_ends(tmp_path: Path) -> None:
    async with (
        websocket_agent(echoing, protocols=("chat.v2",)) as url,
        running_gateway(tmp_path, url) as gateway,
        connected(gateway, protocols=("chat.v1", "chat.v2"), compress=15) as socket,
    ):
        assert socket.protocol == "chat.v2"
        assert socket.compress == 15
        await socket.send_str("a" * 100_000)
        assert await socket.receive_str() == "a" * 100_000
        await socket.close()
        (record,) = await gateway.records_when(1)
    assert record["bytes_in"] < 10_000  # it stayed compressed


async def test_frames_pass_byte_for_byte_however_they_are_cut(tmp_path: Path) -> None:
    frames = b"".join(
        map(
            bytes,
            [
                Frame(0x1, b"frag", masked=True, fin=False),
                Frame(0x9, b"ping between fragments", masked=True),
                Frame(0x0, b"ment", masked=True),
                Frame(0x2, LARGE, masked=True),
                Frame(0x3, b"reserved for who knows what", masked=True),
            ],
        )
    )
    async with (
        raw_agent(switching(echo)) as agent,
        running_gateway(tmp_path, agent.url) as gateway,
        calling(gateway) as caller,
    ):
        heard = await upgraded(caller, gateway)
        sending = asyncio.create_task(caller.send(frames))
        assert await caller.reader.readexactly(len(frames)) == frames
        await sending
    assert heard["upgrade"] == "websocket"
    assert heard["connection"] == "Upgrade"
    assert heard["x-own"] == "1"
    assert heard["x-request-id"]
    head = bytes(agent.received[0])
    assert b"Connection: Upgrade\r\nUpgrade: websocket\r\n" in head
    assert b"Sec-WebSocket-Key: dGhlIHNhbXBsZQ==\r\n" in head
    assert b"Authorization" not in head


def said_by(masked: bool) -> dict[str, list[Frame]]:
    """What one side may say; a caller masks it (RFC 6455 section 5.1)."""
    return {
        "fragments": [
            Frame(0x1, b"fr", masked, fin=False),
            Frame(0x0, b"ag", masked, fin=False),
            Frame(0x0, b"", masked),
        ],
        "a ping between fragments": [
            Frame(0x2, b"a", masked, fin=False),
            Frame(0x9, b"ping", masked),
            Frame(0xA, b"pong", masked),
            Frame(0x0, b"b", masked),
        ],
        "every length": [Frame(0x2, bytes(size), masked) for size in (0, 1, 125, 126, 127, 65_535, 65_536)],
        "a close code and its reason": [Frame(0x1, b"last", masked), Frame(0x8, b"\x0f\xa1" + b"because", masked)],
        "a close without a code": [Frame(0x8, b"", masked)],
        "frames that no standard knows": [Frame(0x3, b"?", masked), Frame(0xB, b"?", masked)],
    }


@pytest.mark.parametrize("step", [1, 7, 1 << 20], ids=["byte by byte", "in sevens", "at once"])
@pytest.mark.parametrize("case", said_by(masked=True))
async def test_both_sides_hear_the_very_bytes_that_the_other_said(case: str, step: int, tmp_path: Path) -> None:
    callers, agents = (b"".join(map(bytes, said_by(masked)[case])) for masked in (True, False))
    kept = bytearray()

    async def says(writer: asyncio.StreamWriter, data: bytes) -> None:
        for start in range(0, len(data), max(step, len(data) // 300)):
            writer.write(data[start : start + max(step, len(data) // 300)])
            await asyncio.sleep(0)

    async def answers(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        kept.extend(await reader.readexactly(len(callers)))
        await says(writer, agents)
        await reader.read()

    async with (
        raw_agent(switching(answers)) as agent,
        running_gateway(tmp_path, agent.url) as gateway,
        calling(gateway) as caller,
    ):
        await upgraded(caller, gateway)
        await says(caller.writer, callers)
        assert await caller.reader.readexactly(len(agents)) == agents
        assert kept == callers
        caller.writer.write_eof()
        assert await caller.gone() == b""
        (record,) = await gateway.records_when(1)
    assert record["outcome"] == ("delivered" if "close" in case else "client_closed")
    assert (record["bytes_in"], record["bytes_out"]) == (len(callers), len(agents))


async def test_a_subprotocol_and_what_else_the_heads_say_is_the_ends_business(tmp_path: Path) -> None:
    switch = (
        SWITCHES.removesuffix(b"\r\n") + b"Sec-WebSocket-Protocol: chat.v2\r\nSec-WebSocket-Accept: anything\r\n\r\n"
    )

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + switch)
        await echo(reader, writer)

    offers = ["Sec-WebSocket-Protocol: chat.v1, chat.v2", "Sec-WebSocket-Protocol: chat.v3"]
    async with (
        raw_agent(script) as agent,
        running_gateway(tmp_path, agent.url) as gateway,
        calling(gateway) as caller,
    ):
        await caller.send(message(gateway, fields=[*ASKS, *offers]))
        hints, heard = await caller.head(), await caller.head()
        await caller.send(MASKED_CLOSE)
        assert await caller.reader.readexactly(len(MASKED_CLOSE)) == MASKED_CLOSE
    assert (hints.status, heard.status) == (103, 101)
    assert (heard["sec-websocket-protocol"], heard["sec-websocket-accept"]) == ("chat.v2", "anything")
    assert "\r\n".join(offers).encode() in agent.received[0]


async def test_what_is_said_in_one_breath_with_the_switch_arrives(tmp_path: Path) -> None:
    hello = bytes(Frame(0x1, b"hello"))
    async with (
        raw_agent(switching(echo, early=hello)) as agent,
        running_gateway(tmp_path, agent.url) as gateway,
        calling(gateway) as caller,
    ):
        await caller.send(message(gateway, fields=ASKS) + b"too early")
        assert (await caller.head()).status == 101
        assert await caller.reader.readexactly(len(hello) + 9) == hello + b"too early"


# ------------------------------------------------------------------ back-pressure


async def settled(figure: Callable[[], int]) -> int:
    """The figure once it has stopped moving."""
    before = -1
    while before != figure():
        before = figure()
        for _ in range(20):
            await beat()
    return before


@pytest.mark.parametrize("early", [b"", BLOCK * 3], ids=["after the switch", "in one breath with it"])
async def test_a_caller_who_does_not_read_holds_the_agent_back(early: bytes, tmp_path: Path) -> None:
    written = 0

    async def floods(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal written
        for _ in range(BLOCKS):
            writer.write(BLOCK)
            await writer.drain()
            written += len(BLOCK)
        writer.write(CLOSE)

    total = len(early) + BLOCKS * len(BLOCK) + len(CLOSE)
    async with (
        raw_agent(switching(floods, early)) as agent,
        running_gateway(tmp_path, agent.url) as gateway,
        calling(gateway, window=65536) as caller,
    ):
        await upgraded(caller, gateway)
        held_back_at = await settled(lambda: written)
        heard = 0
        while piece := await caller.reader.read(1 << 20):
            heard += len(piece)
        (record,) = await gateway.records_when(1)
    assert held_back_at < AT_MOST
    assert heard == total == record["bytes_out"]
    assert record["outcome"] == "delivered"


async def test_an_agent_that_does_not_read_holds_the_caller_back(tmp_path: Path) -> None:
    goes_on = asyncio.Event()

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await goes_on.wait()
        left = BLOCKS * len(BLOCK)
        while left:
            left -= len(await reader.read(left))
        writer.write(CLOSE)

    async with (
        raw_agent(switching(slow)) as agent,
        running_gateway(tmp_path, agent.url) as gateway,
        calling(gateway) as caller,
    ):
        await upgraded(caller, gateway)
        sending = asyncio.create_task(caller.send(BLOCK * BLOCKS))
        await beat()
        left = await settled(caller.writer.transport.get_write_buffer_size)
        goes_on.set()
        await sending
        assert await caller.gone() == CLOSE
    assert BLOCKS * len(BLOCK) - left < AT_MOST


async def test_a_caller_who_leaves_while_he_holds_the_agent_back_ends_it_at_once(tmp_path: Path) -> None:
    written = 0

    async def floods(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal written
        while True:
            writer.write(BLOCK)
            await writer.drain()
            written += len(BLOCK)

    async with raw_agent(switching(floods)) as agent, running_gateway(tmp_path, agent.url) as gateway:
        async with calling(gateway, window=65536) as caller:
            await upgraded(caller, gateway)
            await settled(lambda: written)
            caller.leave()
        await asyncio.wait_for(agent.closed.wait(), PATIENCE)
        (record,) = await gateway.records_when(1)
    assert record["outcome"] == "client_closed"


async def test_an_agent_that_resets_while_it_holds_the_caller_back_ends_it_at_once(tmp_path: Path) -> None:
    goes_on = asyncio.Event()

    async def resets(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        await goes_on.wait()
        reset(writer)

    async with (
        raw_agent(switching(resets)) as agent,
        running_gateway(tmp_path, agent.url) as gateway,
        calling(gateway) as caller,
    ):
        await upgraded(caller, gateway)
        caller.writer.write(BLOCK * BLOCKS)
        await beat()
        await settled(caller.writer.transport.get_write_buffer_size)
        goes_on.set()
        (record,) = await gateway.records_when(1)
    assert record["outcome"] == "failed"


# ------------------------------------------------------------------ how it ends


async def test_an_agent_that_drops_the_connection_has_failed(tmp_path: Path) -> None:
    async def drops(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(bytes(Frame(0x1, b"hello")))

    async with (
        raw_agent(switching(drops)) as agent,
        running_gateway(tmp_path, agent.url) as gateway,
        calling(gateway) as caller,
    ):
        await upgraded(caller, gateway)
        assert await caller.gone() == bytes(Frame(0x1, b"hello"))
        (record,) = await gateway.records_when(1)
        (line,) = await gateway.log_lines(1)
    assert (record["outcome"], record["quantity"], record["status"]) == ("failed", 0, 101)
    assert (line["status"], line["code"]) == (101, "upstream_reset")


async def test_an_agent_that_resets_the_connection_has_failed(tmp_path: Path) -> None:
    async def resets(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await beat()
        reset(writer)

    async with (
        raw_agent(switching(resets)) as agent,
        running_gateway(tmp_path, agent.url) as gateway,
        calling(gateway) as caller,
    ):
        await upgraded(caller, gateway)
        assert await caller.gone() == b""
        (record,) = await gateway.records_when(1)
    assert record["outcome"] == "failed"


async def test_a_caller_who_drops_the_connection_takes_the_agent_along(tmp_path: Path) -> None:
    async with raw_agent(switching(says_nothing)) as agent, running_gateway(tmp_path, agent.url) as gateway:
        async with calling(gateway) as caller:
            await upgraded(caller, gateway)
            caller.leave()
        await asyncio.wait_for(agent.closed.wait(), PATIENCE)
        (record,) = await gateway.records_when(1)
        (line,) = await gateway.log_lines(1)
    assert (record["outcome"], record["quantity"], record["status"]) == ("client_closed", 1, 499)
    assert (line["status"], line["code"]) == (499, "client_closed")


async def test_a_caller_who_leaves_after_goodbye_was_served(tmp_path: Path) -> None:
    async with raw_agent(switching(says_nothing)) as agent, running_gateway(tmp_path, agent.url) as gateway:
        async with calling(gateway) as caller:
            await upgraded(caller, gateway)
            await caller.send(MASKED_CLOSE)
            while MASKED_CLOSE not in agent.received[0]:
                await beat()
        await asyncio.wait_for(agent.closed.wait(), PATIENCE)
        (record,) = await gateway.records_when(1)
    assert (record["outcome"], record["status"]) == ("delivered", 101)


async def test_the_last_bytes_of_the_agent_are_not_lost(tmp_path: Path) -> None:
    async def says_all_at_once(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(LARGE + CLOSE)

    async with (
        raw_agent(switching(says_all_at_once)) as agent,
        running_gateway(tmp_path, agent.url) as gateway,
        calling(gateway, window=65536) as caller,
    ):
        await upgraded(caller, gateway)
        await agent.closed.wait()
        assert await caller.gone() == LARGE + CLOSE


async def test_the_last_bytes_of_the_caller_are_not_lost(tmp_path: Path) -> None:
    heard, goes_on = bytearray(), asyncio.Event()

    async def slow(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await goes_on.wait()
        while piece := await reader.read(65536):
            heard.extend(piece)

    async with (
        raw_agent(switching(slow)) as agent,
        running_gateway(tmp_path, agent.url) as gateway,
        calling(gateway) as caller,
    ):
        await upgraded(caller, gateway)
        caller.writer.write(LARGE + MASKED_CLOSE)
        caller.writer.close()
        await beat()
        goes_on.set()
        await asyncio.wait_for(agent.closed.wait(), PATIENCE)
    assert bytes(heard) == LARGE + MASKED_CLOSE


QUIET = 'timeouts = { connect = "1s", first_byte = "5s", idle = "150ms" }'


async def test_a_tunnel_in_which_nobody_speaks_is_closed(tmp_path: Path) -> None:
    async with raw_agent(switching(says_nothing)) as agent:
        route = ROUTE.format(upstream=agent.url, more=QUIET)
        async with running_gateway(tmp_path, routes=route) as gateway, calling(gateway) as caller:
            await upgraded(caller, gateway)
            assert await caller.gone() == b""
            await asyncio.wait_for(agent.closed.wait(), PATIENCE)
            (record,) = await gateway.records_when(1)
    assert (record["outcome"], record["quantity"]) == ("delivered", 1)


async def test_a_tunnel_in_which_somebody_speaks_stays_open(tmp_path: Path) -> None:
    loop = asyncio.get_running_loop()
    async with raw_agent(switching(echo)) as agent:
        route = ROUTE.format(upstream=agent.url, more=QUIET.replace("150ms", "400ms"))
        async with running_gateway(tmp_path, routes=route) as gateway, calling(gateway) as caller:
            await upgraded(caller, gateway)
            ends = loop.time() + 0.6
            while loop.time() < ends:
                await caller.send(b"x")
                assert await caller.reader.readexactly(1) == b"x"
                await beat()
            assert await caller.gone() == b""


async def test_the_total_time_ends_a_tunnel_too(tmp_path: Path) -> None:
    async with raw_agent(switching(echo)) as agent:
        route = ROUTE.format(upstream=agent.url, more='timeouts = { total = "500ms" }')
        async with running_gateway(tmp_path, routes=route) as gateway, calling(gateway) as caller:
            await upgraded(caller, gateway)
            assert await caller.gone() == b""
            (line,) = await gateway.log_lines(1)
    assert (line["status"], line["code"], line["outcome"]) == (101, "upstream_timeout", "failed")


async def test_a_tunnel_without_an_idle_time_is_not_watched(tmp_path: Path) -> None:
    async with raw_agent(switching(echo)) as agent:
        route = ROUTE.format(upstream=agent.url, more='timeouts = { idle = "0s" }')
        async with running_gateway(tmp_path, routes=route) as gateway, calling(gateway) as caller:
            await upgraded(caller, gateway)
            await caller.send(b"x")
            assert await caller.reader.readexactly(1) == b"x"


# ------------------------------------------------------------------ when it does not begin


@pytest.mark.parametrize("status", [b"400 Bad Request", b"403 Forbidden", b"426 Upgrade Required", b"200 OK"])
async def test_an_agent_that_does_not_switch_answers_as_usual(status: bytes, tmp_path: Path) -> None:
    answer = b"HTTP/1.1 " + status + b"\r\nContent-Length: 2\r\n\r\nno"
    async with (
        raw_agent(answering(answer)) as agent,
        running_gateway(tmp_path, agent.url) as gateway,
        calling(gateway) as caller,
    ):
        for _ in range(2):
            await caller.send(message(gateway, fields=ASKS))
            heard = await caller.hear()
            assert (heard.status, heard.body) == (int(status[:3]), b"no")
        assert [record["outcome"] for record in await gateway.records_when(2)] == ["delivered"] * 2
    assert len(agent.received) == 1


@pytest.mark.parametrize(
    ("setting", "method", "version", "upgrade"),
    [
        pytest.param("upgrades = []", "GET", "1.1", "websocket", id="the route allows none"),
        pytest.param("", "GET", "1.1", "h2c", id="h2c"),
        pytest.param("", "GET", "1.1", "websocket, h2c", id="one of several"),
        pytest.param("", "POST", "1.1", "websocket", id="not a GET"),
        pytest.param("", "GET", "1.0", "websocket", id="HTTP/1.0"),
    ],
)
async def test_an_upgrade_that_is_not_allowed_reaches_no_agent(
    setting: str, method: str, version: str, upgrade: str, tmp_path: Path
) -> None:
    async with raw_agent(switching(echo)) as agent:
        route = ROUTE.format(upstream=agent.url, more=setting)
        async with running_gateway(tmp_path, routes=route) as gateway, calling(gateway) as caller:
            fields = ["Connection: Upgrade", f"Upgrade: {upgrade}"]
            await caller.send(message(gateway, method, version=version, fields=fields))
            heard = await caller.hear()
    assert heard.status == 400
    assert b'"code":"bad_request"' in heard.body
    assert not agent.received


@pytest.mark.parametrize(
    "switch",
    [
        pytest.param(SWITCHES.replace(b"websocket", b"h2c"), id="to another protocol"),
        pytest.param(SWITCHES.replace(b"Connection: Upgrade\r\n", b""), id="without Connection"),
        pytest.param(SWITCHES.replace(b"Upgrade: websocket\r\n", b""), id="without Upgrade"),
    ],
)
async def test_a_switch_that_was_not_asked_for_is_no_answer(switch: bytes, tmp_path: Path) -> None:
    async with (
        raw_agent(at_first(saying(switch))) as agent,
        running_gateway(tmp_path, agent.url) as gateway,
        calling(gateway) as caller,
    ):
        await caller.send(message(gateway, fields=ASKS))
        heard = await caller.hear()
        record = await gateway.record_of(heard["x-request-id"])
        await caller.send(message(gateway))
        following = await caller.hear()
    assert heard.status == 502
    assert b'"code":"upstream_protocol"' in heard.body
    assert (record["outcome"], record["quantity"]) == ("failed", 0)
    assert (following.status, following.body) == (200, OK[-2:])


# ------------------------------------------------------------------ one direction, alone


class Pipe:
    """A transport that keeps what it is told."""

    def __init__(self) -> None:
        self.written = bytearray()
        self.paused: list[bool] = []
        self.closing = False
        self.aborted = False

    def close(self) -> None:
        self.closing = True

    def abort(self) -> None:
        self.aborted = True

    def get_write_buffer_size(self) -> int:
        return 0

    def write(self, data: bytes) -> None:
        self.written += data

    def is_closing(self) -> bool:
        return self.closing

    def pause_reading(self) -> None:
        self.paused.append(True)

    def resume_reading(self) -> None:
        self.paused.append(False)


class Side(BaseProtocol):
    def __init__(self) -> None:
        super().__init__(asyncio.get_running_loop())
        self.pipe = Pipe()
        self.transport = cast("asyncio.Transport", self.pipe)


def tunnel_between(source: Side, sink: Side) -> tuple[Tunnel, Direction]:
    request = make_mocked_request("GET", "/")
    call = SimpleNamespace(protocol=sink)
    exchange = SimpleNamespace(bytes_in=0, bytes_out=0, sent=False, fields=[], generation=SimpleNamespace(ledger=NONE))
    head = AnswerHead(101, b"Switching Protocols", read_section(()), None, chunked=False, has_body=False)
    tunnel = Tunnel(exchange, request, call, head, b"websocket", 0.0)  # type: ignore[arg-type]
    return tunnel, Direction(tunnel, source, sink)


async def test_a_source_that_is_resumed_by_somebody_else_is_paused_again() -> None:
    source, sink = Side(), Side()
    _, direction = tunnel_between(source, sink)
    sink.pause_writing()
    direction.feed_data(b"one")
    direction.feed_data(b"two")  # aiohttp had kept it, and resumed the source to hand it over
    assert source.pipe.paused == [True, True]
    await beat()
    sink.resume_writing()
    await beat()
    assert source.pipe.paused == [True, True, False]
    assert bytes(sink.pipe.written) == b"onetwo"


async def test_a_source_that_is_gone_needs_no_pause() -> None:
    source, sink = Side(), Side()
    _, direction = tunnel_between(source, sink)
    sink.pause_writing()
    source.transport = None
    direction.feed_data(b"one")
    await beat()
    sink.resume_writing()
    await beat()
    assert source.pipe.paused == []


@pytest.mark.parametrize("why", ["stopped", "closing", "gone"])
async def test_what_has_nowhere_to_go_is_dropped(why: str) -> None:
    source, sink = Side(), Side()
    _, direction = tunnel_between(source, sink)
    if why == "stopped":
        direction.stop()
    elif why == "closing":
        sink.pipe.closing = True
    else:
        sink.transport = None
    assert direction.feed_data(b"one") == (False, b"")
    assert (bytes(sink.pipe.written), direction.bytes) == (b"", 0)


async def test_a_tunnel_that_parts_passes_nothing_on_to_its_caller() -> None:
    tunnel, _ = tunnel_between(Side(), Side())
    caller = Side()
    tunnel._down.sink = caller
    tunnel._down.feed_data(b"one")
    tunnel.part()
    tunnel._down.feed_data(b"two")
    assert bytes(caller.pipe.written) == b"one"


async def test_a_tunnel_to_a_caller_who_is_gone_does_not_begin() -> None:
    tunnel, _ = tunnel_between(Side(), Side())
    tunnel._request.protocol.transport = None
    with pytest.raises(ClientClosed):
        await tunnel.run()
    tunnel.finish()
    tunnel.break_off()


async def test_a_tunnel_that_has_ended_is_closed_and_not_torn_down() -> None:
    pipe = Pipe()
    tunnel, _ = tunnel_between(Side(), Side())
    tunnel._request.protocol.transport = cast("asyncio.Transport", pipe)
    tunnel.finish()
    assert (pipe.closing, pipe.aborted) == (True, False)
