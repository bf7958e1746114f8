"""Ledgers of older gatewayds: schema 1 with a table of holds, and schema 2, whose decisions have no versions."""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from gatewayd.model import Hold, UsageRecord, rfc3339
from gatewayd.stores import chain

TABLES = """
    CREATE TABLE usage_records (
        id TEXT PRIMARY KEY, user_id TEXT NOT NULL, plan TEXT NOT NULL, agent TEXT NOT NULL, route TEXT NOT NULL,
        unit TEXT NOT NULL, quantity INTEGER NOT NULL, outcome TEXT NOT NULL, status INTEGER NOT NULL,
        started_at TEXT NOT NULL, ended_at TEXT NOT NULL, bytes_in INTEGER NOT NULL, bytes_out INTEGER NOT NULL,
        chain TEXT NOT NULL
    );
    CREATE TABLE usage_balances (
        user_id TEXT NOT NULL, unit TEXT NOT NULL, period TEXT NOT NULL, limit_units INTEGER NOT NULL,
        held INTEGER NOT NULL, spent INTEGER NOT NULL, PRIMARY KEY (user_id, unit, period)
    );
    CREATE TABLE usage_holds (
        id TEXT PRIMARY KEY, user_id TEXT NOT NULL, plan TEXT NOT NULL, agent TEXT NOT NULL, route TEXT NOT NULL,
        unit TEXT NOT NULL, units INTEGER NOT NULL, limit_units INTEGER NOT NULL, cost INTEGER NOT NULL,
        started_at TEXT NOT NULL
    );
    CREATE TABLE accounts (user_id TEXT PRIMARY KEY, plan TEXT NOT NULL);
    CREATE TABLE ledger_meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
    INSERT INTO accounts VALUES ('alice', 'pro');
    PRAGMA application_id = 1735883108;
"""
TABLES_2 = """
    CREATE TABLE usage_leases (
        node TEXT NOT NULL, user_id TEXT NOT NULL, unit TEXT NOT NULL, period TEXT NOT NULL, units INTEGER NOT NULL,
        in_flight INTEGER NOT NULL, asked INTEGER NOT NULL DEFAULT 0, answered INTEGER NOT NULL DEFAULT 0,
        PRIMARY KEY (node, user_id, unit, period)
    ) WITHOUT ROWID;
    CREATE INDEX usage_leases_by_account ON usage_leases (user_id, unit, period);
    CREATE TABLE revocations (
        kind TEXT NOT NULL, subject TEXT NOT NULL, issued_until REAL NOT NULL, PRIMARY KEY (kind, subject)
    ) WITHOUT ROWID;
    CREATE INDEX usage_records_by_account ON usage_records (user_id, unit, started_at, quantity);
    DROP TABLE usage_holds;
    DELETE FROM accounts;
    UPDATE ledger_meta SET value = '2' WHERE key = 'schema_version';
    INSERT INTO accounts VALUES ('bob', 'pro'), ('cat', 'pro'), ('ann', 'pro');
    INSERT INTO revocations VALUES ('token', 'x', 2.0), ('all', '', 1.0);
"""
ADD = (
    "INSERT INTO usage_balances VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE "
    "SET held = held + excluded.held, spent = spent + excluded.spent"
)


def an_older_ledger(path: Path, records: Sequence[UsageRecord] = (), holds: Sequence[Hold] = ()) -> Path:
    head = chain.GENESIS
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(TABLES)
        for record in records:
            row = chain.sealed(head, record)
            head = row.chain
            connection.execute(f"INSERT INTO usage_records VALUES ({','.join('?' * 14)})", row)
            connection.execute(ADD, (row.user_id, row.unit, row.period, 100, 0, row.quantity))
        for hold in holds:
            names = (hold.id, hold.user_id, hold.plan, hold.agent, hold.route, hold.unit)
            amounts = (hold.units, hold.limit, hold.cost, rfc3339(hold.started_at))
            connection.execute(f"INSERT INTO usage_holds VALUES ({','.join('?' * 10)})", (*names, *amounts))
            connection.execute(ADD, (hold.user_id, hold.unit, hold.period, hold.limit, hold.units, 0))
        meta = [("schema_version", "1"), ("records", str(len(records))), ("head", head)]
        connection.executemany("INSERT INTO ledger_meta VALUES (?, ?)", meta)
        connection.commit()
    return path


def a_ledger_of_schema_2(path: Path, *, directory: int) -> Path:
    """With plans of ann, bob and cat and two revocations, and this version of the directory."""
    an_older_ledger(path)
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(TABLES_2)
        connection.execute("INSERT INTO ledger_meta VALUES ('directory', ?)", (str(directory),))
        connection.commit()
    return path
