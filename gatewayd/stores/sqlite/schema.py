"""The tables, made at first start, and how a file is recognised as ours before anything is written to it."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from gatewayd.errors import StoreError
from gatewayd.stores.chain import GENESIS

APPLICATION_ID: Final = 0x67777964  # "gwyd"
VERSION: Final = 3
QUICK_CHECK_BELOW: Final = 64 * 1024 * 1024

# `asked` and `answered` are for daemons that share a database; here there is one, and they stay 0.
LEASES: Final = (
    """CREATE TABLE usage_leases (
        node TEXT NOT NULL,
        user_id TEXT NOT NULL,
        unit TEXT NOT NULL,
        period TEXT NOT NULL,
        units INTEGER NOT NULL,
        in_flight INTEGER NOT NULL,
        asked INTEGER NOT NULL DEFAULT 0,
        answered INTEGER NOT NULL DEFAULT 0,
        PRIMARY KEY (node, user_id, unit, period)
    ) WITHOUT ROWID""",
    "CREATE INDEX usage_leases_by_account ON usage_leases (user_id, unit, period)",
)
REVOCATIONS: Final = """CREATE TABLE revocations (
        kind TEXT NOT NULL,
        subject TEXT NOT NULL,
        issued_until REAL NOT NULL,
        PRIMARY KEY (kind, subject)
    ) WITHOUT ROWID"""
# With the quantity, so that an account is summed up without reading its records.
RECORDS_OF_AN_ACCOUNT: Final = (
    "CREATE INDEX usage_records_by_account ON usage_records (user_id, unit, started_at, quantity)"
)

# The directory's version with which a row was changed, another one for each, so that only what is new is read.
CHANGES: Final = (
    "ALTER TABLE accounts ADD COLUMN changed INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE revocations ADD COLUMN changed INTEGER NOT NULL DEFAULT 0",
    """UPDATE accounts SET changed = place FROM (
        SELECT user_id AS known, row_number() OVER (ORDER BY user_id) + (
            SELECT CAST(value AS INTEGER) FROM ledger_meta WHERE key = 'directory'
        ) AS place FROM accounts
    ) WHERE user_id = known""",
    """UPDATE revocations SET changed = place FROM (
        SELECT kind AS known, subject AS whose, row_number() OVER (ORDER BY kind, subject) + (
            SELECT CAST(value AS INTEGER) FROM ledger_meta WHERE key = 'directory'
        ) + (SELECT count(*) FROM accounts) AS place FROM revocations
    ) WHERE kind = known AND subject = whose""",
    """UPDATE ledger_meta SET value = CAST(
        CAST(value AS INTEGER) + (SELECT count(*) FROM accounts) + (SELECT count(*) FROM revocations) AS TEXT
    ) WHERE key = 'directory'""",
    "CREATE INDEX accounts_by_change ON accounts (changed)",
    "CREATE INDEX revocations_by_change ON revocations (changed)",
)

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
    "CREATE TABLE accounts (user_id TEXT PRIMARY KEY, plan TEXT NOT NULL)",
    "CREATE TABLE ledger_meta (key TEXT PRIMARY KEY, value TEXT NOT NULL)",
    *LEASES,
    REVOCATIONS,
    RECORDS_OF_AN_ACCOUNT,
    *CHANGES,
)

HINTS: Final = {
    sqlite3.SQLITE_NOTADB: "is not a SQLite database: name another file in ledger.url",
    sqlite3.SQLITE_CORRUPT: "is damaged: restore it from a backup",
    sqlite3.SQLITE_BUSY: "is locked by another program: close that program",
    sqlite3.SQLITE_FULL: "cannot grow: free space on its disk",
    sqlite3.SQLITE_READONLY: "cannot be written: give the daemon's user write access to it and its directory",
    sqlite3.SQLITE_CANTOPEN: "cannot be opened: it must be a file, in a directory open to the daemon's user",
}

SELECT_META: Final = "SELECT value FROM ledger_meta WHERE key IN ('head', 'records') ORDER BY key"
SELECT_VERSION: Final = "SELECT value FROM ledger_meta WHERE key = 'schema_version'"


@contextmanager
def named(file: Path) -> Iterator[None]:
    """Turns the driver's errors into a StoreError that names the file and how to mend it."""
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
        hint = HINTS.get(code, f"cannot be used ({error}): restore it from a backup")
        raise StoreError(f"ledger {file} {hint}") from error


def mend(error: sqlite3.Error) -> str:
    """How to mend what went wrong with a ledger that was fine before, with a colon; empty if nobody can say."""
    colon, hint = HINTS.get(getattr(error, "sqlite_errorcode", sqlite3.SQLITE_OK) & 0xFF, "").partition(": ")[1:]
    return colon + hint


def passes(error: StoreError) -> bool:
    """Whether what `named` told of may be over by itself in a moment."""
    code = getattr(error.__cause__, "sqlite_errorcode", sqlite3.SQLITE_OK) & 0xFF
    return code in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}


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
    """All tables, or none; nothing to do if somebody else has made them since they were looked for."""
    with transaction(connection):
        (application,) = connection.execute("PRAGMA application_id").fetchone()
        if application == APPLICATION_ID:
            return
        for table in TABLES:
            connection.execute(table)
        meta = (("schema_version", str(VERSION)), ("records", "0"), ("head", GENESIS), ("directory", "0"))
        connection.executemany("INSERT INTO ledger_meta VALUES (?, ?)", meta)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")


def version(connection: sqlite3.Connection) -> int:
    """The schema of a ledger that was examined."""
    (found,) = connection.execute(SELECT_VERSION).fetchone()
    return int(found)


def check_current(connection: sqlite3.Connection, file: Path) -> None:
    """Raises StoreError for a ledger that only the daemon may bring up to date."""
    if (found := version(connection)) < VERSION:
        raise StoreError(
            f"ledger {file} was made by an older gatewayd (schema {found}, this one needs {VERSION}): "
            "start the daemon once, which brings it up to date"
        )


@contextmanager
def snapshot(connection: sqlite3.Connection) -> Iterator[None]:
    """Everything read inside is of one moment."""
    connection.execute("BEGIN")
    try:
        yield
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Everything inside is committed at the end, or undone at the first error."""
    if connection.in_transaction:  # the last one met such trouble that it could not even be undone
        connection.execute("ROLLBACK")
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
    row = connection.execute(SELECT_VERSION).fetchone()
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
