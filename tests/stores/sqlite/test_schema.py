import sqlite3
from pathlib import Path

import pytest

from gatewayd.errors import StoreError
from gatewayd.stores.sqlite import schema


@pytest.fixture
def connection() -> sqlite3.Connection:
    return sqlite3.connect(":memory:", isolation_level=None)


def fail_inside_a_transaction(connection: sqlite3.Connection, statement: str) -> None:
    with schema.transaction(connection):
        connection.execute(statement)
        raise KeyError


def columns(connection: sqlite3.Connection, table: str) -> list[str]:
    return [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]


def test_the_tables_are_those_that_operators_were_promised(connection: sqlite3.Connection) -> None:
    schema.create(connection)
    assert columns(connection, "usage_records") == [
        *("id", "user_id", "plan", "agent", "route", "unit", "quantity", "outcome", "status"),
        *("started_at", "ended_at", "bytes_in", "bytes_out", "chain"),
    ]
    assert columns(connection, "usage_balances") == [
        "user_id",
        "unit",
        "period",
        "limit_units",
        "held",
        "spent",
    ]
    assert columns(connection, "usage_leases") == [
        *("node", "user_id", "unit", "period", "units", "in_flight", "asked", "answered"),
    ]
    assert columns(connection, "accounts") == ["user_id", "plan", "changed"]
    assert columns(connection, "revocations") == ["kind", "subject", "issued_until", "changed"]
    connection.close()


def test_tables_are_made_all_or_none(connection: sqlite3.Connection) -> None:
    connection.execute("CREATE TABLE ledger_meta (x)")
    with pytest.raises(sqlite3.OperationalError):
        schema.create(connection)
    assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("ledger_meta",)]
    connection.close()


def test_tables_that_somebody_else_made_meanwhile_are_left_alone(connection: sqlite3.Connection) -> None:
    schema.create(connection)
    connection.execute("INSERT INTO accounts VALUES ('alice', 'pro', 1)")
    schema.create(connection)
    assert connection.execute("SELECT * FROM accounts").fetchall() == [("alice", "pro", 1)]
    connection.close()


def test_a_transaction_begins_even_if_the_last_one_could_not_be_undone(connection: sqlite3.Connection) -> None:
    schema.create(connection)
    connection.execute("BEGIN")
    connection.execute("INSERT INTO accounts VALUES ('alice', 'pro', 1)")
    with schema.transaction(connection):
        connection.execute("INSERT INTO accounts VALUES ('bob', 'pro', 2)")
    assert connection.execute("SELECT * FROM accounts").fetchall() == [("bob", "pro", 2)]
    connection.close()


def test_a_failed_transaction_leaves_nothing_behind(connection: sqlite3.Connection) -> None:
    schema.create(connection)
    with pytest.raises(KeyError):
        fail_inside_a_transaction(connection, "INSERT INTO accounts VALUES ('alice', 'pro', 1)")
    assert connection.execute("SELECT count(*) FROM accounts").fetchone() == (0,)
    assert not connection.in_transaction
    connection.close()


def test_a_transaction_that_the_database_undid_itself_raises_its_own_error(
    connection: sqlite3.Connection,
) -> None:
    schema.create(connection)
    with pytest.raises(KeyError):
        fail_inside_a_transaction(connection, "ROLLBACK")
    connection.close()


def test_a_large_file_is_not_read_through_at_the_start(
    tmp_path: Path, connection: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema, "QUICK_CHECK_BELOW", 0)
    schema.create(connection)
    asked: list[str] = []
    connection.set_trace_callback(asked.append)
    (tmp_path / "ledger.db").touch()
    assert not schema.examine(connection, tmp_path / "ledger.db")
    assert asked
    assert not [statement for statement in asked if "quick_check" in statement]
    connection.close()


@pytest.mark.parametrize(
    ("code", "message"),
    [(sqlite3.SQLITE_FULL, "cannot grow: free space"), (sqlite3.SQLITE_READONLY, "cannot be written: give")],
)
def test_an_error_of_the_database_is_said_plainly(code: int, message: str) -> None:
    error = sqlite3.OperationalError("driver's words")
    error.sqlite_errorcode = code
    with pytest.raises(StoreError, match=f"ledger var/x.db {message}"), schema.named(Path("var/x.db")):
        raise error
