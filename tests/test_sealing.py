"""Nobody hears of what is not written down: no agent of a request, no caller of the end of its answer."""

import asyncio
import os
import re
import socket
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gatewayd import exchange as exchange_module
from gatewayd.model import Balance, Hold, Holding, UsageRecord
from gatewayd.outbox import FEW
from gatewayd.proxy.farewell import RETRY_EVENT, close_frame
from tests.agents import RawAgent, Script, answering, raw_agent, read_body
from tests.gateways import ROUTE, RunningGateway, running_gateway
from tests.patience import PATIENCE, when
from tests.proxy.wire import OK, Caller, Heard, beat, call, calling, chunked, message, saying
from tests.standins import swap_stores

_ID = re.compile(rb"(?i)x-request-id: ([0-9a-f]{32})")


class Draft:
    """A ledger that has written nothing until it is sealed, and then by nobody's turn but the caller's."""

    def __init__(self) -> None:
        self._noted: set[tuple[str, str]] = set()
        self.written: set[tuple[str, str]] = set()

    async def hold(self, hold: Hold) -> Holding:
        return self.hold_at_once(hold, 0.0)

    def hold_at_once(self, hold: Hold, _now: float) -> Holding:
        self._noted.add(("intent", hold.id))
        return Holding(True, Balance(hold.user_id, hold.unit, hold.period, hold.limit, 0, 0))

    def settle(self, record: UsageRecord) -> Awaitable[None] | None:
        self._noted.add((record.outcome.value, record.id))
        return None

    def release(self, hold_id: str) -> Awaitable[None] | None:
        self._noted.add(("release", hold_id))
        return None

    def seal(self) -> None:
        self.written |= self._noted

    async def balances(self, _user_id: str, _period: str) -> Sequence[Balance]:
        return []

    async def close(self) -> None:
        """Nothing is open."""


