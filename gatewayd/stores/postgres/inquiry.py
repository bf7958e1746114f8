"""What can be asked of the tables without changing them: by the daemon, and by who reads beside it."""

from collections.abc import Sequence
from typing import Final

from gatewayd.model import Account, Balance, Directory, DirectoryPage, Revocation
from gatewayd.stores.base import Examination
from gatewayd.stores.paging import page_of
from gatewayd.stores.postgres.connection import Row, Session
from gatewayd.stores.postgres.storable import fault

SELECT_BALANCES: Final = """
    SELECT user_id, unit, period, limit_units, (
        SELECT coalesce(sum(in_flight), 0)::bigint FROM usage_leases AS lease
        WHERE lease.user_id = balance.user_id AND lease.unit = balance.unit AND lease.period = balance.period
        AND node <> %(but)s
    ), spent FROM usage_balances AS balance
    WHERE (%(user)s::text IS NULL OR user_id = %(user)s) AND (%(period)s::text IS NULL OR period = %(period)s)
    ORDER BY user_id, period, unit
"""
# One statement, so all of it is of one moment.
SELECT_DIRECTORY: Final = """
    SELECT 'version', value, '', 0 FROM ledger_meta WHERE key = 'directory'
    UNION ALL SELECT 'account', user_id, plan, 0 FROM accounts
    UNION ALL SELECT kind, subject, '', issued_until FROM revocations
    ORDER BY 1, 2
"""
# The same. The version comes first; a known one that the ledger never came to is as good as none.
SELECT_CHANGED: Final = """
    WITH now AS MATERIALIZED (
        SELECT value::bigint AS version, CASE WHEN value::bigint < %(since)s THEN 0 ELSE %(since)s END AS since
        FROM ledger_meta WHERE key = 'directory'
    )
    SELECT * FROM (SELECT version, 'version', '', '', since::double precision FROM now) AS head
    UNION ALL SELECT * FROM (
        (SELECT changed, 'account', user_id, plan, 0 FROM accounts
            WHERE changed > (SELECT since FROM now) ORDER BY changed LIMIT %(most)s)
        UNION ALL (SELECT changed, kind, subject, '', issued_until FROM revocations
            WHERE changed > (SELECT since FROM now) ORDER BY changed LIMIT %(most)s)
        ORDER BY 1 LIMIT %(most)s
    ) AS found
"""
# One statement, so all of it is of one moment: what the account says, and up to which record it says so.
SELECT_STANDING: Final = """
    SELECT coalesce(sum(spent), 0)::bigint, abs(coalesce(sum(held), 0) - (
        SELECT coalesce(sum(units), 0) FROM usage_leases
        WHERE user_id = %(user)s AND unit = %(unit)s AND period = %(period)s
    ))::bigint, (SELECT coalesce(max(seq), 0) FROM usage_records)
    FROM usage_balances WHERE user_id = %(user)s AND unit = %(unit)s AND period = %(period)s
"""
SELECT_QUANTITIES: Final = """
    SELECT quantity, started_at, seq FROM usage_records
    WHERE user_id = %(user)s AND unit = %(unit)s AND started_at >= %(period)s AND started_at < %(period)s || '~'
    AND (started_at > %(at)s OR started_at = %(at)s AND seq > %(seq)s) AND seq <= %(through)s
    ORDER BY started_at, seq LIMIT %(most)s
"""
SELECT_ACCOUNTS: Final = """
    SELECT user_id, unit, period FROM usage_balances
    WHERE (user_id, unit, period) > (%(user)s, %(unit)s, %(period)s) ORDER BY user_id, unit, period LIMIT %(most)s
"""


async def balances(session: Session, user_id: str, period: str, but: str) -> Sequence[Balance]:
    """See `base.Inquiry.balances`."""
    if fault((user_id, period)):
        return []
    rows = await session.rows(SELECT_BALANCES, {"user": user_id, "period": period, "but": but})
    return [Balance(*row) for row in rows]


async def directory(session: Session, since: int, most: int) -> DirectoryPage:
    """See `base.Inquiry.directory`."""
    (version, _, _, _, begin), *rows = await session.rows(SELECT_CHANGED, {"since": since, "most": most})
    return page_of(int(begin), version, most, rows)


def directory_of(rows: Sequence[Row]) -> Directory:
    """The answer to SELECT_DIRECTORY as a whole."""
    version = next(int(value) for kind, value, _, _ in rows if kind == "version")
    plans = {user_id: plan for kind, user_id, plan, _ in rows if kind == "account"}
    others = (row for row in rows if row[0] not in {"version", "account"})
    return Directory(version, plans, tuple(Revocation(kind, subject, until) for kind, subject, _, until in others))


async def examine(session: Session, account: Account, so_far: Examination | None, most: int) -> Examination:
    """See `base.Inquiry.examine`."""
    if fault(account):  # what the database cannot even be asked for, it does not have
        return Examination(account, 0, 0, 0, done=True)
    names = dict(zip(("user", "unit", "period"), account, strict=True))
    if so_far is None:
        [standing] = await session.rows(SELECT_STANDING, names)
        so_far = Examination(account, *standing)
    at, seq, _ = so_far.place
    cursor = {"at": at, "seq": seq, "through": so_far.through, "most": most}
    found = await session.rows(SELECT_QUANTITIES, names | cursor)
    return so_far._replace(
        summed=so_far.summed + sum(quantity for quantity, _, _ in found),
        place=(*found[-1][1:], 0) if found else so_far.place,
        read=so_far.read + len(found),
        done=len(found) < most,
    )


async def accounts(session: Session, after: Account | None, most: int) -> Sequence[Account]:
    """See `base.Inquiry.accounts`."""
    names = dict(zip(("user", "unit", "period"), after or ("", "", ""), strict=True))
    return [Account(*row) for row in await session.rows(SELECT_ACCOUNTS, names | {"most": most})]
