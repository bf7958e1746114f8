"""A request's way to its agent, end to end: what the agent sees of it, and what becomes of it when somebody leaves."""

import asyncio
import hashlib
import logging
import re
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from tests.agents import answering, raw_agent
from tests.gateways import RunningGateway, running_gateway
from tests.patience import PATIENCE
from tests.proxy.test_misbehaving_agents import backlog_is_full
from tests.proxy.wire import OK, beat, call, calling, chunked, message, saying
from tests.standins import SlowLedger, current, swap_stores

ROUTE = """
[routes.email]
prefix = "{prefix}"
upstream = "{upstream}"
{more}
"""


def fields_of(received: bytes | bytearray) -> list[tuple[str, str]]:
    head = received.partition(b"\r\n\r\n")[0].decode("latin-1")
    return [(name, value) for name, _, value in (line.partition(": ") for line in head.split("\r\n")[1:])]


def named(received: bytes | bytearray, name: str) -> list[str]:
    return [value for each, value in fields_of(received) if each.lower() == name.lower()]


# ------------------------------------------------------------------ what an agent sees


@pytest.mark.parametrize(
    ("prefix", "base", "sent", "seen"),
    [
        pytest.param(
            "/api/email", "/api/email", "/api/email/process", "/api/email/process", id="agent under the prefix"
        ),
        pytest.param("/api/rag", "/api", "/api/rag/chat", "/api/chat", id="agent under another path"),
        pytest.param("/api/email", "", "/api/email/process", "/process", id="agent at the root"),
        pytest.param("/api/email", "", "/api/email", "/", id="nothing after the prefix, agent at the root"),
        pytest.param("/api/email", "", "/api/email?a=1", "/?a=1", id="only a query after the prefix"),
        pytest.param("/api/email", "/v1", "/api/email/", "/v1/", id="a slash after the prefix"),
        pytest.param("/", "", "/anything/at/all", "/anything/at/all", id="a route for everything"),
        pytest.param("/", "/v1", "/", "/v1/", id="a route for everything, under a path"),
        pytest.param("/e", "/e", "/e/a%20b%E2%82%AC%2B+~", "/e/a%20b%E2%82%AC%2B+~", id="encoded stays encoded"),
        pytest.param("/e", "/e", "/e/%61%2D%7e", "/e/%61%2D%7e", id="needlessly encoded stays so, in its case"),
        pytest.param("/e", "/e", "/e/x;v=1,2/(y)*!$'@:", "/e/x;v=1,2/(y)*!$'@:", id="delimiters"),
        pytest.param("/e", "/e", "/e/x?", "/e/x?", id="an empty query"),
        pytest.param("/e", "/e", "/e/x?a=1&a=2&&b=%2F/?c=+%20", "/e/x?a=1&a=2&&b=%2F/?c=+%20", id="a query, untouched"),
        pytest.param("/e", "/e", "/e/x?u=http://h/..%2e%00", "/e/x?u=http://h/..%2e%00", id="anything in a query"),
    ],
)
async def test_the_target_reaches_the_agent_byte_for_byte(
    prefix: str, base: str, sent: str, seen: str, tmp_path: Path
) -> None:
    async with raw_agent(answering(OK)) as agent:
        upstream = f"http://127.0.0.1:{agent.port}{base}"
        async with running_gateway(tmp_path, routes=ROUTE.format(prefix=prefix, upstream=upstream, more="")) as gateway:
            heard = await call(gateway, path=sent)
    assert heard.status == 200
    assert agent.received[0].startswith(f"GET {seen} HTTP/1.1\r\n".encode())


async def test_end_to_end_fields_keep_their_names_their_order_and_their_repeats(tmp_path: Path) -> None:
    fields = [
        "Accept: text/html;q=0.5",
        "x-CaSe: kept",
        "Cookie: a=1; b=2",
        "X-List: one",
        "Accept-Encoding: gzip",
        "X-List: two",
        "X-Empty: ",
        "X-Latin: caf\xe9",
        "User-Agent: t/1",
    ]
    async with raw_agent(answering(OK)) as agent, running_gateway(tmp_path, agent.url) as gateway:
        await call(gateway, fields=fields)
    seen = [f"{name}: {value}" for name, value in fields_of(agent.received[0])]
    assert seen[0] == f"Host: 127.0.0.1:{agent.port}"
    assert seen[1 : len(fields) + 1] == fields


