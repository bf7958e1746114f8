"""What can be asked of the tables without changing them, by the daemon and by who reads beside it."""

import sqlite3
from collections.abc import Sequence
from typing import Final

from gatewayd.model import Account, Balance, Directory, DirectoryPage, Revocation
from gatewayd.stores.base import Examination
from gatewayd.stores.paging import page_of

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
SELECT_CHANGED: Final = """
    SELECT changed, 'account', user_id, plan, 0.0 FROM accounts WHERE changed > :since
    UNION ALL SELECT changed, kind, subject, '', issued_until FROM revocations WHERE changed > :since
    ORDER BY 1 LIMIT :most
"""
# All of one moment: what the account says, and up to which record it says so.
SELECT_STANDING: Final = """
    SELECT coalesce(sum(spent), 0), abs(coalesce(sum(held), 0) - (
        SELECT coalesce(sum(units), 0) FROM usage_leases WHERE user_id = :user AND unit = :unit AND period = :period
    )), (SELECT coalesce(max(rowid), 0) FROM usage_records)
    FROM usage_balances WHERE user_id = :user AND unit = :unit AND period = :period
"""
SELECT_QUANTITIES: Final = """
    SELECT CAST(quantity AS INTEGER), started_at, quantity, rowid FROM usage_records
    WHERE user_id = :user AND unit = :unit AND started_at >= :period AND started_at < :period || '~'
    AND (started_at, quantity, rowid) > (:at, :quantity, :row) AND rowid <= :through
    ORDER BY started_at, quantity, rowid LIMIT :most
"""
SELECT_ACCOUNTS: Final = """
    SELECT user_id, unit, period FROM usage_balances
    WHERE (user_id, unit, period) > (:user, :unit, :period) ORDER BY user_id, unit, period LIMIT :most
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


def directory_page(connection: sqlite3.Connection, since: int, most: int) -> DirectoryPage:
    """See `base.Inquiry.directory`."""
    version = _directory_version(connection)
    since = since if since <= version else 0
    return page_of(since, version, most, connection.execute(SELECT_CHANGED, {"since": since, "most": most}).fetchall())


def _directory_version(connection: sqlite3.Connection) -> int:
    return int(connection.execute(SELECT_DIRECTORY_VERSION).fetchone()[0])


def examine(connection: sqlite3.Connection, account: Account, so_far: Examination | None, most: int) -> Examination:
    """See `base.Inquiry.examine`."""
    names = dict(zip(("user", "unit", "period"), account, strict=True))
    if so_far is None:
        so_far = Examination(account, *connection.execute(SELECT_STANDING, names).fetchone())
    at, quantity, row = so_far.place
    cursor = {"at": at, "quantity": quantity, "row": row, "through": so_far.through, "most": most}
    found = connection.execute(SELECT_QUANTITIES, names | cursor).fetchall()
    return so_far._replace(
        summed=so_far.summed + sum(row[0] for row in found),
        place=found[-1][1:] if found else so_far.place,
        read=so_far.read + len(found),
        done=len(found) < most,
    )


def accounts(connection: sqlite3.Connection, after: Account | None, most: int) -> Sequence[Account]:
    """See `base.Inquiry.accounts`."""
    names = dict(zip(("user", "unit", "period"), after or ("", "", ""), strict=True))
    return [Account(*row) for row in connection.execute(SELECT_ACCOUNTS, names | {"most": most})]
