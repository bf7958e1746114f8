"""The installed thing from end to end: an operator's first hour, and a daemon killed while it works."""

import asyncio
import json
import random
import sqlite3
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from click.testing import Result

from gatewayd.stores.open import open_reader
from tests.agents import answering, raw_agent
from tests.daemons import RunningDaemon, command, environment, running_daemon, write_config
from tests.gateways import SECRET
from tests.patience import PATIENCE
from tests.stores.ledgers import audit

CALLERS = 12


async def test_an_operators_first_hour(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    async with raw_agent(answering(b"HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\nok")) as agent:
        old = {"EMAIL_AGENT_URL": agent.url.removesuffix("/api/email"), "SECRET_KEY": SECRET}

        async def run(*words: str) -> Result:
            return await asyncio.to_thread(command, *words, **old)

        assert (await run("init", "--from-env")).exit_code == 0
        config = Path("conf/gatewayd.toml")
        config.write_text(config.read_text().replace("127.0.0.1:8080", "127.0.0.1:0"))
        assert (await run("check")).stdout == "conf/gatewayd.toml is fine\n"
        token = (await run("token", "--user", "ann")).stdout.strip()
        async with running_daemon(config, environ=environment(**old)) as daemon:
            status, request_id = await call(daemon, token)
            assert (status, len(request_id)) == (201, 32)
            async with asyncio.timeout(PATIENCE):
                while "delivered" not in (await run("ledger", "export")).stdout:
                    await asyncio.sleep(0.02)
            explained = await run("explain", "POST", "/api/email/process", "--token", token)
            assert (explained.exit_code, "1 of 100 are used" in explained.stdout) == (0, True)
            assert f"upstream: {agent.url}/process\n" in explained.stdout
            assert "serving: pid" in (await run("status")).stdout
            assert (await run("stop")).exit_code == 0
            assert await daemon.ended() == 0
        assert (await run("status")).exit_code == 1
        (row,) = json.loads((await run("usage", "--format", "json")).stdout)
    expected = {
        "user": "ann",
        "plan": "free",
        "unit": "api_calls",
        "limit": 100,
        "held": 0,
        "spent": 1,
        "remaining": 99,
    }
    assert row.items() >= expected.items()


async def call(daemon: RunningDaemon, token: str) -> tuple[int, str]:
    headers = {"Authorization": f"Bearer {token}"}
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.post(f"{daemon.url}/api/email/process", data=b"hello") as response,
    ):
        assert await response.read() == b"ok"
        return response.status, response.headers["X-Request-ID"]


class Agent:
    """Answers whole or in two pieces, as its dice fall, and keeps the id of every request that reached it."""

    def __init__(self, dice: random.Random) -> None:
        self._dice = dice
        self.reached: set[str] = set()

    async def play(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            request_id = head.partition("X-Request-ID: ")[2].partition("\r\n")[0]
            self.reached.add(request_id)
            if self._dice.random() < 0.5:
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 32\r\n\r\n" + request_id.encode())
                continue
            writer.write(
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10\r\n%b\r\n" % request_id[:16].encode()
            )
            await asyncio.sleep(self._dice.random() / 100)
            writer.write(b"10\r\n%b\r\n0\r\n\r\n" % request_id[16:].encode())


async def keep_calling(daemon: RunningDaemon, acknowledged: set[str], enough: int, done: asyncio.Event) -> None:
    """Call until the daemon is gone; an answer counts when all of it has come."""
    async with daemon.session() as session:
        while True:
            try:
                async with session.get("/api/email/x") as response:
                    body = await response.text()
            except (aiohttp.ClientError, ConnectionError):
                return
            assert (response.status, body) == (200, response.headers["X-Request-ID"])
            acknowledged.add(body)
            if len(acknowledged) >= enough:
                done.set()


async def killed_at_work(config: Path, enough: int) -> set[str]:
    """What a daemon had answered when `kill -9` came, in the middle of its work."""
    acknowledged: set[str] = set()
    done = asyncio.Event()
    async with running_daemon(config) as daemon:
        calls = [asyncio.create_task(keep_calling(daemon, acknowledged, enough, done)) for _ in range(CALLERS)]
        await asyncio.wait({*calls, asyncio.create_task(done.wait())}, return_when=asyncio.FIRST_COMPLETED)
        daemon.process.kill()
        await asyncio.gather(*calls)
        assert await daemon.ended() == -9
    return acknowledged


def balances(config: Path) -> list[tuple[Any, ...]]:
    with sqlite3.connect(config.parent / "ledger.db") as connection:
        rows = connection.execute("SELECT user_id, unit, held, spent FROM usage_balances").fetchall()
    connection.close()
    return rows


@pytest.mark.parametrize("seed", [1, 2])
async def test_kill_9_under_load_loses_no_answered_call_and_doubles_none(tmp_path: Path, seed: int) -> None:
    dice = random.Random(seed)
    player = Agent(dice)
    acknowledged: set[str] = set()
    async with raw_agent(player.play) as agent:
        config = write_config(tmp_path, agent.url)
        rounds = 2
        for _ in range(rounds):
            acknowledged |= await killed_at_work(config, dice.randrange(20, 150))
        async with running_daemon(config) as daemon:
            with open_reader(f"sqlite:{tmp_path}/ledger.db") as reader:
                records = {row.id: row for row in reader.records()}
                spent = audit(reader).total()
                assert reader.end()[0] == len(records)
            assert balances(config) == [("ann", "api_calls", 0, spent)]
            async with daemon.session() as session, session.get("/api/email/x") as response:
                assert response.status == 200
    assert {records[each].outcome for each in acknowledged} == {"delivered"}
    assert records.keys() >= player.reached - {response.headers["X-Request-ID"]}
    unknown = {each for each, row in records.items() if row.outcome == "unknown"}
    assert not unknown & acknowledged
    assert 0 < len(unknown) <= CALLERS * rounds
    assert {row.outcome for row in records.values()} == {"delivered", "unknown"}
    assert spent == len(records)
