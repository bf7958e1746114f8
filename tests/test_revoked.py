"""Who was revoked is refused within a second, everywhere, also in the middle of an answer."""

import asyncio
from pathlib import Path

import aiohttp
import jwt
import pytest

from gatewayd.model import Revocation
from gatewayd.stores.open import open_clerk
from tests.agents import Script, answering, raw_agent
from tests.gateways import RunningGateway, running_gateway
from tests.patience import when
from tests.problems import ask

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
LATER = 9e9


def revoke(gateway: RunningGateway, *revocation: str) -> None:
    kind, subject = revocation
    with open_clerk(gateway.settings.ledger.url.reveal()) as clerk:
        clerk.revoke(Revocation(kind, subject, LATER))  # type: ignore[arg-type]


async def test_a_revoked_token_is_refused_within_a_second_and_others_are_not(tmp_path: Path) -> None:
    async with (
        raw_agent(answering(OK)) as agent,
        running_gateway(tmp_path, agent.url) as gateway,
        aiohttp.ClientSession(gateway.url) as session,
    ):
        revoked, other = gateway.bearer("ann"), gateway.bearer("ann")
        assert (await ask(session, "/api/email/x", revoked)).status == 200
        payload = jwt.decode(revoked["Authorization"].split()[1], options={"verify_signature": False})
        revoke(gateway, "token", payload["jti"])
        async with asyncio.timeout(1):
            while (answered := await ask(session, "/api/email/x", revoked)).status == 200:
                await asyncio.sleep(0.01)
        answered.problem(401, "token_invalid", unsaid="ann")
        assert answered.headers["WWW-Authenticate"] == 'Bearer realm="gatewayd", error="invalid_token"'
        assert (await ask(session, "/api/email/x", other)).status == 200


async def events(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """An agent that has begun an answer (or a WebSocket) and says no more."""
    head = await reader.readuntil(b"\r\n\r\n")
    if b"pgrade" in head:
        writer.write(
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n\x81\x04data"
        )
    else:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        writer.write(b"b\r\ndata: one\n\n\r\n")
    await reader.read()


async def silent(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    await reader.read()


UPGRADE = (
    b"Connection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)


@pytest.mark.parametrize(
    ("script", "more", "status"),
    [
        pytest.param(events, b"", 200, id="events"),
        pytest.param(events, UPGRADE, 101, id="a WebSocket"),
        pytest.param(silent, b"", 401, id="an answer that is waited for"),
    ],
)
async def test_what_a_revoked_caller_has_open_is_cut_within_a_second(
    tmp_path: Path, script: Script, more: bytes, status: int
) -> None:
    upgrades = 'upgrades = ["websocket"]'
    async with raw_agent(script) as agent:
        routes = f'[routes.email]\nprefix = "/api/email"\nupstream = "{agent.url}"\n{upgrades}\n'
        async with running_gateway(tmp_path, routes=routes) as gateway:
            (eve, eves), (_ann, anns) = [await opened(gateway, user, more, status) for user in ("eve", "ann")]
            await when(lambda: len(agent.received) == 2 and all(agent.received))
            revoke(gateway, "user", "eve")
            async with asyncio.timeout(1):
                if status == 401:
                    assert (await eve.readuntil(b"\r\n")).startswith(b"HTTP/1.1 401 ")
                else:
                    with pytest.raises(ConnectionResetError):
                        await eve.read()
            [record] = await gateway.records_when(1)
            [line] = await gateway.log_lines(1)
            assert (record["user_id"], record["outcome"], record["quantity"]) == ("eve", "failed", 0)
            assert (line["user"], line["status"], line["code"]) == ("eve", status, "token_invalid")
            assert gateway.daemon._worker._drain.in_flight == 1
            for writer in (eves, anns):
                writer.close()


async def opened(
    gateway: RunningGateway, user: str, more: bytes, status: int
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A caller's request, and the first of its answer if there is one."""
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    token = gateway.token(user).encode()
    writer.write(b"GET /api/email/x HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer %b\r\n%b\r\n" % (token, more))
    if status != 401:
        await reader.readuntil(b"data")
        if status == 200:
            await reader.readuntil(b"one\n\n")
    return reader, writer
