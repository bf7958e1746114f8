"""Who is revoked is out: of every worker of every daemon, of what is open, and after a restart too.

How soon, tests/books/test_questions.py tries.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

import jwt
import pytest

from gatewayd.clock import SystemClock
from gatewayd.config.loading import load
from gatewayd.identity.signing import sign_token
from tests.agents import RawAgent, raw_agent, talk
from tests.daemons import PATIENCE, RunningDaemon, gatewayd, running_daemon, write_config
from tests.gateways import SECRET
from tests.postgres import Server

EACH = 12  # connections, so that the kernel gives every worker some
GET = b"GET /api/email/x HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer %b\r\n%b\r\n"
UPGRADE = (
    b"Connection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)


async def streaming(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """An event, or a frame, every few milliseconds for as long as somebody listens."""
    head = await reader.readuntil(b"\r\n\r\n")
    if b"pgrade" in head:
        writer.write(
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
        )
        piece = b"\x81\x04data"
    else:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        piece = b"c\r\ndata: data\n\n\r\n"
    while not writer.is_closing():
        writer.write(piece)
        await writer.drain()
        await asyncio.sleep(0.02)


class Open:
    """A caller's stream, read as it comes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self.ended = asyncio.create_task(self._read())

    async def _read(self) -> None:
        with suppress(ConnectionError):
            while await self._reader.read(65536):
                pass

    async def close(self) -> None:
        self._writer.close()
        self.ended.cancel()
        with suppress(asyncio.CancelledError):
            await self.ended


@asynccontextmanager
async def opened(daemon: RunningDaemon, token: str, more: bytes = b"", count: int = EACH) -> AsyncIterator[list[Open]]:
    """So many streams with this token, each after its first piece."""
    streams = []
    try:
        for _ in range(count):
            reader, writer = await asyncio.open_connection("127.0.0.1", daemon.port)
            writer.write(GET % (token.encode(), more))
            async with asyncio.timeout(PATIENCE):
                await reader.readuntil(b"data")
            streams.append(Open(reader, writer))
        yield streams
    finally:
        for stream in streams:
            await stream.close()


async def statuses(daemon: RunningDaemon, token: str, count: int = EACH) -> set[bytes]:
    """What so many callers with this token are answered, each on a connection of its own.

    Nothing, for one whose answer had begun when the token was revoked: what is reset may be lost from its beginning.
    """
    head = GET % (token.encode(), b"Connection: close\r\n")
    answers = [await talk(daemon.port, head, until=b"\r\n\r\n") for _ in range(count)]
    return {answer[len(b"HTTP/1.1 ") :][:3] for answer in answers}


async def refused(daemons: Sequence[RunningDaemon], token: str) -> None:
    async with asyncio.timeout(PATIENCE):
        for daemon in daemons:
            while await statuses(daemon, token) != {b"401"}:
                await asyncio.sleep(0.05)


def token_of(config: Path, user: str) -> str:
    return sign_token(load(config, {"SECRET": SECRET}).settings.auth, SystemClock(), user)


def configured(folder: Path, agent: RawAgent, ledger: str) -> Path:
    config = write_config(folder, agent.url, server="workers = 3")
    text = config.read_text()
    config.write_text(text.replace(f'url = "sqlite:{folder}/ledger.db"', f'url = "{ledger}"'))
    return config


@pytest.fixture(params=["sqlite", "postgresql"])
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:{tmp_path}/ledger.db"
    return f"postgresql:{request.getfixturevalue('rest')}"


