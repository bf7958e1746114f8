"""What can be asked of the tables without changing them: by the daemon, and by who reads beside it."""

from collections.abc import Sequence
from typing import Final

from gatewayd.model import Account, Balance, Directory, Revocation
from gatewayd.stores.postgres.connection import Row, Session
from gatewayd.stores.postgres.storable import columns, fault

SELECT_BALANCES: Final = """
    SELECT user_id, unit, period, limit_units, (
        SELECT coalesce(sum(in_flight), 0)::bigint FROM usage_leases AS lease
        WHERE lease.user_id = balance.user_id AND lease.unit = balance.unit AND lease.period = balance.period
        AND node <> %(but)s
    ), spent FROM usage_balances AS balance
    WHERE (%(user)s::text IS NULL OR user_id = %(user)s) AND (%(period)s::text IS NULL OR period = %(period)s)
    ORDER BY user_id, period, unit
"""
# One statement, so all of it is of one moment; nothing where the version is the one that is known.
SELECT_DIRECTORY: Final = """
    WITH now AS (SELECT value FROM ledger_meta WHERE key = 'directory' AND value <> %s)
    SELECT 'version', value, '', 0 FROM now
    UNION ALL SELECT 'account', user_id, plan, 0 FROM now, accounts
    UNION ALL SELECT kind, subject, '', issued_until FROM now, revocations
    ORDER BY 1, 2
"""
SELECT_DRIFT: Final = """
    SELECT coalesce(sum(abs(coalesce(held, 0) - (
        SELECT coalesce(sum(units), 0) FROM usage_leases AS lease
        WHERE lease.user_id = wanted.user_id AND lease.unit = wanted.unit AND lease.period = wanted.period
    )) + abs(coalesce(spent, 0) - (
        SELECT coalesce(sum(quantity), 0) FROM usage_records AS record
        WHERE record.user_id = wanted.user_id AND record.unit = wanted.unit
        AND started_at >= wanted.period AND started_at < wanted.period || '~'
    ))), 0)::bigint
    FROM unnest(%(users)s::text[], %(kinds)s::text[], %(periods)s::text[]) AS wanted (user_id, unit, period)
    LEFT JOIN usage_balances USING (user_id, unit, period)
"""


async def balances(session: Session, user_id: str, period: str, but: str) -> Sequence[Balance]:
    """See `base.Inquiry.balances`."""
    if fault((user_id, period)):
        return []
    rows = await session.rows(SELECT_BALANCES, {"user": user_id, "period": period, "but": but})
    return [Balance(*row) for row in rows]


async def directory(session: Session, unless: int | None) -> Directory | None:
    """See `base.Inquiry.directory`."""
    rows = await session.rows(SELECT_DIRECTORY, ("" if unless is None else str(unless),))
    return directory_of(rows) if rows else None


def directory_of(rows: Sequence[Row]) -> Directory:
    """The answer to SELECT_DIRECTORY as a whole."""
    version = next(int(value) for kind, value, _, _ in rows if kind == "version")
    plans = {user_id: plan for kind, user_id, plan, _ in rows if kind == "account"}
    others = (row for row in rows if row[0] not in {"version", "account"})
    return Directory(version, plans, tuple(Revocation(kind, subject, until) for kind, subject, _, until in others))


async def drift(session: Session, accounts: Sequence[Account]) -> int:
    """See `base.Inquiry.drift`."""
    wanted = {account for account in accounts if not fault(account)}
    return int((await session.rows(SELECT_DRIFT, columns(wanted)))[0][0]) if wanted else 0
