"""Ledgers and directories that a daemon must not or cannot use: refused in one line, and left as they were."""

import asyncio
import hashlib
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest

from tests.daemons import command, gatewayd, running_daemon
from tests.faults.crowds import bearer, call, configured, counting_agent, finished, posted
from tests.faults.disks import may_mount, read_only
from tests.postgres import Server, execute

COMMANDS = [
    ["usage"],
    ["ledger", "verify"],
    ["ledger", "export"],
    ["account", "set", "ann", "--plan", "free"],
    ["account", "show", "ann"],
    ["account", "list"],
    ["revoke", "--user", "ann"],
]
NEWER = "UPDATE ledger_meta SET value = '99' WHERE key = 'schema_version'"
TABLES = ("usage_records", "usage_balances", "usage_leases", "accounts", "revocations", "ledger_meta")
mounting = pytest.mark.skipif(not may_mount(), reason="only root may mount")


async def outputs(config: Path) -> dict[str, str]:
    """What each said on stderr, after which it ended with 1 and nothing on stdout; `start` as a process."""
    said = {}
    for words in COMMANDS:
        found = await asyncio.to_thread(command, *words, "-c", config)
        assert (found.exit_code, found.stdout) == (1, ""), words
        said[" ".join(words)] = found.stderr
    started = await asyncio.to_thread(gatewayd, "start", "-c", config)
    assert (started.returncode, started.stdout) == (1, "")
    return said | {"start": started.stderr}


@asynccontextmanager
async def used(config: Path) -> AsyncIterator[None]:
    """A ledger with a record in it, at rest."""
    async with running_daemon(config) as daemon:
        assert (await call(daemon, bearer())).status == 200
        await finished(daemon)
    yield


async def test_a_sqlite_ledger_of_a_newer_gatewayd_is_refused_by_start_and_by_every_command_and_left_alone(
    tmp_path: Path,
) -> None:
    async with counting_agent() as (agent, _):
        config = configured(tmp_path, agent.url)
        async with used(config):
            file = tmp_path / "ledger.db"
            with closing(sqlite3.connect(file, isolation_level=None)) as connection:
                connection.execute(NEWER)
            before = hashlib.sha256(file.read_bytes()).digest()
            for words, said in (await outputs(config)).items():
                assert said.splitlines()[-1] == (
                    f"gatewayd: ledger {file} was made by a newer gatewayd (schema 99, this one knows 3): "
                    "upgrade gatewayd, or name another file in ledger.url"
                ), words
            assert hashlib.sha256(file.read_bytes()).digest() == before


async def test_a_postgresql_ledger_of_a_newer_gatewayd_is_refused_by_start_and_by_every_command_and_left_alone(
    tmp_path: Path, postgres: Server
) -> None:
    rest = postgres.space()

    def content() -> list[list[tuple[object, ...]]]:
        return [execute(rest, f"SELECT * FROM {table} ORDER BY 1") for table in TABLES]

    async with counting_agent() as (agent, _):
        config = configured(tmp_path, agent.url, ledger=f"postgresql:{rest}")
        async with used(config):
            execute(rest, NEWER)
            before = content()
            for words, said in (await outputs(config)).items():
                (line,) = [line for line in said.splitlines() if line.startswith("gatewayd: ")]
                assert "was made by a newer gatewayd (schema 99, this one knows 2): upgrade gatewayd, or" in line, words
                assert "s3cret" not in said
            assert content() == before


@mounting
async def test_a_state_directory_that_is_read_only_is_named_before_anything_is_served(tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir()
    config = configured(tmp_path / "conf", state=state, ledger=f"sqlite:{tmp_path}/ledger.db")
    with read_only(state):
        found = await asyncio.to_thread(gatewayd, "start", "-c", config)
    assert (found.returncode, found.stdout) == (1, "")
    assert found.stderr == f"gatewayd: server.state_dir: cannot write to {state}: Read-only file system\n"
    assert list(state.iterdir()) == []


@mounting
async def test_a_state_directory_that_is_read_only_since_yesterday_is_named_too(tmp_path: Path) -> None:
    async with counting_agent() as (agent, counting):
        config = configured(tmp_path / "conf", agent.url, state=tmp_path / "state")
        async with used(config):
            with read_only(tmp_path / "state"):
                found = await asyncio.to_thread(gatewayd, "start", "-c", config)
                verified = command("ledger", "verify", "-c", config)
                told = command("usage", "-c", config)
                written = command("revoke", "--user", "ann", "-c", config)
            assert (found.returncode, found.stdout, found.stderr.count("\n")) == (1, "", 1)
            assert "Read-only file system" in found.stderr
            assert (verified.exit_code, told.exit_code) == (0, 0), verified.stderr + told.stderr
            assert written.exit_code == 1
            assert "give the daemon's user write access to it and its directory" in written.stderr
            async with running_daemon(config) as daemon:
                assert len(await posted(config, set(counting.reached))) == 1
                await finished(daemon)


@mounting
async def test_a_ledger_in_a_directory_that_is_read_only_is_named(tmp_path: Path) -> None:
    place = tmp_path / "books"
    place.mkdir()
    config = configured(tmp_path / "conf", ledger=f"sqlite:{place}/ledger.db", state=tmp_path / "state")
    with read_only(place):
        found = await asyncio.to_thread(gatewayd, "start", "-c", config)
    assert (found.returncode, found.stdout, found.stderr.count("\n")) == (1, "", 1)
    assert f"ledger {place}/ledger.db cannot be opened (Read-only file system): " in found.stderr
    assert "its directory must be open to the daemon's user" in found.stderr
