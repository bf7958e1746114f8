"""ledger verify and ledger export, with the daemon up or down."""

import asyncio
import json
import sqlite3
import subprocess
from pathlib import Path
from typing import Any

import pytest

from gatewayd.clock import SystemClock
from gatewayd.stores.base import Batch, Want
from gatewayd.stores.chain import RecordRow
from gatewayd.stores.open import open_store
from tests.agents import raw_agent
from tests.commands.books import fill, url
from tests.daemons import COMMAND, Stream, command, daemon_here, environment, running_daemon, write_config
from tests.patience import PATIENCE
from tests.stores.ledgers import NOVEMBER, hold

DECEMBER = NOVEMBER + 30 * 86400


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return write_config(tmp_path)


@pytest.fixture
def ledger(config: Path) -> Path:
    """r0 and r1 are ann's in November, r2 is bob's, r3 is ann's in December; of 1, 2, 3 and 4 units."""
    users = [("ann", NOVEMBER), ("ann", NOVEMBER), ("bob", NOVEMBER), ("ann", DECEMBER)]
    holds = [hold(f"r{number}", user=user, units=number + 1, at=at) for number, (user, at) in enumerate(users)]
    asyncio.run(fill(config, holds))
    return config


def tamper(config: Path, statement: str) -> None:
    with sqlite3.connect(config.parent / "ledger.db") as connection:
        connection.execute(statement)
    connection.close()


def exported(config: Path, *options: str) -> list[dict[str, Any]]:
    found = command("ledger", "export", "-c", config, *options)
    assert (found.exit_code, found.stderr) == (0, "")
    return [json.loads(line) for line in found.stdout.splitlines()]


def test_a_whole_ledger_is_one_line_with_figures(ledger: Path) -> None:
    found = command("ledger", "verify", "-c", ledger)
    assert (found.exit_code, found.stderr) == (0, "")
    assert found.stdout.startswith("the ledger is whole: 4 records, 3 balances, 10 units spent, head ")
    assert found.stdout.count("\n") == 1


@pytest.mark.parametrize(
    ("statement", "lines"),
    [
        pytest.param(
            "UPDATE usage_records SET quantity = 0 WHERE id = 'r2'",
            ["record r2: does not follow record r1: ", "balance bob api_calls 2025-11: spent is 3, "],
            id="a changed record",
        ),
        pytest.param(
            "DELETE FROM usage_records WHERE id = 'r1'",
            ["record r2: does not follow record r0: ", "balance ann api_calls 2025-11: "],
            id="a gap",
        ),
        pytest.param(
            "DELETE FROM usage_records WHERE id = 'r3'",
            ["record r2: is not where the ledger ends: ", "balance ann api_calls 2025-12: "],
            id="a cut-off end",
        ),
        pytest.param(
            "UPDATE usage_balances SET spent = 0 WHERE user_id = 'bob'",
            ["balance bob api_calls 2025-11: spent is 0, its records add up to 3"],
            id="a changed balance",
        ),
        pytest.param(
            "UPDATE usage_balances SET held = 5 WHERE user_id = 'bob'",
            ["balance bob api_calls 2025-11: held is 5, its leases add up to 0"],
            id="units held by nobody",
        ),
        pytest.param(
            "UPDATE ledger_meta SET value = '5' WHERE key = 'records'", ["record r3: is the last one, "], id="a count"
        ),
    ],
)
def test_each_fault_is_a_line_and_the_exit_is_1(ledger: Path, statement: str, lines: list[str]) -> None:
    tamper(ledger, statement)
    found = command("ledger", "verify", "-c", ledger)
    assert found.exit_code == 1
    told = found.stdout.splitlines()
    assert len(told) == len(lines), told
    assert all(line.startswith(start) for line, start in zip(told, lines, strict=True)), told
    assert found.stderr.startswith(f"gatewayd: the ledger is not whole: {len(lines)} fault")


def test_a_limit_of_this_month_that_no_plan_has_is_a_warning_and_no_fault(config: Path) -> None:
    now = SystemClock().utc()
    users = [hold(f"r{number}", user=f"user-{number}", at=now, limit=777) for number in range(22)]
    asyncio.run(fill(config, [*users, hold("r22", user="ann", at=now, limit=100_000)]))
    found = command("ledger", "verify", "-c", config)
    assert (found.exit_code, found.stdout.partition(":")[0]) == (0, "the ledger is whole")
    told = found.stderr.splitlines()
    assert len(told) == 21
    assert told[0].startswith("warning: balance user-0 api_calls 20")
    assert told[0].endswith(": limit_units is 777, which is no plan's quota of api_calls")
    assert told[-1] == "warning: and 2 more such limits"


def test_export_has_every_column_of_every_record_in_the_order_of_the_chain(ledger: Path) -> None:
    rows = exported(ledger)
    assert [row["id"] for row in rows] == ["r0", "r1", "r2", "r3"]
    assert all(tuple(row) == RecordRow._fields for row in rows)
    assert rows[2] == {
        "id": "r2",
        "user_id": "bob",
        "plan": "free",
        "agent": "email",
        "route": "email",
        "unit": "api_calls",
        "quantity": 3,
        "outcome": "delivered",
        "status": 200,
        "started_at": "2025-11-24T16:00:00.000Z",
        "ended_at": "2025-11-24T16:00:00.250Z",
        "bytes_in": 160,
        "bytes_out": 913,
        "chain": rows[2]["chain"],
    }


