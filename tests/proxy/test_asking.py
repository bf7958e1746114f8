"""Connections to an agent that turn out to be closed, and what may be asked a second time."""

import asyncio
from pathlib import Path

import pytest

from tests.agents import Script, answering, raw_agent, read_body
from tests.gateways import running_gateway
from tests.proxy.wire import OK, at_first, beat, call

NOTHING = b"HTTP/1.1 204 No Content\r\n\r\n"


def closing_after(answers: int, *, read: bool = True) -> Script:
    """Answers so many requests on its first connection and closes it instead of answering the next."""

    async def first(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(answers):
            await read_body(await reader.readuntil(b"\r\n\r\n"), reader)
            writer.write(NOTHING)
        if read:
            await reader.readuntil(b"\r\n\r\n")

    return at_first(first, then=NOTHING)


@pytest.mark.parametrize(
    ("method", "body", "status"),
    [
        pytest.param("GET", b"", 204, id="GET"),
        pytest.param("HEAD", b"", 204, id="HEAD"),
        pytest.param("PUT", b"hello", 204, id="PUT with its body at hand"),
        pytest.param("DELETE", b"", 204, id="DELETE"),
        pytest.param("POST", b"hello", 502, id="POST"),
        pytest.param("PATCH", b"hello", 502, id="PATCH"),
        pytest.param("PUT", b"x" * 2_000_000, 502, id="PUT whose body was streamed"),
    ],
)
async def test_a_request_that_met_a_stale_connection_is_repeated_if_that_does_no_harm(
    method: str, body: bytes, status: int, tmp_path: Path
) -> None:
    async with raw_agent(closing_after(1)) as agent, running_gateway(tmp_path, agent.url) as gateway:
        assert (await call(gateway)).status == 204
        heard = await call(gateway, method, body=body)
        record = await gateway.record_of(heard["x-request-id"])
        assert len(await gateway.records_when(2)) == 2
        (_, line) = await gateway.log_lines(2)
    assert (heard.status, line["code"]) == (status, None if status == 204 else "upstream_reset")
    assert record["outcome"] == ("delivered" if status == 204 else "failed")


async def test_a_connection_that_was_closed_while_idle_costs_nobody_anything(tmp_path: Path) -> None:
    async with raw_agent(closing_after(1, read=False)) as agent, running_gateway(tmp_path, agent.url) as gateway:
        assert (await call(gateway)).status == 204
        await agent.closed.wait()
        await beat()
        assert (await call(gateway, "POST", body=b"hello")).status == 204
    assert len(agent.received) == 2


@pytest.mark.parametrize(
    "unasked",
    [
        pytest.param(b"extra", id="bytes that are no answer"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil", id="a second answer"),
    ],
)
async def test_what_an_agent_says_unasked_is_nobodys_answer(unasked: bytes, tmp_path: Path) -> None:
    heard, said = asyncio.Event(), asyncio.Event()

    async def first(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK)
        await heard.wait()
        writer.write(unasked)
        await writer.drain()
        said.set()
        await answering(OK)(reader, writer)

    async with raw_agent(at_first(first)) as agent, running_gateway(tmp_path, agent.url) as gateway:
        assert (await call(gateway)).status == 200
        await beat()
        heard.set()
        await said.wait()
        await beat()
        following = await call(gateway, "POST", body=b"hello")
    assert (following.status, following.body) == (200, b"ok")
    assert len(agent.received) == 2


async def test_a_request_is_repeated_once_and_no_more(tmp_path: Path) -> None:
    both = asyncio.Barrier(2)

    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await both.wait()
        writer.write(NOTHING)
        await reader.readuntil(b"\r\n\r\n")

    async with raw_agent(once) as agent, running_gateway(tmp_path, agent.url) as gateway:
        answers = await asyncio.gather(call(gateway), call(gateway))
        assert [heard.status for heard in answers] == [204, 204]
        heard = await call(gateway)
        record = await gateway.record_of(heard["x-request-id"])
    assert heard.status == 502
    assert b'"code":"upstream_reset"' in heard.body
    assert (record["outcome"], len(agent.received)) == ("failed", 2)


async def test_an_answer_that_was_cut_off_is_not_taken_for_a_stale_connection(tmp_path: Path) -> None:
    async def first(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK)
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nX-")

    async with raw_agent(at_first(first)) as agent, running_gateway(tmp_path, agent.url) as gateway:
        assert (await call(gateway)).status == 200
        assert (await call(gateway)).status == 502
    assert len(agent.received) == 1


async def test_connections_are_kept_and_used_again(tmp_path: Path) -> None:
    async with raw_agent(answering(OK)) as agent, running_gateway(tmp_path, agent.url) as gateway:
        for _ in range(5):
            assert (await call(gateway)).status == 200
            assert (await call(gateway, "POST", body=b"x" * 300_000)).status == 200
    assert len(agent.received) == 1
