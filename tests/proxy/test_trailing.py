"""Trailers go from one side to the other, behind the body and nowhere else; both sides are raw sockets."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gatewayd.trailers import LONGEST
from tests.agents import RawAgent, answering, raw_agent, read_body
from tests.gateways import RunningGateway, running_gateway
from tests.patience import PATIENCE
from tests.proxy.wire import OK, beat, call, calling, message, saying

CODED = ["Transfer-Encoding: chunked"]
ANSWER = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"
# What the other side may see of these, and in this order.
SENT = (
    b"X-Sum: 1\r\nContent-Type: evil\r\nX_User-ID: root\r\nx-sum:2 \r\nX-Hop: 1\r\nAuthorization: Bearer evil\r\n"
    b"Set-Cookie: a=b\r\nX-Usage-Quantity: 0\r\ngrpc-status: 0\r\nHost: evil\r\n"
)
SEEN = b"X-Sum: 1\r\nx-sum: 2\r\ngrpc-status: 0\r\n"


@asynccontextmanager
async def gateway_before(
    tmp_path: Path, answer: bytes = OK, more: str = ""
) -> AsyncIterator[tuple[RunningGateway, RawAgent]]:
    async with raw_agent(answering(answer)) as agent:
        route = f'[routes.email]\nprefix = "/api/email"\nupstream = "{agent.url}"\n{more}'
        async with running_gateway(tmp_path, routes=route) as gateway:
            yield gateway, agent


def body_of(raw: bytearray) -> bytes:
    return bytes(raw).partition(b"\r\n\r\n")[2]


# Requests


@pytest.mark.parametrize("size", [0, 5, 3_000_000], ids=["no data", "small", "3 MB"])
@pytest.mark.parametrize("together", [True, False], ids=["in one write", "on their own"])
async def test_an_agent_gets_what_stood_behind_the_callers_body(size: int, together: bool, tmp_path: Path) -> None:
    data = b"%x\r\n%b\r\n" % (size, b"\n0" * (size // 2) + b"x" * (size % 2)) if size else b""
    async with gateway_before(tmp_path) as (gateway, agent), calling(gateway) as caller:
        fields = [*CODED, "Connection: X-Hop", "Trailer: X-Sum, Host, X-Hop"]
        head, end = message(gateway, "POST", fields=fields), b"0;a=b\r\n" + SENT + b"\r\n"
        for piece in [head + data + end] if together else [head, data, b"0;a", b"=b\r\n", SENT, b"\r\n"]:
            await caller.send(piece)
        heard = await caller.hear()
        record = await gateway.record_of(heard["x-request-id"])
    (received,) = agent.received
    assert (heard.status, heard.closes) == (200, False)
    assert body_of(received).endswith(b"0\r\n" + SEEN + b"\r\n")
    assert b"\r\nTrailer: X-Sum\r\n" in received.partition(b"\r\n\r\n")[0]
    assert received.count(b"evil") == received.count(b"root") == received.count(b"X-Hop") == 0
    assert record["bytes_in"] == size


async def test_each_request_has_its_own_trailers_though_they_wait_for_one_another(tmp_path: Path) -> None:
    go_on = asyncio.Event()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await read_body(await reader.readuntil(b"\r\n\r\n"), reader)
            await go_on.wait()
            writer.write(OK)

    ends = [b"A: 1\r\n", b"", b"B: 2\r\n", b"C: 3\r\n"]
    async with raw_agent(script) as agent, running_gateway(tmp_path, agent.url) as gateway, calling(gateway) as caller:
        for end in ends:
            await caller.send(message(gateway, "POST", fields=CODED) + b"2\r\nhi\r\n0\r\n" + end + b"\r\n")
            await beat()
        go_on.set()
        for _ in ends:
            assert (await caller.hear()).status == 200
    assert re.findall(rb"\r\n0\r\n((?:[A-Z]: \d\r\n)?)\r\n", b"".join(agent.received)) == ends


async def test_no_request_follows_trailers_on_the_same_connection_to_an_agent(tmp_path: Path) -> None:
    """An agent that takes a trailer for a part of the next head must not be given somebody else's head."""
    async with gateway_before(tmp_path) as (gateway, agent):
        for end in (b"", b"", b"X-Sum: 1\r\n", b"", b"Host: dropped\r\n", b""):
            body = b"2\r\nhi\r\n0\r\n" + end + b"\r\n"
            assert (await call(gateway, "POST", fields=CODED, body=body)).status == 200
    assert [bytes(each).count(b"POST /") for each in agent.received] == [3, 2, 1]