def in_pieces(*pieces: bytes) -> Script:
    """An answer whose pieces are passed on one by one."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_body(await reader.readuntil(b"\r\n\r\n"), reader)
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.01)

    return script


def watching(draft: Draft, script: Script, unwritten: list[str]) -> Script:
    """Plays the script; notes each request that reached it before its intent was written."""

    async def watched(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        class Watching(asyncio.StreamReader):
            async def readuntil(self, separator: bytes = b"\n") -> bytes:  # type: ignore[override]
                head = await reader.readuntil(separator)
                if (found := _ID.search(head)) is not None and ("intent", found[1].decode()) not in draft.written:
                    unwritten.append(found[1].decode())
                return head

            async def readexactly(self, n: int) -> bytes:
                return await reader.readexactly(n)

        await script(Watching(), writer)

    return watched


@asynccontextmanager
async def drafting(tmp_path: Path, script: Script) -> AsyncIterator[tuple[RunningGateway, Draft, RawAgent]]:
    """A gateway whose ledger is a draft; at its end, no agent has heard of a request too early."""
    draft, unwritten = Draft(), list[str]()
    async with raw_agent(watching(draft, script, unwritten)) as agent, running_gateway(tmp_path, agent.url) as gateway:
        swap_stores(gateway, ledger=draft)
        yield gateway, draft, agent
    assert agent.received
    assert unwritten == []


def is_written(draft: Draft, heard: Heard, outcome: str) -> bool:
    return (outcome, heard["X-Request-ID"]) in draft.written


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
ENDLESS = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"
BROKEN = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 2\r\n\r\nno"


@pytest.mark.parametrize(
    ("script", "outcome"),
    [
        pytest.param(answering(OK), "delivered", id="a plain answer"),
        pytest.param(answering(BROKEN), "failed", id="an agent's error"),
        pytest.param(in_pieces(OK[:-1], OK[-1:]), "delivered", id="a body that comes in pieces"),
        pytest.param(in_pieces(CHUNKED, b"2\r\nhi\r\n", b"0\r\n\r\n"), "delivered", id="chunks"),
        pytest.param(in_pieces(ENDLESS, b"hi", b"ho"), "delivered", id="until it closes"),
        pytest.param(in_pieces(b"HTTP/1.1 100 Continue\r\n\r\n", OK), "delivered", id="an interim answer before it"),
        pytest.param(in_pieces(b"not HTTP\r\n\r\n"), "failed", id="no answer"),
    ],
)
@pytest.mark.parametrize("version", ["1.1", "1.0"])
@pytest.mark.parametrize("uploads", [False, True], ids=["whole", "uploads"])
async def test_nothing_is_heard_before_it_is_written(
    tmp_path: Path, script: Script, outcome: str, version: str, uploads: bool
) -> None:
    async with drafting(tmp_path, script) as (gateway, draft, _):
        if uploads and version == "1.1":
            async with calling(gateway) as caller:
                whole = message(gateway, "POST", fields=["Transfer-Encoding: chunked"], body=chunked(b"hi", b"ho"))
                await caller.send(whole[:-9])
                await asyncio.sleep(0.02)
                await caller.send(whole[-9:])
                heard = await caller.hear()
        else:
            heard = await call(gateway, "POST" if uploads else "GET", body=b"hi" * uploads, version=version)
        assert is_written(draft, heard, outcome)


async def test_what_many_say_together_is_written_before_any_of_it_is_heard(tmp_path: Path) -> None:
    async with drafting(tmp_path, answering(OK)) as (gateway, draft, agent):
        callers = [await Caller.to(gateway.port) for _ in range(3 * FEW)]

        async def ask(caller: Caller) -> None:
            for _ in range(20):
                await caller.send(message(gateway, "POST", body=b"hi"))
                assert is_written(draft, await caller.hear(), "delivered")

        await asyncio.gather(*map(ask, callers))
        for caller in callers:
            caller.leave()
    assert sum(each.count(b"HTTP/1.1\r\n") for each in agent.received) == 3 * FEW * 20


async def test_requests_that_follow_each_other_without_waiting_are_written_before_they_are_answered(
    tmp_path: Path,
) -> None:
    async with drafting(tmp_path, answering(OK)) as (gateway, draft, _), calling(gateway) as caller:
        await caller.send(message(gateway) * 5)
        for _ in range(5):
            assert is_written(draft, await caller.hear(), "delivered")


async def test_a_request_that_reached_nobody_is_written_before_that_is_said(tmp_path: Path) -> None:
    draft = Draft()
    async with running_gateway(tmp_path, "http://127.0.0.1:1/api/email") as gateway:
        swap_stores(gateway, ledger=draft)
        heard = await call(gateway)
        assert heard.status == 502
        assert is_written(draft, heard, "release")


class Overhearing(Draft):
    """A draft whose records are durable after a while, or never; it notes what its caller has heard until then."""

    def __init__(self, *, ever: bool = True) -> None:
        super().__init__()
        self.caller: Caller | None = None
        self.heard: bytes | None = None
        self._ever = ever

    def settle(self, record: UsageRecord) -> Awaitable[None]:
        super().settle(record)
        return self._be_durable()

    async def _be_durable(self) -> None:
        await beat()
        self.heard = self._hear()
        await asyncio.sleep(0 if self._ever else PATIENCE)

    def _hear(self) -> bytes:
        """What has come to the caller, of which nothing is taken."""
        assert self.caller is not None
        taken = bytes(self.caller.reader._buffer)  # type: ignore[attr-defined]  # no public way
        with socket.socket(fileno=os.dup(self.caller.writer.get_extra_info("socket").fileno())) as sock:
            try:
                return taken + sock.recv(65536, socket.MSG_PEEK | socket.MSG_DONTWAIT)
            except BlockingIOError:
                return taken


EVENT = b"data: 1\n\n"
EVENTS = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
EVENTS += b"%x\r\n%b\r\n" % (len(EVENT), EVENT)
ASKS = ["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZQ=="]
SWITCHES = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
FRAME = b"\x81\x02hi"
LAST = b"%x\r\n%b\r\n0\r\n\r\n" % (len(RETRY_EVENT), RETRY_EVENT)
A_STREAM = pytest.mark.parametrize(
    ("begins", "fields", "first", "goodbye"),
    [
        pytest.param(EVENTS, [], EVENT + b"\r\n", LAST, id="events"),
        pytest.param(SWITCHES + FRAME, ASKS, FRAME, close_frame(1012), id="a tunnel"),
    ],
)


async def goodbye_at_a_drain(
    tmp_path: Path, draft: Overhearing, begins: bytes, fields: list[str], first: bytes, goodbye: bytes
) -> Heard:
    """The head of a stream that is ended by its own protocol, which the caller hears out."""
    async with (
        raw_agent(saying(begins)) as agent,
        running_gateway(tmp_path, routes=ROUTE.format(upstream=agent.url) + 'drain = "close"\n') as gateway,
        calling(gateway) as caller,
        asyncio.timeout(PATIENCE),
    ):
        swap_stores(gateway, ledger=draft)
        draft.caller = caller
        await caller.send(message(gateway, fields=fields))
        head = await caller.head()
        await caller.reader.readuntil(first)
        gateway.daemon._worker._drain.cut()
        await when(lambda: draft.heard is not None)
        assert await caller.reader.readexactly(len(goodbye)) == goodbye
        return head


@A_STREAM
async def test_the_end_of_a_stream_at_a_drain_is_written_before_it_is_said(
    tmp_path: Path, begins: bytes, fields: list[str], first: bytes, goodbye: bytes
) -> None:
    draft = Overhearing()
    head = await goodbye_at_a_drain(tmp_path, draft, begins, fields, first, goodbye)
    assert draft.heard == b""
    assert is_written(draft, head, "failed")


@A_STREAM
async def test_a_ledger_in_trouble_keeps_no_stream_from_its_end_at_a_drain(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, begins: bytes, fields: list[str], first: bytes, goodbye: bytes
) -> None:
    monkeypatch.setattr(exchange_module, "SETTLE_WAIT", 0.05)
    draft = Overhearing(ever=False)
    head = await goodbye_at_a_drain(tmp_path, draft, begins, fields, first, goodbye)
    assert is_written(draft, head, "failed")