async def test_hop_by_hop_fields_and_what_connection_names_stay_here(tmp_path: Path) -> None:
    fields = [
        "Connection: keep-alive, X-Secret",
        "Connection: x-other",
        "X-Secret: 1",
        "X-Other: 1",
        "Keep-Alive: timeout=5",
        "Proxy-Connection: keep-alive",
        "Proxy-Authorization: Basic eA==",
        "TE: trailers",
        "Trailer: X-T",
        "Upgrade: websocket",
        "HTTP2-Settings: AAMAAABkAAQAAP__",
        "X-Stays: 1",
    ]
    async with raw_agent(answering(OK)) as agent, running_gateway(tmp_path, agent.url) as gateway:
        await call(gateway, fields=fields)
    seen = {name.lower() for name, _ in fields_of(agent.received[0])}
    assert "x-stays" in seen
    assert not seen & {line.partition(":")[0].lower() for line in fields[:-1]}


async def test_what_only_the_gateway_may_say_is_said_once_and_by_the_gateway(tmp_path: Path) -> None:
    spoofs = [
        "X-Request-ID: spoofed",
        "X-Trace-ID: spoofed",
        "X-User-ID: spoofed",
        "X_User_ID: spoofed",
        "x-user-plan: spoofed",
        "X-Correlation-ID: spoofed",
        "X-Forwarded-For: 6.6.6.6",
        "X-Forwarded-Proto: spoofed",
        "X-Forwarded-Host: spoofed",
        "X-Forwarded-Prefix: spoofed",
        "X-Forwarded-Port: spoofed",
        "X-Real-IP: spoofed",
        "Forwarded: for=6.6.6.6",
        "Via: 1.0 somebody",
    ]
    async with raw_agent(answering(OK)) as agent, running_gateway(tmp_path, agent.url) as gateway:
        heard = await call(gateway, fields=spoofs)
    received = bytes(agent.received[0])
    assert b"spoofed" not in received
    assert named(received, "x-request-id") == [heard["x-request-id"]]
    assert named(received, "x-user-id") == ["ann"]
    assert named(received, "x-user-plan") == ["free"]
    assert named(received, "x-forwarded-for") == ["127.0.0.1"]
    assert named(received, "x-forwarded-proto") == ["http"]
    assert named(received, "x-forwarded-host") == ["gateway.test"]
    assert named(received, "x-forwarded-prefix") == ["/api/email"]
    assert named(received, "forwarded") == ['for=127.0.0.1;host="gateway.test";proto=http']
    assert named(received, "via") == ["1.0 somebody, 1.1 gatewayd"]
    (trace_id,) = named(received, "x-trace-id")
    (traceparent,) = named(received, "traceparent")
    assert re.fullmatch(rf"00-{trace_id}-[0-9a-f]{{16}}-0[01]", traceparent)


async def test_a_trace_is_continued_under_a_span_of_our_own(tmp_path: Path) -> None:
    trace_id, span_id = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
    async with raw_agent(answering(OK)) as agent, running_gateway(tmp_path, agent.url) as gateway:
        await call(gateway, fields=[f"traceparent: 00-{trace_id}-{span_id}-01", "tracestate: a=1"])
    (traceparent,) = named(agent.received[0], "traceparent")
    version, continued, own, flags = traceparent.split("-")
    assert (version, continued, flags) == ("00", trace_id, "01")
    assert own != span_id
    assert named(agent.received[0], "x-trace-id") == [trace_id]
    assert named(agent.received[0], "tracestate") == ["a=1"]


@pytest.mark.parametrize(("setting", "passed_on"), [("", False), ("forward_authorization = true", True)])
async def test_the_token_stays_here_unless_the_route_says_otherwise(
    setting: str, passed_on: bool, tmp_path: Path
) -> None:
    async with raw_agent(answering(OK)) as agent:
        route = ROUTE.format(prefix="/api/email", upstream=agent.url, more=setting)
        async with running_gateway(tmp_path, routes=route) as gateway:
            await call(gateway)
    assert [value[:7] for value in named(agent.received[0], "authorization")] == (["Bearer "] if passed_on else [])
    assert (b"eyJ" in agent.received[0]) is passed_on


