"""Streams that are ended at a drain's deadline: by their own protocol where the route says so, else visibly broken."""

import asyncio
import signal
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from gatewayd.proxy.farewell import RETRY_EVENT, close_frame, is_between_events
from gatewayd.proxy.websocket import CloseSpotter
from tests.agents import Script, raw_agent
from tests.daemons import running_daemon
from tests.gateways import ROUTE, running_gateway
from tests.process.reloads import bearer, email, says
from tests.process.test_daemon import records
from tests.proxy.wire import calling, message

PATH = "/api/email/x"
EVENTS = [(b"Content-Type", b"text/event-stream; charset=utf-8")]


def streaming(kind: str, first: bytes) -> Script:
    """An agent who begins to stream and never ends."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        head = f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
        writer.write(head + b"%x\r\n%b\r\n" % (len(first), first))
        await reader.read()

    return script


async def switching(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """An agent who speaks WebSocket, and keeps what it hears."""
    await reader.readuntil(b"\r\n\r\n")
    writer.write(
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n" + b"\x81\x02hi"
    )
    await reader.read()


def drained(tmp_path: Path, upstream: str, rule: str) -> Path:
    config = says(tmp_path, email(upstream) + f'drain = "{rule}"\n')
    config.write_text(config.read_text().replace('drain_timeout = "30s"', 'drain_timeout = "200ms"'))
    return config


@pytest.mark.parametrize(
    ("kind", "first", "rule", "rest"),
    [
        pytest.param("text/event-stream", b"data: 1\n\n", "close", RETRY_EVENT, id="events"),
        pytest.param("text/event-stream", b"data: 1\n\n", "finish", None, id="events that are to finish"),
        pytest.param("text/event-stream", b"data: 1\n\ndata: ", "close", None, id="in the middle of an event"),
        pytest.param("application/json", b"{}\n\n", "close", None, id="what is no stream of events"),
    ],
)
async def test_events_are_ended_between_two_of_them_with_a_hint_if_the_route_says_so(
    tmp_path: Path, kind: str, first: bytes, rule: str, rest: bytes | None
) -> None:
    async with raw_agent(streaming(kind, first)) as agent:
        config = drained(tmp_path, agent.url, rule)
        async with running_daemon(config) as daemon:
            session = aiohttp.ClientSession(daemon.url, headers=bearer())
            async with session, session.get(PATH) as response:
                assert await response.content.readany() == first
                daemon.signal(signal.SIGTERM)
                if rest is None:
                    with pytest.raises(aiohttp.ClientError):
                        await response.content.read()
                else:
                    assert await response.content.read() == rest
            assert await daemon.ended() == 0
    assert records(config) == [("failed", 0)]


async def test_what_comes_while_goodbye_is_said_is_not_passed_on(tmp_path: Path) -> None:
    event = b"data: 1\n\n"
    async with (
        raw_agent(streaming("text/event-stream", event)) as agent,
        running_gateway(tmp_path, routes=ROUTE.format(upstream=agent.url) + 'drain = "close"\n') as gateway,
        calling(gateway) as caller,
    ):
        await caller.send(message(gateway))
        await caller.reader.readuntil(event + b"\r\n")
        drain = gateway.daemon._worker._drain
        ((exchange),) = drain.exchanges
        passage: Any = exchange.farewell
        passage.__self__._call.body._reader.feed_data(b"data: ")
        drain.cut()
        assert await caller.gone() == b"%x\r\n%b\r\n0\r\n\r\n" % (len(RETRY_EVENT), RETRY_EVENT)
        (record,) = await gateway.settled()
        assert record["outcome"] == "failed"


@pytest.mark.parametrize("rule", ["close", "finish"])
async def test_a_websocket_gets_a_close_frame_if_the_route_says_so(tmp_path: Path, rule: str) -> None:
    async with raw_agent(switching) as agent:
        config = drained(tmp_path, agent.url, rule)
        async with running_daemon(config) as daemon:
            reader, writer = await asyncio.open_connection("127.0.0.1", daemon.port)
            head = f"GET {PATH} HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            head += "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
            writer.write(f"{head}Authorization: {bearer()['Authorization']}\r\n\r\n".encode())
            await reader.readuntil(b"\x81\x02hi")
            daemon.signal(signal.SIGTERM)
            if rule == "finish":
                with pytest.raises(ConnectionError):
                    await reader.read()
            else:
                assert await reader.readexactly(4) == b"\x88" + close_frame(1012)[1:4]
                writer.write(close_frame(1012, masked=True))
                assert await reader.read() == close_frame(1012)[4:]
            writer.close()
            assert await daemon.ended() == 0
    assert records(config) == [("failed", 0)]
    heard = bytes(agent.received[0])
    spotter = CloseSpotter()
    spotter.feed(heard[heard.index(b"\r\n\r\n") + 4 :])
    assert spotter.seen == (rule == "close"), "the agent was told as well"


@pytest.mark.parametrize(
    ("fields", "last", "found"),
    [
        (EVENTS, b"data: 1\n\n", True),
        (EVENTS, b"data: 1\r\n\r\n", True),
        (EVENTS, b"data: 1\r\r", True),
        (EVENTS, b"data: 1\n", False),
        (EVENTS, b"", False),
        ([], b"\n\n", False),
        ([*EVENTS, (b"content-encoding", b"gzip")], b"\n\n", False),
        ([*EVENTS, (b"Content-Encoding", b"identity")], b"\n\n", True),
        ([*EVENTS, *EVENTS], b"\n\n", False),
    ],
)
def test_only_whole_events_in_the_clear_are_interrupted(
    fields: list[tuple[bytes, bytes]], last: bytes, found: bool
) -> None:
    assert is_between_events(fields, last) == found


def test_a_masked_close_says_the_same_under_its_mask() -> None:
    plain, masked = close_frame(1001), close_frame(1001, masked=True)
    mask = masked[2:6]
    assert bytes(byte ^ mask[index % 4] for index, byte in enumerate(masked[6:])) == plain[2:]
    assert (masked[0], masked[1]) == (0x88, 0x80 | plain[1])
