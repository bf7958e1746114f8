import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from gatewayd.errors import StoreError
from gatewayd.model import Account, DirectoryPage, Revocation
from gatewayd.stores.sqlite import migration
from gatewayd.stores.sqlite.clerk import open_clerk
from gatewayd.stores.sqlite.reader import open_reader
from gatewayd.stores.sqlite.store import open_store
from tests.clocks import ManualClock
from tests.stores.ledgers import ALICE, NOVEMBER, audit, drift, hold, record
from tests.stores.sqlite.older import a_ledger_of_schema_2, an_older_ledger

DECEMBER = NOVEMBER + 8 * 86_400
ROOT = Path(__file__).parents[3]
KILLED_IN_THE_MIDDLE = """
import os, sys
from gatewayd.stores.sqlite import migration, opening
step = migration.STEPS[1]
migration.STEPS = {1: lambda connection, now: (step(connection, now), os.kill(os.getpid(), 9))}
migration.migrate(opening.open_file(sys.argv[1], "process").connection, 0.0)
"""
TOKENS = Account("alice", "tokens", "2025-12")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    holds = [hold("r1", units=9, cost=2), hold("r2", unit="tokens", units=5, at=DECEMBER)]
    return an_older_ledger(tmp_path / "ledger.db", [record(hold(f"r{n}")) for n in range(10, 13)], holds)


async def test_holds_of_schema_1_become_unknown_records_charged_their_cost(path: Path, clock: ManualClock) -> None:
    clock.advance(60)
    store = await open_store(str(path), "process", clock)
    assert await drift(store, [ALICE, TOKENS]) == 0
    await store.close()
    with open_reader(str(path)) as reader:
        rows = list(reader.records())
        assert audit(reader) == {ALICE: 5, TOKENS: 5}
        assert [(b.limit, b.held, b.spent) for b in reader.balances()] == [(100, 0, 5), (100, 0, 5)]
        assert reader.leased() == {ALICE: (0, 0), TOKENS: (0, 0)}
        assert reader.directory().plans == {"alice": "pro"}
    assert [row.id for row in rows] == ["r10", "r11", "r12", "r1", "r2"]
    first, second = rows[3:]
    assert (first.outcome, first.status, first.quantity) == ("unknown", 0, 2)
    assert (first.started_at, first.ended_at) == ("2025-11-24T16:00:00.000Z", "2025-11-24T16:01:00.000Z")
    assert second.started_at == second.ended_at == "2025-12-02T16:00:00.000Z"
    with closing(sqlite3.connect(path)) as connection:
        names = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
    assert "usage_holds" not in names
    assert {"usage_leases", "revocations", "usage_records_by_account", "usage_leases_by_account"} <= names


async def test_a_ledger_brought_up_to_date_has_the_tables_of_a_new_one(path: Path, clock: ManualClock) -> None:
    new = path.with_name("new.db")
    made = []
    for each in (path, new):
        await (await open_store(str(each), "process", clock)).close()
        with closing(sqlite3.connect(each)) as connection:
            tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name").fetchall()
            columns = [
                (name, connection.execute(f"SELECT name, type, pk FROM pragma_table_info('{name}')").fetchall())
                for (name,) in tables
            ]
            indexes = connection.execute(
                "SELECT name, tbl_name FROM sqlite_master WHERE type = 'index' ORDER BY name"
            ).fetchall()
            keys = connection.execute("SELECT key FROM ledger_meta ORDER BY key").fetchall()
            made.append((columns, indexes, keys))
    assert made[0] == made[1]


async def test_a_migration_that_fails_leaves_the_ledger_as_it_was_and_free(
    path: Path, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TRIGGER no BEFORE UPDATE ON ledger_meta BEGIN SELECT raise(FAIL, 'no'); END")
        before = list(connection.iterdump())
    for _ in range(2):
        with pytest.raises(StoreError, match=f"ledger {path} cannot be used"):
            await open_store(str(path), "process", clock)
    with closing(sqlite3.connect(path)) as connection:
        assert list(connection.iterdump()) == before
        connection.execute("DROP TRIGGER no")
    assert not caplog.text
    await (await open_store(str(path), "process", clock)).close()
    assert "brought from schema 1 to 3" in caplog.text


async def test_a_start_killed_in_the_middle_of_a_migration_is_as_if_it_had_not_begun(
    path: Path, clock: ManualClock
) -> None:
    with closing(sqlite3.connect(path)) as connection:
        before = list(connection.iterdump())
    finished = subprocess.run([sys.executable, "-c", KILLED_IN_THE_MIDDLE, str(path)], cwd=ROOT, check=False)
    assert finished.returncode == -9
    with closing(sqlite3.connect(path)) as connection:
        assert list(connection.iterdump()) == before
    await (await open_store(str(path), "process", clock)).close()
    with open_reader(str(path)) as reader:
        assert audit(reader) == {ALICE: 5, TOKENS: 5}


async def test_decisions_of_schema_2_are_numbered_beyond_what_its_daemons_knew(
    tmp_path: Path, clock: ManualClock
) -> None:
    path = a_ledger_of_schema_2(tmp_path / "ledger.db", directory=9)
    older = r"older gatewayd \(schema 2, this one needs 3\): start the daemon once"
    with pytest.raises(StoreError, match=older), open_reader(str(path)):
        pass
    store = await open_store(str(path), "process", clock)
    assert await store.directory(0, 3) == DirectoryPage(0, 12, {"ann": "pro", "bob": "pro", "cat": "pro"}, (), True)
    revoked = (Revocation("all", "", 1.0), Revocation("token", "x", 2.0))
    assert await store.directory(12, 3) == DirectoryPage(12, 14, {}, revoked)
    with open_clerk(str(path)) as clerk:
        clerk.assign("bob", "free")
    assert await store.directory(14, 3) == DirectoryPage(14, 15, {"bob": "free"})
    await store.close()


def test_a_current_ledger_is_not_written_to(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        migration.migrate(connection, NOVEMBER)
        before = connection.total_changes
        migration.migrate(connection, NOVEMBER)
        assert connection.total_changes == before
