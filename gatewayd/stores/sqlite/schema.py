"""The tables, made at first start, and how a file is recognised as ours before anything is written to it."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from gatewayd.errors import StoreError
from gatewayd.stores.chain import GENESIS

APPLICATION_ID: Final = 0x67777964  # "gwyd"
VERSION: Final = 1
QUICK_CHECK_BELOW: Final = 64 * 1024 * 1024

TABLES: Final = (
    """CREATE TABLE usage_records (
        id TEXT PRIMARY KEY,
        user_id TEXT NOT NULL,
        plan TEXT NOT NULL,
        agent TEXT NOT NULL,
        route TEXT NOT NULL,
        unit TEXT NOT NULL,
        quantity INTEGER NOT NULL,
        outcome TEXT NOT NULL,
        status INTEGER NOT NULL,
        started_at TEXT NOT NULL,
        ended_at TEXT NOT NULL,
        bytes_in INTEGER NOT NULL,
        bytes_out INTEGER NOT NULL,
        chain TEXT NOT NULL
    )""",
    """CREATE TABLE usage_balances (
        user_id TEXT NOT NULL,
        unit TEXT NOT NULL,
        period TEXT NOT NULL,
        limit_units INTEGER NOT NULL,
        held INTEGER NOT NULL,
        spent INTEGER NOT NULL,
        PRIMARY KEY (user_id, unit, period)
    )""",
    """CREATE TABLE usage_holds (
        id TEXT PRIMARY KEY,
        user_id TEXT NOT NULL,
        plan TEXT NOT NULL,
        agent TEXT NOT NULL,
        route TEXT NOT NULL,
        unit TEXT NOT NULL,
        units INTEGER NOT NULL,
        limit_units INTEGER NOT NULL,
        cost INTEGER NOT NULL,
        started_at TEXT NOT NULL
    )""",
    "CREATE TABLE accounts (user_id TEXT PRIMARY KEY, plan TEXT NOT NULL)",
    "CREATE TABLE ledger_meta (key TEXT PRIMARY KEY, value TEXT NOT NULL)",
)

HINTS: Final = {
    sqlite3.SQLITE_NOTADB: "is not a SQLite database: name another file in ledger.url",
    sqlite3.SQLITE_CORRUPT: "is damaged: restore it from a backup",
    sqlite3.SQLITE_BUSY: "is locked by another program: close that",
    sqlite3.SQLITE_FULL: "cannot grow: free space on its disk",
    sqlite3.SQLITE_READONLY: "cannot be written: give the daemon's user write access to it and its directory",
    sqlite3.SQLITE_CANTOPEN: "cannot be opened: it must be a file, in a directory open to the daemon's user",
}

SELECT_META: Final = "SELECT value FROM ledger_meta WHERE key IN ('head', 'records') ORDER BY key"


@contextmanager
def named(file: Path) -> Iterator[None]:
    """Turns the driver's errors into a StoreError that names the file and how to mend it."""
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
        hint = HINTS.get(code, f"cannot be used ({error}): restore it from a backup")
        raise StoreError(f"ledger {file} {hint}") from error


def examine(connection: sqlite3.Connection, file: Path) -> bool:
    """Whether the database is empty, and so ours to make; else it must be a whole ledger that we can read.

    Writes nothing. Raises StoreError, and sqlite3.Error for what `named` puts into words.
    """
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if application == APPLICATION_ID:
        _check_version(connection, file)
        _check_pages(connection, file)
        return False
    if application or tables:
        raise StoreError(f"ledger {file} belongs to another program: name another file in ledger.url")
    return True


def create(connection: sqlite3.Connection) -> None:
    """All tables, or none."""
    with transaction(connection):
        for table in TABLES:
            connection.execute(table)
        meta = (("schema_version", str(VERSION)), ("records", "0"), ("head", GENESIS))
        connection.executemany("INSERT INTO ledger_meta VALUES (?, ?)", meta)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Everything inside is committed at the end, or undone at the first error."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        # SQLite itself undoes a transaction that met a full disk or an I/O error.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _check_version(connection: sqlite3.Connection, file: Path) -> None:
    row = connection.execute("SELECT value FROM ledger_meta WHERE key = 'schema_version'").fetchone()
    if row is None or not row[0].isdecimal():
        raise StoreError(f"ledger {file} {HINTS[sqlite3.SQLITE_CORRUPT]}")
    if int(row[0]) > VERSION:
        raise StoreError(
            f"ledger {file} was made by a newer gatewayd (schema {row[0]}, this one knows {VERSION}): "
            "upgrade gatewayd, or name another file in ledger.url"
        )


def _check_pages(connection: sqlite3.Connection, file: Path) -> None:
    """Only of a small file: reading a large one would hold up the start for seconds."""
    if file.stat().st_size < QUICK_CHECK_BELOW:
        (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        if verdict != "ok":
            raise StoreError(f"ledger {file} {HINTS[sqlite3.SQLITE_CORRUPT]}")