@pytest.mark.parametrize(
    ("options", "ids"),
    [
        (["--user", "ann"], ["r0", "r1", "r3"]),
        (["--period", "2025-11"], ["r0", "r1", "r2"]),
        (["--period", "2025-11", "--user", "ann"], ["r0", "r1"]),
        (["--period", "all"], ["r0", "r1", "r2", "r3"]),
        (["--user", "nobody"], []),
    ],
)
def test_export_of_one_user_or_month(ledger: Path, options: list[str], ids: list[str]) -> None:
    assert [row["id"] for row in exported(ledger, *options)] == ids


def test_export_refuses_what_is_no_month(ledger: Path) -> None:
    found = command("ledger", "export", "-c", ledger, "--period", "november")
    assert (found.exit_code, found.stdout) == (2, "")


@pytest.mark.parametrize("which", ["verify", "export"])
def test_without_a_ledger_the_way_to_one_is_told(config: Path, which: str) -> None:
    found = command("ledger", which, "-c", config)
    assert (found.exit_code, found.stdout) == (1, "")
    assert "does not exist: start the daemon once, or correct ledger.url" in found.stderr


def test_export_ends_quietly_when_its_reader_has_what_it_wanted(config: Path) -> None:
    asyncio.run(fill(config, [hold(f"r{number}") for number in range(100)]))
    with subprocess.Popen(
        [*COMMAND, "ledger", "export", "-c", str(config)],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()  # before it has written anything: the interpreter takes longer to start than this
        assert (process.stderr.read(), process.wait()) == (b"", 0)


async def test_a_running_daemons_ledger_is_verified_and_exported(tmp_path: Path) -> None:
    stream = Stream()
    async with raw_agent(stream.script) as agent:
        config = write_config(tmp_path, agent.url)
        async with daemon_here(config) as daemon:
            token = command("token", "-c", config, "--user", "ann").stdout.strip()
            reader, writer = await asyncio.open_connection("127.0.0.1", int(daemon.urls[0].rpartition(":")[2]))
            writer.write(f"GET /api/email/x HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\n\r\n".encode())
            await reader.readuntil(b"first")
            found = await asyncio.to_thread(command, "ledger", "verify", "-c", config)
            assert (found.exit_code, found.stdout[:31]) == (0, "the ledger is whole: 0 records,")
            stream.go_on.set()
            await reader.readuntil(b"0\r\n\r\n")
            writer.close()
        found = command("ledger", "verify", "-c", config)
        assert (found.exit_code, found.stdout[:31]) == (0, "the ledger is whole: 1 records,")
        [row] = exported(config)
        assert (row["user_id"], row["outcome"]) == ("ann", "delivered")


@pytest.fixture
def left(config: Path) -> Path:
    """A ledger in which a daemon called `gone` left 30 units of ann's and 7 of bob's."""

    async def leave() -> None:
        store = await open_store(url(config), "process", SystemClock())
        wants = [Want(hold(user=user).account, 100, units, units) for user, units in (("ann", 30), ("bob", 7))]
        await store.lease("gone", wants)
        await store.post("gone", Batch(in_flight={wants[0].account: 2}))
        await store.close()

    asyncio.run(leave())
    return config


def nodes(config: Path) -> list[dict[str, Any]]:
    found = command("ledger", "nodes", "--format", "json", "-c", config)
    assert (found.exit_code, found.stderr) == (0, "")
    rows: list[dict[str, Any]] = json.loads(found.stdout)
    return rows


def test_nodes_are_the_daemons_that_have_units_in_leases(left: Path) -> None:
    assert nodes(left) == [{"node": "gone", "accounts": 2, "units": 37, "in_flight": 2}]
    found = command("ledger", "nodes", "-c", left)
    assert found.stdout == "node  accounts  units  in_flight\ngone  2         37     2\n"


def test_a_ledger_without_leases_has_no_nodes(ledger: Path) -> None:
    assert nodes(ledger) == []
    assert command("ledger", "nodes", "-c", ledger).stdout == "no daemon has units in leases\n"


def test_release_frees_what_a_daemon_left_that_is_gone_after_it_was_asked_whether_to(left: Path) -> None:
    refused = command("ledger", "release", "gone", "-c", left)  # nobody there to answer
    assert refused.exit_code == 1
    assert "Free 37 units of 2 accounts?" in refused.stderr
    assert nodes(left)
    found = command("ledger", "release", "gone", "--yes", "-c", left)
    assert (found.exit_code, found.stdout) == (0, "37 units of gone are free again\n")
    assert nodes(left) == []
    assert command("ledger", "verify", "-c", left).exit_code == 0


def test_release_names_who_has_nothing_to_free(left: Path) -> None:
    found = command("ledger", "release", "other", "--yes", "-c", left)
    assert (found.exit_code, found.stdout) == (1, "")
    assert found.stderr == "gatewayd: no daemon called other has units in leases: see gatewayd ledger nodes\n"


async def test_release_leaves_a_running_daemon_what_it_has(tmp_path: Path) -> None:
    stream = Stream()
    async with raw_agent(stream.script) as agent:
        config = write_config(tmp_path, agent.url)
        async with running_daemon(config) as daemon, daemon.session() as session, session.get("/api/email/x") as answer:
            assert await answer.content.readany() == b"first"
            name = (tmp_path / "node").read_text().strip()
            async with asyncio.timeout(PATIENCE):
                while [each["node"] for each in await asyncio.to_thread(nodes, config)] != [name]:
                    await asyncio.sleep(0.02)
            found = await asyncio.to_thread(command, "ledger", "release", name, "--yes", "-c", config)
            assert found.exit_code == 1
            assert "is in use by another gatewayd" in found.stderr
            stream.go_on.set()
            assert await answer.content.read() == b"last"
    assert command("ledger", "verify", "-c", config).exit_code == 0
