"""What can be asked of the tables without changing them, by the daemon and by who reads beside it."""

import sqlite3
from collections.abc import Sequence
from typing import Final

from gatewayd.model import Account, Balance, Directory, Revocation

SELECT_BALANCES: Final = (
    "SELECT user_id, unit, period, limit_units, (SELECT coalesce(sum(in_flight), 0) FROM usage_leases AS lease "
    "WHERE lease.user_id = balance.user_id AND lease.unit = balance.unit AND lease.period = balance.period "
    "AND lease.node <> :but), spent FROM usage_balances AS balance WHERE {} ORDER BY user_id, period, unit"
)
SELECT_BALANCES_OF_A_USER: Final = SELECT_BALANCES.format("user_id = :user AND period = :period")
SELECT_ANY_BALANCES: Final = SELECT_BALANCES.format(
    "(:user IS NULL OR user_id = :user) AND (:period IS NULL OR period = :period)"
)
SELECT_DIRECTORY_VERSION: Final = "SELECT value FROM ledger_meta WHERE key = 'directory'"
SELECT_REVOCATIONS: Final = "SELECT kind, subject, issued_until FROM revocations ORDER BY kind, subject"
SELECT_DRIFT: Final = """
    SELECT abs(coalesce(sum(held), 0) - (
        SELECT coalesce(sum(units), 0) FROM usage_leases WHERE user_id = :user AND unit = :unit AND period = :period
    )) + abs(coalesce(sum(spent), 0) - (
        SELECT coalesce(sum(quantity), 0) FROM usage_records
        WHERE user_id = :user AND unit = :unit AND started_at >= :period AND started_at < :period || '~'
    )) FROM usage_balances WHERE user_id = :user AND unit = :unit AND period = :period
"""


def balances(connection: sqlite3.Connection, user_id: str, period: str, but: str) -> Sequence[Balance]:
    """See `base.Inquiry.balances`."""
    rows = connection.execute(SELECT_BALANCES_OF_A_USER, {"user": user_id, "period": period, "but": but})
    return [Balance(*row) for row in rows]


def any_balances(connection: sqlite3.Connection, user_id: str | None, period: str | None) -> Sequence[Balance]:
    """See `reading.LedgerReader.balances`."""
    rows = connection.execute(SELECT_ANY_BALANCES, {"user": user_id, "period": period, "but": ""})
    return [Balance(*row) for row in rows]


def directory(connection: sqlite3.Connection) -> Directory:
    """Accounts and revocations as a whole."""
    version = _directory_version(connection)
    plans = dict(connection.execute("SELECT user_id, plan FROM accounts ORDER BY user_id").fetchall())
    revocations = tuple(Revocation(*row) for row in connection.execute(SELECT_REVOCATIONS))
    return Directory(version, plans, revocations)


def newer_directory(connection: sqlite3.Connection, unless: int | None) -> Directory | None:
    """None if the version is still the one given."""
    return None if _directory_version(connection) == unless else directory(connection)


def _directory_version(connection: sqlite3.Connection) -> int:
    return int(connection.execute(SELECT_DIRECTORY_VERSION).fetchone()[0])


def drift(connection: sqlite3.Connection, accounts: Sequence[Account]) -> int:
    """See `base.Inquiry.drift`."""
    total = 0
    for user_id, unit, period in accounts:
        names = {"user": user_id, "unit": unit, "period": period}
        total += connection.execute(SELECT_DRIFT, names).fetchone()[0]
    return total