@pytest.mark.parametrize(
    ("option", "whom"), [("--user", "eve"), ("--jti", "")], ids=["by their name", "by the token's id"]
)
async def test_the_revoked_are_out_of_every_worker_and_all_that_is_open_and_stay_out(
    tmp_path: Path, ledger: str, option: str, whom: str
) -> None:
    async with raw_agent(streaming) as agent, AsyncExitStack() as stack:
        config = configured(tmp_path, agent, ledger)
        eve, ann = token_of(config, "eve"), token_of(config, "ann")
        subject = whom or jwt.decode(eve, options={"verify_signature": False})["jti"]
        daemon = await stack.enter_async_context(running_daemon(config))
        events = await stack.enter_async_context(opened(daemon, eve))
        sockets = await stack.enter_async_context(opened(daemon, eve, UPGRADE))
        others = await stack.enter_async_context(opened(daemon, ann, count=3))
        others += await stack.enter_async_context(opened(daemon, ann, UPGRADE, count=3))
        revoking = await asyncio.to_thread(gatewayd, "revoke", "-c", config, option, subject)
        assert revoking.returncode == 0, revoking.stderr
        async with asyncio.timeout(PATIENCE):
            await asyncio.gather(*(each.ended for each in (*events, *sockets)))
        await refused([daemon], eve)
        assert not any(each.ended.done() for each in others)
        assert await statuses(daemon, ann, 3) == {b"200"}
        await stack.aclose()
        async with running_daemon(config) as daemon:
            assert await statuses(daemon, eve) == {b"401"}
            assert await statuses(daemon, ann, 3) == {b"200"}


async def silent(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    """An agent who thinks until the gateway hangs up."""
    await reader.readuntil(b"\r\n\r\n")
    await reader.read()


async def test_who_is_revoked_while_the_agent_thinks_is_told_so(tmp_path: Path) -> None:
    async with raw_agent(silent) as agent, AsyncExitStack() as stack:
        config = configured(tmp_path, agent, f"sqlite:{tmp_path}/ledger.db")
        eve = token_of(config, "eve")
        daemon = await stack.enter_async_context(running_daemon(config))
        head = GET % (eve.encode(), b"")
        asking = [asyncio.create_task(talk(daemon.port, head, until=b"}")) for _ in range(EACH)]
        while len(agent.received) < EACH:
            await asyncio.sleep(0.01)
        revoking = await asyncio.to_thread(gatewayd, "revoke", "-c", config, "--user", "eve")
        assert revoking.returncode == 0, revoking.stderr
        async with asyncio.timeout(PATIENCE):
            answers = await asyncio.gather(*asking)
    assert all(each.startswith(b"HTTP/1.1 401 ") and b"The token was revoked" in each for each in answers)


async def test_daemons_that_share_a_ledger_share_revocations(tmp_path: Path, rest: str) -> None:
    async with raw_agent(streaming) as agent, AsyncExitStack() as stack:
        configs = [configured(tmp_path / name, agent, f"postgresql:{rest}") for name in ("one", "two")]
        eve, ann = token_of(configs[0], "eve"), token_of(configs[0], "ann")
        daemons = [await stack.enter_async_context(running_daemon(each)) for each in configs]
        streams = [await stack.enter_async_context(opened(each, eve)) for each in daemons]
        revoking = await asyncio.to_thread(gatewayd, "revoke", "-c", configs[0], "--user", "eve")
        assert revoking.returncode == 0, revoking.stderr
        async with asyncio.timeout(PATIENCE):
            await asyncio.gather(*(each.ended for found in streams for each in found))
        await refused(daemons, eve)
        for daemon in daemons:
            assert await statuses(daemon, ann, 3) == {b"200"}


async def test_who_was_revoked_stays_out_although_the_daemon_starts_without_its_ledger(
    tmp_path: Path, postgres: Server
) -> None:
    database = postgres.database()
    async with raw_agent(streaming) as agent:
        config = configured(tmp_path, agent, f"postgresql:{postgres.rest(database)}")
        eve = token_of(config, "eve")
        async with running_daemon(config) as daemon:
            assert gatewayd("revoke", "-c", config, "--user", "eve").returncode == 0
            await refused([daemon], eve)
        postgres.execute(f"ALTER DATABASE {database} ALLOW_CONNECTIONS false")
        async with running_daemon(config) as daemon:
            assert await statuses(daemon, eve) == {b"401"}
