"""The caller's body on its way: when it is asked for, how far it may go, and whose fault it is when it stops."""

import asyncio
import gc
from pathlib import Path

import pytest

from gatewayd.proxy.connector import AgentProtocol
from tests.agents import RawAgent, Script, answering, raw_agent, read_body
from tests.gateways import RunningGateway, running_gateway
from tests.patience import PATIENCE
from tests.pauses import skip
from tests.proxy.wire import OK, Caller, beat, call, calling, chunked, message, reset, saying

ROUTE = """
[routes.email]
prefix = "/api/email"
upstream = "{upstream}"
max_body = "1000B"
timeouts = {{ connect = "1s", first_byte = "{first_byte}", idle = "5s" }}
"""
CHUNKED = ["Transfer-Encoding: chunked"]
ASKING = "Expect: 100-continue"


def route(upstream: str, first_byte: str = "5s") -> str:
    return ROUTE.format(upstream=upstream, first_byte=first_byte)


# ------------------------------------------------------------------ Expect: 100-continue


async def test_a_body_is_asked_for_once_the_agent_is_there_to_take_it(tmp_path: Path) -> None:
    async with (
        raw_agent(answering(OK)) as agent,
        running_gateway(tmp_path, agent.url) as gateway,
        calling(gateway) as caller,
    ):
        await caller.send(message(gateway, "POST", fields=[ASKING, "Content-Length: 5"]))
        go_on = await caller.head()
        assert (go_on.status, go_on.reason, go_on.fields) == (100, "Continue", [])
        await caller.send(b"hello")
        heard = await caller.hear()
    assert (heard.status, heard.interim) == (200, [])
    assert agent.received[0].endswith(b"\r\n\r\nhello")
    assert b"expect" not in agent.received[0].lower()


@pytest.mark.parametrize(
    ("path", "fields", "status"),
    [
        pytest.param("/api/email/x", ["Content-Length: 1001"], 413, id="too large"),
        pytest.param("/elsewhere", ["Content-Length: 5"], 404, id="no route"),
    ],
)
async def test_a_refused_request_is_never_asked_for_its_body(
    path: str, fields: list[str], status: int, tmp_path: Path
) -> None:
    async with raw_agent(answering(OK)) as agent, running_gateway(tmp_path, routes=route(agent.url)) as gateway:
        heard = await call(gateway, "POST", path, fields=[ASKING, *fields])
    assert (heard.status, heard.interim, heard.closes) == (status, [], True)
    assert not agent.received


async def test_nobody_asks_for_a_body_that_no_agent_will_take(tmp_path: Path) -> None:
    async with raw_agent(answering(OK)) as agent:
        gone = agent.url
    async with running_gateway(tmp_path, gone) as gateway:
        heard = await call(gateway, "POST", fields=[ASKING, "Content-Length: 5"])
    assert (heard.status, heard.interim, heard.closes) == (502, [], True)


@pytest.mark.parametrize(
    ("version", "fields", "body"),
    [
        pytest.param("1.1", ["Content-Length: 0"], b"", id="there is none"),
        pytest.param("1.1", [], b"hello", id="it was sent unasked"),
        pytest.param("1.0", [], b"hello", id="HTTP/1.0 knows no interim answers"),
    ],
)
async def test_a_body_is_not_asked_for_when(version: str, fields: list[str], body: bytes, tmp_path: Path) -> None:
    async with raw_agent(answering(OK)) as agent, running_gateway(tmp_path, agent.url) as gateway:
        heard = await call(gateway, "POST", version=version, fields=[ASKING, *fields], body=body)
    assert (heard.status, heard.interim) == (200, [])


