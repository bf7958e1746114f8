"""Who pays for what: the rows of docs/billing.md that no other test has, through the whole gateway."""

import asyncio
from pathlib import Path

import pytest

from tests.agents import Script, raw_agent, read_body, talk
from tests.gateways import RunningGateway, running_gateway

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
HALF = b"HTTP/1.1 200 OK\r\nX-Usage-Quantity: 9\r\nContent-Length: 100\r\n\r\nshort"
SWITCH = (
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
)
UPGRADE = (
    b"Connection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)
QUICK = 'timeouts = { %s = "150ms" }'


def saying(answer: bytes, *, then_close: bool = False) -> Script:
    """Says this after a head, and then no more."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()
        if not then_close:
            await reader.read()

    return script


def routes(url: str, more: str) -> str:
    """A route whose calls cost 3."""
    place = f'[routes.email]\nprefix = "/api/email"\nupstream = "{url}"\n'
    return f"{place}usage = {{ unit = 'api_calls', cost = 3 }}\n{more}\n"


def request(gateway: RunningGateway, fields: bytes = b"", body: bytes = b"", method: bytes = b"GET") -> bytes:
    token = gateway.token().encode()
    head = b"%b /api/email/x HTTP/1.1\r\nHost: h\r\nConnection: close\r\nAuthorization: Bearer %b\r\n" % (method, token)
    return (head.replace(b"Connection: close\r\n", b"") if b"Upgrade" in fields else head) + fields + b"\r\n" + body


@pytest.mark.parametrize(
    ("script", "more", "fields", "body", "charged"),
    [
        pytest.param(saying(b""), QUICK % "first_byte", b"", b"", ("failed", 0, 504), id="too slow to begin"),
        pytest.param(saying(b""), QUICK % "total", b"", b"", ("failed", 0, 504), id="too slow in all"),
        pytest.param(saying(HALF), QUICK % "idle", b"", b"", ("failed", 0, 200), id="silent in the middle"),
        pytest.param(saying(HALF, then_close=True), "", b"", b"", ("failed", 0, 200), id="broke off"),
        pytest.param(
            saying(HALF, then_close=True),
            'charge = { failed = "cost" }',
            b"",
            b"",
            ("failed", 9, 200),
            id="broke off, and the route charges for it",
        ),
        pytest.param(saying(b"", then_close=True), "", b"", b"", ("failed", 0, 502), id="closed without an answer"),
        pytest.param(saying(b"HTTP/1.1 nonsense\r\n\r\n"), "", b"", b"", ("failed", 0, 502), id="no HTTP"),
        pytest.param(
            saying(b""), "", b"Content-Length: 9\r\n", b"half", ("client_closed", 3, 408), id="stopped sending"
        ),
        pytest.param(
            saying(b""),
            "charge = { client_closed = 0 }",
            b"Content-Length: 9\r\n",
            b"half",
            ("client_closed", 0, 408),
            id="stopped sending, and the route forgives it",
        ),
        pytest.param(
            saying(SWITCH + b"\x88\x00", then_close=True),
            "",
            UPGRADE,
            b"",
            ("delivered", 3, 101),
            id="a WebSocket closed",
        ),
        pytest.param(
            saying(SWITCH + b"\x81\x01x", then_close=True),
            "",
            UPGRADE,
            b"",
            ("failed", 0, 101),
            id="a WebSocket dropped",
        ),
    ],
)
async def test_who_pays_for_what(
    tmp_path: Path, script: Script, more: str, fields: bytes, body: bytes, charged: tuple[str, int, int]
) -> None:
    async with (
        raw_agent(script) as agent,
        running_gateway(tmp_path, routes=routes(agent.url, more), server='body_timeout = "150ms"\n') as gateway,
    ):
        await talk(gateway.port, request(gateway, fields, body, b"POST" if body else b"GET"))
        [record] = await gateway.records_when(1)
        assert (record["outcome"], record["quantity"], record["status"]) == charged
        await gateway.stop()
        [balance] = gateway.balances()
        assert (balance["held"], balance["spent"]) == (0, charged[1])


async def test_a_call_repeated_on_a_fresh_connection_is_charged_once(tmp_path: Path) -> None:
    answered = 0

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal answered
        await read_body(await reader.readuntil(b"\r\n\r\n"), reader)
        writer.write(OK)
        answered += 1
        if answered == 1:
            await reader.readuntil(b"\r\n\r\n")  # the second call comes on the pooled connection, and finds it closing

    async with raw_agent(script) as agent, running_gateway(tmp_path, routes=routes(agent.url, "")) as gateway:
        for _ in range(2):
            assert b"200 OK" in await talk(gateway.port, request(gateway))
        records = await gateway.records_when(2)
        assert [(record["outcome"], record["quantity"]) for record in records] == [("delivered", 3)] * 2
        assert len(agent.received) == 2
        assert sum(bytes(each).count(b"GET ") for each in agent.received) == 3
        await gateway.stop()
        assert len(await gateway.posted()) == 2


async def test_an_answer_cut_at_the_drains_end_costs_the_caller_nothing(tmp_path: Path) -> None:
    async with raw_agent(saying(HALF)) as agent, running_gateway(tmp_path, routes=routes(agent.url, "")) as gateway:
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        writer.write(request(gateway))
        await reader.readuntil(b"short")
        gateway.daemon.stop()
        gateway.daemon.stop()
        await gateway.task
        [record] = await gateway.posted()
        assert (record["outcome"], record["quantity"], record["status"]) == ("failed", 0, 200)
        writer.close()


async def test_an_answer_that_came_before_the_upload_was_over_is_a_delivered_one(tmp_path: Path) -> None:
    early = saying(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
    async with raw_agent(early) as agent, running_gateway(tmp_path, routes=routes(agent.url, "")) as gateway:
        said = await talk(gateway.port, request(gateway, b"Content-Length: 9\r\n", b"half", b"POST"))
        assert said.startswith(b"HTTP/1.1 403 ")
        [record] = await gateway.records_when(1)
        assert (record["outcome"], record["quantity"], record["status"]) == ("delivered", 3, 403)


async def test_a_body_that_breaks_on_its_way_to_the_agent_is_the_callers_fault(tmp_path: Path) -> None:
    async with raw_agent(saying(b"")) as agent, running_gateway(tmp_path, routes=routes(agent.url, "")) as gateway:
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        writer.write(request(gateway, b"Transfer-Encoding: chunked\r\n", b"4\r\nhalf\r\n", b"POST"))
        async with asyncio.timeout(5):
            while not agent.received or not agent.received[0]:
                await asyncio.sleep(0.01)
        writer.write(b"xyz\r\n")
        assert (await reader.read()).startswith(b"HTTP/1.1 400 ")
        writer.close()
        [record] = await gateway.records_when(1)
        assert (record["outcome"], record["quantity"], record["status"]) == ("client_closed", 3, 400)


async def test_a_body_that_was_broken_before_the_agent_was_called_leaves_no_record(tmp_path: Path) -> None:
    async with raw_agent(saying(b"")) as agent, running_gateway(tmp_path, routes=routes(agent.url, "")) as gateway:
        fields = b"Transfer-Encoding: chunked\r\n"
        said = await talk(gateway.port, request(gateway, fields, b"4\r\nhalf\r\nxyz\r\n", b"POST"))
        assert said.startswith(b"HTTP/1.1 400 ")
        await gateway.stop()
        assert (await gateway.posted(), agent.received) == ([], [])