async def test_a_section_that_is_too_large_is_refused(tmp_path: Path) -> None:
    section = (b"X: " + b"a" * (LONGEST // 2) + b"\r\n") * 2
    async with gateway_before(tmp_path) as (gateway, agent):
        heard = await call(gateway, "POST", fields=CODED, body=b"2\r\nhi\r\n0\r\n" + section + b"\r\n")
        (line,) = await gateway.log_lines(1)
        records = await gateway.posted()
    assert (heard.status, heard.closes, line["code"]) == (431, True, "headers_too_large")
    assert not records
    assert not any(agent.received)


async def test_who_reads_no_body_minds_no_trailers(tmp_path: Path) -> None:
    section = (b"X: " + b"a" * (LONGEST // 2) + b"\r\n") * 2
    async with gateway_before(tmp_path) as (gateway, _), calling(gateway) as caller:
        for end in (section, b"X: 1\r\n", b""):
            await caller.send(message(gateway, path="/health", fields=CODED) + b"2\r\nhi\r\n0\r\n" + end + b"\r\n")
            assert (await caller.hear()).status == 200


async def test_a_section_that_grows_too_large_never_ends_a_body_at_the_agent(tmp_path: Path) -> None:
    async with gateway_before(tmp_path) as (gateway, agent), calling(gateway) as caller:
        await caller.send(message(gateway, "POST", fields=CODED) + b"2\r\nhi\r\n")
        await asyncio.wait_for(told(agent, b"2\r\nhi\r\n"), PATIENCE)
        await caller.send(b"0\r\n" + (b"X: " + b"a" * 1000 + b"\r\n") * 9 + b"\r\n")
        heard = await caller.hear()
        (record,) = await gateway.records_when(1)
    assert heard.status == 431
    assert body_of(agent.received[0]) == b"2\r\nhi\r\n"
    assert (record["outcome"], record["status"]) == ("client_closed", 431)


async def told(agent: RawAgent, words: bytes) -> None:
    while not any(words in each for each in agent.received):
        await asyncio.sleep(0)


# Answers


@pytest.mark.parametrize("parts", [1, 2, 3], ids=["in one write", "the end on its own", "the section on its own"])
async def test_a_caller_gets_what_stood_behind_the_agents_body(parts: int, tmp_path: Path) -> None:
    pieces = [ANSWER + b"Connection: X-Hop\r\nTrailer: X-Sum, Date\r\n\r\n5\r\nhello\r\n", b"0;a=b\r\n", SENT + b"\r\n"]
    said = [*pieces[: parts - 1], b"".join(pieces[parts - 1 :])]
    async with raw_agent(saying(*said, then="serve")) as agent, running_gateway(tmp_path, agent.url) as gateway:
        async with calling(gateway) as caller:
            await caller.send(message(gateway))
            heard = await caller.hear()
            await caller.send(message(gateway))
            following = await caller.hear()
        (line, _), (record, _) = await gateway.log_lines(2), await gateway.records_when(2)
    assert (heard.status, heard.body, heard.ending) == (200, b"hello", "whole")
    assert heard.trailers == [("X-Sum", "1"), ("x-sum", "2"), ("grpc-status", "0")]
    assert heard.all("trailer") == ["X-Sum"]
    assert not heard.all("x-sum")
    assert (record["outcome"], record["quantity"], record["bytes_out"]) == ("delivered", 1, 5)
    assert line["code"] is None
    assert (following.status, following.trailers, len(agent.received)) == (200, [], 1)


@pytest.mark.parametrize(
    ("method", "version"), [("HEAD", "1.1"), ("GET", "1.0")], ids=["a HEAD has no body", "HTTP/1.0 knows no chunks"]
)
async def test_where_no_chunks_are_there_are_no_trailers(method: str, version: str, tmp_path: Path) -> None:
    chunks = b"" if method == "HEAD" else b"5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n"
    answer = ANSWER + b"Trailer: X-Sum\r\n\r\n" + chunks
    async with gateway_before(tmp_path, answer) as (gateway, _), calling(gateway) as caller:
        await caller.send(message(gateway, method, version=version))
        heard = await caller.hear(method)
        rest = await caller.gone() if version == "1.0" else b""
    assert (heard.status, heard.ending, heard.trailers, heard.all("trailer")) == (200, "whole", [], [])
    assert heard.body == (b"hello" if method == "GET" else b"")
    assert not rest


@pytest.mark.parametrize(
    "section",
    [
        pytest.param(b"X: " + b"a" * LONGEST + b"\r\n", id="one field too large"),
        pytest.param((b"X: " + b"a" * 100 + b"\r\n") * 100, id="all fields too large"),
        pytest.param(b"X: a\x01b\r\n", id="a control character"),
        pytest.param(b"X: a\r\n b\r\n", id="a folded field"),
        pytest.param(b"X Y: a\r\n", id="a space in a name"),
    ],
)
@pytest.mark.parametrize("at_once", [True, False], ids=["at once", "after the body"])
async def test_an_answer_whose_trailers_cannot_be_read_is_not_whole(
    section: bytes, at_once: bool, tmp_path: Path
) -> None:
    parts = [ANSWER + b"\r\n5\r\nhello\r\n", b"0\r\n" + section + b"\r\n"]
    script = saying(*([b"".join(parts)] if at_once else parts))
    async with raw_agent(script) as agent, running_gateway(tmp_path, agent.url) as gateway:
        heard = await call(gateway)
        (line,), (record,) = await gateway.log_lines(1), await gateway.records_when(1)
    assert (heard.status, heard.ending) in {(502, "whole"), (200, "short")}
    assert (line["code"], record["outcome"], record["quantity"]) == ("upstream_protocol", "failed", 0)


async def test_trailers_of_a_request_that_is_repeated_are_repeated(tmp_path: Path) -> None:
    """A pooled connection that turns out stale costs nobody the end of his request."""
    connections = 0

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        while True:
            await read_body(await reader.readuntil(b"\r\n\r\n"), reader)
            writer.write(OK)
            if connections == 1:
                await reader.readuntil(b"\r\n\r\n")
                return

    async with raw_agent(script) as agent, running_gateway(tmp_path, agent.url) as gateway:
        assert (await call(gateway, "PUT", fields=CODED, body=b"0\r\n\r\n")).status == 200
        heard = await call(gateway, "PUT", fields=CODED, body=b"2\r\nhi\r\n0\r\nX-Sum: 1\r\n\r\n")
    assert heard.status == 200
    assert body_of(agent.received[1]) == b"2\r\nhi\r\n0\r\nX-Sum: 1\r\n\r\n"