async def test_an_agents_refusal_takes_the_place_of_the_body(tmp_path: Path) -> None:
    refusal = b"HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno"

    async def refuses(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(refusal)
        await reader.read()

    async with (
        raw_agent(refuses) as agent,
        running_gateway(tmp_path, agent.url) as gateway,
        calling(gateway) as caller,
    ):
        await caller.send(message(gateway, "POST", fields=[ASKING, "Content-Length: 5"]))
        heard = await caller.hear()
        assert (heard.status, heard.body, heard.closes) == (403, b"no", True)
        await asyncio.wait_for(agent.closed.wait(), PATIENCE)


# ------------------------------------------------------------------ how far it may go


@pytest.mark.parametrize(
    ("fields", "body"),
    [
        pytest.param([], b"x" * 1001, id="sized"),
        pytest.param(CHUNKED, chunked(b"x" * 1001), id="chunked, all at once"),
    ],
)
async def test_a_body_that_is_known_to_be_too_large_reaches_no_agent(
    fields: list[str], body: bytes, tmp_path: Path
) -> None:
    async with raw_agent(answering(OK)) as agent, running_gateway(tmp_path, routes=route(agent.url)) as gateway:
        heard = await call(gateway, "POST", fields=fields, body=body)
        fits = await call(gateway, "POST", body=b"x" * 1000)
        records = await gateway.records_when(1)
        (line, _) = await gateway.log_lines(2)
    assert (heard.status, fits.status) == (413, 200)
    assert b'"code":"body_too_large"' in heard.body
    assert heard.closes
    assert [record["id"] for record in records] == [fits["x-request-id"]]
    assert (line["status"], line["code"], line["outcome"]) == (413, "body_too_large", None)


def reading(answer_after: bytes = b"") -> Script:
    """Reads for ever; answers once it has seen so much of a body."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        if answer_after:
            await reader.readuntil(answer_after)
            writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n")
        while await reader.read(65536):
            pass

    return script


async def test_a_body_that_grows_too_large_is_refused_and_leaves_no_row(tmp_path: Path) -> None:
    async with (
        raw_agent(reading()) as agent,
        running_gateway(tmp_path, routes=route(agent.url)) as gateway,
        calling(gateway) as caller,
    ):
        await caller.send(message(gateway, "POST", fields=CHUNKED) + b"3e8\r\n" + b"x" * 1000 + b"\r\n")
        while b"3e8\r\n" not in b"".join(agent.received):
            await beat()
        await caller.send(b"1\r\nx\r\n")
        heard = await caller.hear()
        await asyncio.wait_for(agent.closed.wait(), PATIENCE)
        (line,) = await gateway.log_lines(1)
    balance = gateway.balances()
    assert (heard.status, heard.closes) == (413, True)
    assert (line["status"], line["code"], line["quantity"]) == (413, "body_too_large", 0)
    assert [(each["held"], each["spent"]) for each in balance] == [(0, 0)]
    assert await gateway.posted() == []


async def test_an_answer_that_has_begun_breaks_off_when_its_body_grows_too_large(tmp_path: Path) -> None:
    async with (
        raw_agent(reading(answer_after=b"go")) as agent,
        running_gateway(tmp_path, routes=route(agent.url)) as gateway,
        calling(gateway) as caller,
    ):
        await caller.send(message(gateway, "POST", fields=CHUNKED) + b"2\r\ngo\r\n")
        assert (await caller.head()).status == 200
        assert await caller.chunk() == b"ok"
        await caller.send(b"3e8\r\n" + b"x" * 1000 + b"\r\n")
        assert await caller.gone() == b""
        await asyncio.wait_for(agent.closed.wait(), PATIENCE)
        (record,) = await gateway.records_when(1)
        (line,) = await gateway.log_lines(1)
    assert (record["outcome"], record["quantity"], record["status"]) == ("client_closed", 1, 200)
    assert (line["status"], line["code"]) == (200, "body_too_large")


# ------------------------------------------------------------------ when it stops

IMPATIENT = 'body_timeout = "150ms"'


async def test_a_caller_who_stops_sending_is_told_so(tmp_path: Path) -> None:
    async with (
        raw_agent(reading()) as agent,
        running_gateway(tmp_path, routes=route(agent.url), server=IMPATIENT) as gateway,
        calling(gateway) as caller,
    ):
        await caller.send(message(gateway, "POST", fields=["Content-Length: 10"]) + b"some")
        heard = await caller.hear()
        await asyncio.wait_for(agent.closed.wait(), PATIENCE)
        record = await gateway.record_of(heard["x-request-id"])
        (line,) = await gateway.log_lines(1)
    assert (heard.status, heard.closes) == (408, True)
    assert (line["status"], line["code"]) == (408, "request_timeout")
    assert (record["outcome"], record["quantity"], record["status"]) == ("client_closed", 1, 408)


async def test_a_caller_who_stops_sending_while_he_is_answered_is_cut_off(tmp_path: Path) -> None:
    async with (
        raw_agent(reading(answer_after=b"go")) as agent,
        running_gateway(tmp_path, routes=route(agent.url), server=IMPATIENT) as gateway,
        calling(gateway) as caller,
    ):
        await caller.send(message(gateway, "POST", fields=CHUNKED) + b"2\r\ngo\r\n")
        assert (await caller.head()).status == 200
        assert await caller.chunk() == b"ok"
        assert await caller.gone() == b""
        (line,) = await gateway.log_lines(1)
    assert (line["status"], line["code"], line["outcome"]) == (200, "request_timeout", "client_closed")


async def test_what_a_caller_sent_while_the_gateway_stood_still_is_no_silence(tmp_path: Path) -> None:
    async with (
        raw_agent(taking_eight) as agent,
        running_gateway(tmp_path, routes=route(agent.url)) as gateway,
        calling(gateway) as caller,
    ):
        await begun(caller, gateway, agent)
        [line] = gateway.daemon.connections
        asyncio.get_running_loop().call_soon(line.data_received, b"more")
        skip(60)
        assert (await caller.hear()).status == 200
    assert agent.received[0].endswith(b"somemore")


async def test_an_agent_that_took_more_while_the_gateway_stood_still_took_it_in_time(tmp_path: Path) -> None:
    async with (
        raw_agent(taking_eight) as agent,
        running_gateway(tmp_path, routes=route(agent.url)) as gateway,
        calling(gateway) as caller,
    ):
        await begun(caller, gateway, agent)
        [line] = [each for each in gc.get_objects() if isinstance(each, AgentProtocol) and each.connected]
        line.pause_writing()
        await caller.send(b"mo")
        await beat()
        asyncio.get_running_loop().call_soon(line.resume_writing)
        skip(60)
        await caller.send(b"re")
        assert (await caller.hear()).status == 200


async def taking_eight(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    taken = 0
    while taken < 8:
        taken += len(await reader.read(8))
    writer.write(OK)
    await reader.read()


async def begun(caller: Caller, gateway: RunningGateway, agent: RawAgent) -> None:
    """A body of 8 bytes whose half has arrived."""
    await caller.send(message(gateway, "POST", fields=["Content-Length: 8"]) + b"some")
    while not any(each.endswith(b"some") for each in agent.received):
        await beat()
    await beat()


@pytest.mark.parametrize("garbage", [b"zz\r\n", b"-1\r\n", b"2\r\nokay"], ids=["no size", "negative", "too long"])
async def test_a_caller_whose_chunks_are_garbled_is_told_so(garbage: bytes, tmp_path: Path) -> None:
    async with (
        raw_agent(reading()) as agent,
        running_gateway(tmp_path, routes=route(agent.url)) as gateway,
        calling(gateway) as caller,
    ):
        await caller.send(message(gateway, "POST", fields=CHUNKED) + b"2\r\nok\r\n")
        while b"ok\r\n" not in b"".join(agent.received):
            await beat()
        await caller.send(garbage)
        heard = await caller.hear()
        await asyncio.wait_for(agent.closed.wait(), PATIENCE)
        record = await gateway.record_of(heard["x-request-id"])
    assert (heard.status, heard.closes) == (400, True)
    assert (record["outcome"], record["status"]) == ("client_closed", 400)


async def test_a_body_that_is_garbled_before_it_is_forwarded_is_refused_alike(tmp_path: Path) -> None:
    async with (
        raw_agent(reading()) as agent,
        running_gateway(tmp_path, routes=route(agent.url)) as gateway,
        calling(gateway) as caller,
    ):
        await caller.send(message(gateway, "POST", fields=CHUNKED))
        await asyncio.sleep(0)
        await asyncio.sleep(0)  # its head is read, and waits for the ledger
        await caller.send(b"zz\r\n")
        heard = await caller.hear()
    assert (heard.status, heard.closes) == (400, True)


async def test_the_agents_time_begins_when_the_body_has_gone(tmp_path: Path) -> None:
    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_body(await reader.readuntil(b"\r\n\r\n"), reader)
        await reader.read()

    loop = asyncio.get_running_loop()
    async with (
        raw_agent(slow) as agent,
        running_gateway(tmp_path, routes=route(agent.url, first_byte="150ms")) as gateway,
        calling(gateway) as caller,
    ):
        await caller.send(message(gateway, "POST", fields=["Content-Length: 4"]) + b"one")
        hearing = asyncio.create_task(caller.hear())
        done, _ = await asyncio.wait({hearing}, timeout=0.3)  # longer than the agent has
        assert not done
        sent = loop.time()
        await caller.send(b"!")
        heard = await hearing
    assert heard.status == 504
    assert loop.time() - sent >= 0.14


async def test_an_agent_that_hangs_up_on_an_upload_has_reset_it(tmp_path: Path) -> None:
    async def hangs_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        reset(writer)

    async with (
        raw_agent(hangs_up) as agent,
        running_gateway(tmp_path, agent.url) as gateway,
        calling(gateway) as caller,
    ):
        sending = asyncio.create_task(caller.send(message(gateway, "POST", body=b"x" * 5_000_000)))
        heard = await caller.hear()
        sending.cancel()
        record = await gateway.record_of(heard["x-request-id"])
    assert heard.status == 502
    assert b'"code":"upstream_reset"' in heard.body
    assert (record["outcome"], record["quantity"]) == ("failed", 0)


async def test_an_agent_that_resets_while_it_holds_an_upload_back_is_noticed_at_once(tmp_path: Path) -> None:
    goes_on = asyncio.Event()

    async def resets(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        await goes_on.wait()
        reset(writer)

    async with raw_agent(resets) as agent, running_gateway(tmp_path, agent.url) as gateway, calling(gateway) as caller:
        await caller.send(message(gateway, "POST", fields=["Content-Length: 80000000"]))
        caller.writer.write(b"x" * 80_000_000)
        left = -1
        while not agent.received or left != caller.writer.transport.get_write_buffer_size():
            left = caller.writer.transport.get_write_buffer_size()
            for _ in range(20):
                await beat()
        goes_on.set()
        heard = await caller.hear()
    assert heard.status == 502
    assert b'"code":"upstream_reset"' in heard.body


async def test_a_slow_agent_holds_the_caller_back(tmp_path: Path) -> None:
    goes_on = asyncio.Event()

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        await goes_on.wait()
        await read_body(head, reader)
        writer.write(OK)

    body = b"x" * 80_000_000
    async with (
        raw_agent(slow) as agent,
        running_gateway(tmp_path, agent.url) as gateway,
        calling(gateway) as caller,
    ):
        sending = asyncio.create_task(caller.send(message(gateway, "POST", body=body)))
        transport, left = caller.writer.transport, -1
        while not agent.received or left != transport.get_write_buffer_size():
            left = transport.get_write_buffer_size()
            for _ in range(20):
                await beat()
        taken = len(body) - left
        goes_on.set()
        heard = await caller.hear()
        await sending
        record = await gateway.record_of(heard["x-request-id"])
    assert heard.status == 200
    assert taken < 30_000_000  # the gateway's own buffers, and those of two loopback connections
    assert record["bytes_in"] == len(body)


async def test_an_early_answer_ends_the_connection_but_is_heard(tmp_path: Path) -> None:
    early = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

    async def answers(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(early + chunked(b"enough"))
        await reader.read()

    async with raw_agent(answers) as agent, running_gateway(tmp_path, agent.url) as gateway, calling(gateway) as caller:
        await caller.send(message(gateway, "POST", fields=["Content-Length: 10"]) + b"some")
        heard = await caller.hear()
        await asyncio.wait_for(agent.closed.wait(), PATIENCE)
        record = await gateway.record_of(heard["x-request-id"])
    assert (heard.status, heard.body, heard.ending, heard.closes) == (200, b"enough", "whole", True)
    assert (record["outcome"], record["bytes_in"]) == ("delivered", 4)


async def test_an_upload_may_be_answered_while_it_runs(tmp_path: Path) -> None:
    """A conversation over one request: each piece is answered before the next is sent."""

    async def echoes(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while size := int(line := await reader.readuntil(b"\r\n"), 16):
            writer.write(line + await reader.readexactly(size + 2))
        await reader.readexactly(2)
        writer.write(b"0\r\n\r\n")
        await reader.read()

    async with raw_agent(echoes) as agent, running_gateway(tmp_path, agent.url) as gateway, calling(gateway) as caller:
        await caller.send(message(gateway, "POST", fields=CHUNKED))
        assert (await caller.head()).status == 200
        for piece in (b"one", b"two", b"three"):
            await caller.send(b"%x\r\n%b\r\n" % (len(piece), piece))
            assert await asyncio.wait_for(caller.chunk(), PATIENCE) == piece
        await caller.send(b"0\r\n\r\n")
        assert await caller.chunk() == b""
        (record,) = await gateway.records_when(1)
    assert (record["outcome"], record["bytes_in"], record["bytes_out"]) == ("delivered", 11, 11)


async def test_an_answer_may_be_late_when_its_upload_was_answered_early(tmp_path: Path) -> None:
    """The clock of the first byte is over with the first byte, even when the upload ends after it."""
    goes_on = asyncio.Event()

    async def answers(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n")
        await goes_on.wait()
        writer.write(b"0\r\n\r\n")
        await reader.read()

    async with (
        raw_agent(answers) as agent,
        running_gateway(tmp_path, routes=route(agent.url, first_byte="50ms")) as gateway,
        calling(gateway) as caller,
    ):
        await caller.send(message(gateway, "POST", fields=["Content-Length: 4"]) + b"one")
        await caller.head()
        await caller.send(b"!")
        assert await caller.chunk() == b"ok"
        done, _ = await asyncio.wait({asyncio.create_task(asyncio.Event().wait())}, timeout=0.1)
        goes_on.set()
        assert await caller.chunk() == b""
    assert not done


async def test_saying_nothing_is_no_upload(tmp_path: Path) -> None:
    async with raw_agent(saying(OK)) as agent, running_gateway(tmp_path, agent.url) as gateway:
        heard = await call(gateway, "POST")
        record = await gateway.record_of(heard["x-request-id"])
    assert (record["bytes_in"], record["bytes_out"]) == (0, 2)