async def test_a_caller_without_a_name_is_forwarded_without_one(tmp_path: Path) -> None:
    async with raw_agent(answering(OK)) as agent:
        route = ROUTE.format(prefix="/api/email", upstream=agent.url, more="public = true")
        async with running_gateway(tmp_path, routes=route) as gateway, calling(gateway) as caller:
            await caller.send(b"GET /api/email/x HTTP/1.1\r\nHost: h\r\nX-User-ID: root\r\nX-User-Plan: gold\r\n\r\n")
            heard = await caller.hear()
    assert heard.status == 200
    assert not named(agent.received[0], "x-user-id")
    assert not named(agent.received[0], "x-user-plan")


# ------------------------------------------------------------------ bodies


class Keeper:
    """An agent that takes a body of any framing and keeps what was in it."""

    def __init__(self) -> None:
        self.head = b""
        self.body = b""
        self.trailers: list[bytes] = []
        self.pieces: asyncio.Queue[bytes] = asyncio.Queue()

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            self.head = await reader.readuntil(b"\r\n\r\n")
            self.body = b""
            async for piece in self._read(reader):
                self.body += piece
                self.pieces.put_nowait(piece)
            writer.write(OK)

    async def _read(self, reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
        if named(self.head, "transfer-encoding") == ["chunked"]:
            while size := int(await reader.readuntil(b"\r\n"), 16):
                yield await reader.readexactly(size)
                await reader.readexactly(2)
            while line := (await reader.readuntil(b"\r\n"))[:-2]:
                self.trailers.append(line)
        elif lengths := named(self.head, "content-length"):
            left = int(*lengths)
            while left:
                if not (piece := await reader.read(left)):
                    raise asyncio.IncompleteReadError(b"", left)
                left -= len(piece)
                yield piece


EVERY_BYTE = bytes(range(256)) * 4


@pytest.mark.parametrize(
    ("fields", "sent", "body", "framing"),
    [
        pytest.param([], b"hello", b"hello", "content-length", id="sized"),
        pytest.param([], EVERY_BYTE, EVERY_BYTE, "content-length", id="sized, every byte"),
        pytest.param([], EVERY_BYTE * 3000, EVERY_BYTE * 3000, "content-length", id="sized, 3 MB"),
        pytest.param(["Content-Length: 0"], b"", b"", "content-length", id="sized, empty"),
        pytest.param(
            ["Transfer-Encoding: chunked"], chunked(b"hel", b"lo"), b"hello", "transfer-encoding", id="chunked"
        ),
        pytest.param(["Transfer-Encoding: chunked"], chunked(), b"", "transfer-encoding", id="chunked, empty"),
        pytest.param(
            ["Transfer-Encoding: chunked"],
            chunked(*[EVERY_BYTE * 100] * 30),
            EVERY_BYTE * 3000,
            "transfer-encoding",
            id="chunked, 3 MB",
        ),
        pytest.param(
            ["Transfer-Encoding: chunked", "Trailer: X-T"],
            b"5;ext=1\r\nhello\r\n0\r\nX-T: 1\r\n\r\n",
            b"hello",
            "transfer-encoding",
            id="chunked, with extensions and trailers",
        ),
        pytest.param(
            ["Content-Encoding: gzip"], b"\x1f\x8b not really", b"\x1f\x8b not really", "content-length", id="gzip"
        ),
    ],
)
async def test_a_body_reaches_the_agent_as_it_was_sent(
    fields: list[str], sent: bytes, body: bytes, framing: str, tmp_path: Path
) -> None:
    keeper = Keeper()
    async with raw_agent(keeper) as agent, running_gateway(tmp_path, agent.url) as gateway:
        heard = await call(gateway, "POST", fields=fields, body=sent)
        record = await gateway.record_of(heard["x-request-id"])
    assert heard.status == 200
    assert hashlib.sha256(keeper.body).digest() == hashlib.sha256(body).digest()
    assert [name for name in ("content-length", "transfer-encoding") if named(keeper.head, name)] == [framing]
    assert named(keeper.head, "trailer") == [each.partition(": ")[2] for each in fields if each.startswith("Trailer")]
    assert keeper.trailers == [b"X-T: 1"] * sent.endswith(b"X-T: 1\r\n\r\n")
    assert record["bytes_in"] == len(body)


async def test_a_multipart_upload_arrives_whole_with_its_file(tmp_path: Path) -> None:
    keeper = Keeper()
    async with raw_agent(keeper) as agent, running_gateway(tmp_path, agent.url) as gateway:
        form = aiohttp.FormData()
        form.add_field("file", EVERY_BYTE * 300, filename="päper.pdf", content_type="application/pdf")
        form.add_field("title", "a paper")
        url = gateway.url + "/api/email/documents"
        async with (
            aiohttp.ClientSession(headers=gateway.bearer()) as session,
            session.post(url, data=form) as response,
        ):
            assert response.status == 200
    (content_type,) = named(keeper.head, "content-type")
    boundary = content_type.partition("boundary=")[2].encode()
    assert keeper.body.startswith(b"--" + boundary)
    assert keeper.body.rstrip().endswith(b"--" + boundary + b"--")
    assert b'name="file"' in keeper.body
    assert EVERY_BYTE * 300 in keeper.body


async def test_each_piece_of_a_body_is_forwarded_when_it_comes(tmp_path: Path) -> None:
    keeper = Keeper()
    async with raw_agent(keeper) as agent, running_gateway(tmp_path, agent.url) as gateway, calling(gateway) as caller:
        await caller.send(message(gateway, "POST", fields=["Transfer-Encoding: chunked"]))
        for piece in (b"one", b"two", b"three"):
            await caller.send(b"%x\r\n%b\r\n" % (len(piece), piece))
            assert await asyncio.wait_for(keeper.pieces.get(), PATIENCE) == piece
        await caller.send(b"0\r\n\r\n")
        assert (await caller.hear()).status == 200


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"])
async def test_every_method_is_forwarded_with_its_body_or_without(method: str, tmp_path: Path) -> None:
    answer = OK.removesuffix(b"ok") if method == "HEAD" else OK
    async with raw_agent(answering(answer)) as agent, running_gateway(tmp_path, agent.url) as gateway:
        heard = await call(gateway, method)
        with_body = await call(gateway, method, body=b"hello")
    assert [heard.status, with_body.status] == [200, 200]
    first = bytes(agent.received[0])
    assert first.startswith(f"{method} ".encode())
    bodiless = first[: first.index(b"\r\n\r\n")]
    assert b"content-length" not in bodiless.lower()
    assert first.endswith(b"\r\n\r\nhello")


# ------------------------------------------------------------------ leaving, and running out of time


async def test_a_caller_who_leaves_before_the_answer_cancels_the_agent_at_once(tmp_path: Path) -> None:
    asked = asyncio.Event()

    async def waits(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        asked.set()
        await reader.read()

    async with raw_agent(waits) as agent, running_gateway(tmp_path, agent.url) as gateway:
        async with calling(gateway) as caller:
            await caller.send(message(gateway))
            await asked.wait()
            caller.leave()
            await asyncio.wait_for(agent.closed.wait(), PATIENCE)
        (record,) = await gateway.records_when(1)
        (line,) = await gateway.log_lines(1)
    assert (record["outcome"], record["quantity"], record["status"]) == ("client_closed", 1, 499)
    assert (line["status"], line["code"]) == (499, "client_closed")


async def test_a_caller_who_leaves_is_charged_what_the_agent_stated(tmp_path: Path) -> None:
    head = b"HTTP/1.1 200 OK\r\nX-Usage-Quantity: 7\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n"
    async with raw_agent(saying(head)) as agent, running_gateway(tmp_path, agent.url) as gateway:
        async with calling(gateway) as caller:
            await caller.send(message(gateway))
            await caller.head()
            await caller.chunk()
        await asyncio.wait_for(agent.closed.wait(), PATIENCE)
        (record,) = await gateway.records_when(1)
    assert (record["outcome"], record["quantity"], record["bytes_out"]) == ("client_closed", 7, 2)


async def test_a_caller_who_leaves_in_the_middle_of_his_body_takes_the_agent_along(tmp_path: Path) -> None:
    keeper = Keeper()
    async with raw_agent(keeper) as agent, running_gateway(tmp_path, agent.url) as gateway:
        async with calling(gateway) as caller:
            await caller.send(message(gateway, "POST", fields=["Content-Length: 100"]) + b"some")
            assert await asyncio.wait_for(keeper.pieces.get(), PATIENCE) == b"some"
        await asyncio.wait_for(agent.closed.wait(), PATIENCE)
        (record,) = await gateway.records_when(1)
    assert (record["outcome"], record["status"], record["bytes_in"]) == ("client_closed", 499, 4)


async def test_a_caller_who_leaves_in_the_middle_of_a_body_that_was_answered_early_is_no_fault_of_ours(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def answers(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK)
        while await reader.read(65536):
            pass

    async with raw_agent(answers) as agent, running_gateway(tmp_path, agent.url) as gateway:
        slow = SlowLedger(current(gateway).stores.ledger)
        slow.holding.set()
        swap_stores(gateway, ledger=slow)
        async with calling(gateway) as caller:
            await caller.send(message(gateway, "POST", fields=["Content-Length: 10"]) + b"some")
            while not await gateway.posted():
                await beat()
        (line,) = await gateway.log_lines(1)
        slow.settling.set()
    assert (line["status"], line["code"], line["outcome"]) == (200, None, "delivered")
    assert not [each for each in caplog.records if each.levelno >= logging.ERROR]


async def test_a_caller_who_leaves_before_an_agent_was_reached_leaves_no_row(tmp_path: Path) -> None:
    async with backlog_is_full() as nowhere, running_gateway(tmp_path, nowhere) as gateway:
        async with calling(gateway) as caller:
            await caller.send(message(gateway))
            while not gateway.balances():
                await beat()
        (line,) = await gateway.log_lines(1)
        while gateway.balances()[0]["held"]:
            await beat()
        assert await gateway.posted() == []
    assert (line["status"], line["code"], line["outcome"]) == (499, "client_closed", None)


TIGHT = 'timeouts = { connect = "2s", first_byte = "10s", idle = "10s", total = "500ms" }'


@pytest.mark.parametrize(
    ("said", "status", "ending"),
    [
        pytest.param([], 504, "whole", id="before the head"),
        pytest.param(
            [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n"], 200, "short", id="after it"
        ),
    ],
)
async def test_the_total_time_ends_whatever_goes_on(
    said: list[bytes], status: int, ending: str, tmp_path: Path
) -> None:
    async with raw_agent(saying(*said)) as agent:
        route = ROUTE.format(prefix="/api/email", upstream=agent.url, more=TIGHT)
        async with running_gateway(tmp_path, routes=route) as gateway:
            heard = await call(gateway)
            record = await gateway.record_of(heard["x-request-id"])
            (line,) = await gateway.log_lines(1)
    assert (heard.status, heard.ending) == (status, ending)
    assert (line["status"], line["code"]) == (status, "upstream_timeout")
    assert (record["outcome"], record["quantity"]) == ("failed", 0)


async def cut_off(gateway: RunningGateway) -> None:
    """End the drain at once."""
    gateway.daemon.stop()
    gateway.daemon.stop()
    await gateway.task


@pytest.mark.parametrize("version", ["1.1", "1.0"])
async def test_an_answer_that_is_cut_at_the_end_of_the_drain_looks_cut(version: str, tmp_path: Path) -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n"
    async with raw_agent(saying(head)) as agent, running_gateway(tmp_path, agent.url) as gateway:
        async with calling(gateway) as caller:
            await caller.send(message(gateway, version=version))
            assert (await caller.head()).status == 200
            assert b"ok" in await caller.reader.readexactly(2 if version == "1.0" else 7)
            await cut_off(gateway)
            with pytest.raises(ConnectionResetError):
                await caller.reader.read()
        (record,) = await gateway.posted()
        (line,) = await gateway.log_lines(1)
    assert (record["outcome"], record["quantity"]) == ("failed", 0)
    assert (line["status"], line["code"], line["outcome"]) == (200, "draining", "failed")


async def test_a_request_that_is_cut_before_its_answer_has_failed_and_is_told_so(tmp_path: Path) -> None:
    async with raw_agent(saying()) as agent, running_gateway(tmp_path, agent.url) as gateway:
        async with calling(gateway) as caller:
            await caller.send(message(gateway))
            while not agent.received:
                await beat()
            await cut_off(gateway)
            assert (await caller.head()).status == 503
            assert b"draining" in await caller.reader.read()
        (record,) = await gateway.posted()
        (line,) = await gateway.log_lines(1)
    assert (record["outcome"], record["quantity"]) == ("failed", 0)
    assert (line["status"], line["code"], line["outcome"]) == (503, "draining", "failed")


async def test_a_path_without_a_route_reaches_nobody(tmp_path: Path) -> None:
    async with raw_agent(answering(OK)) as agent, running_gateway(tmp_path, agent.url) as gateway:
        heard = await call(gateway, path="/elsewhere")
        (line,) = await gateway.log_lines(1)
    assert (heard.status, line["code"], line["outcome"]) == (404, "route_unknown", None)
    assert not agent.received
