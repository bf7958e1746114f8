"""A batch of postings as one transaction: records chained, balances charged, leases shrunk.

The chain's end is locked first, and only here: batches of all daemons follow each other, leases never wait for one.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from gatewayd.model import Account, Posting
from gatewayd.stores.base import Batch
from gatewayd.stores.chain import RecordRow
from gatewayd.stores.postgres.batch import Change, LeaseRow, Standing, account_of, chained, leases_after, storable
from gatewayd.stores.postgres.connection import Session
from gatewayd.stores.postgres.storable import by_account, columns

LOCK_END: Final = """
    SELECT value FROM ledger_meta WHERE key IN ('head', 'records') ORDER BY key FOR UPDATE
"""
SELECT_KNOWN: Final = "SELECT id FROM usage_records WHERE id = ANY (%s)"
# A row that DO UPDATE passes over by its WHERE is locked all the same. Accounts that are not in use are locked if
# they are there, in the same pass, so that all of them are locked in one order.
LOCK_ACCOUNTS: Final = """
    INSERT INTO usage_balances
        SELECT user_id, unit, period, 0, 0, 0
        FROM unnest(%(users)s::text[], %(kinds)s::text[], %(periods)s::text[], %(amounts)s::bigint[])
            AS wanted (user_id, unit, period, used)
        WHERE used > 0 OR EXISTS (
            SELECT FROM usage_balances AS balance WHERE balance.user_id = wanted.user_id
            AND balance.unit = wanted.unit AND balance.period = wanted.period
        )
        ORDER BY user_id COLLATE "C", unit COLLATE "C", period COLLATE "C"
        ON CONFLICT (user_id, unit, period) DO UPDATE SET limit_units = excluded.limit_units WHERE false;
    SELECT FROM usage_leases AS lease
        JOIN unnest(%(users)s::text[], %(kinds)s::text[], %(periods)s::text[]) AS wanted (user_id, unit, period)
            ON lease.user_id = wanted.user_id AND lease.unit = wanted.unit AND lease.period = wanted.period
        WHERE node = %(node)s
        ORDER BY lease.user_id, lease.unit, lease.period FOR UPDATE OF lease;
    SELECT wanted.user_id, wanted.unit, wanted.period, coalesce(spent, 0), units, coalesce(in_flight, 0)
        FROM unnest(%(users)s::text[], %(kinds)s::text[], %(periods)s::text[]) AS wanted (user_id, unit, period)
        LEFT JOIN usage_balances USING (user_id, unit, period)
        LEFT JOIN usage_leases AS lease ON lease.node = %(node)s AND lease.user_id = wanted.user_id
            AND lease.unit = wanted.unit AND lease.period = wanted.period
"""
WRITE_RECORDS: Final = """
    INSERT INTO usage_records SELECT * FROM unnest(
        %s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::bigint[], %s::text[], %s::bigint[],
        %s::text[], %s::text[], %s::bigint[], %s::bigint[], %s::text[], %s::bigint[]
    )
"""
WRITE_END: Final = """
    UPDATE ledger_meta SET value = %s WHERE key = 'head';
    UPDATE ledger_meta SET value = %s WHERE key = 'records'
"""
CHARGE: Final = """
    UPDATE usage_balances AS balance SET spent = spent + amount
        FROM unnest(%(users)s::text[], %(kinds)s::text[], %(periods)s::text[], %(amounts)s::bigint[])
            AS charged (user_id, unit, period, amount)
        WHERE balance.user_id = charged.user_id AND balance.unit = charged.unit AND balance.period = charged.period
"""
FREE: Final = """
    UPDATE usage_balances AS balance SET held = held - amount
        FROM unnest(%(users)s::text[], %(kinds)s::text[], %(periods)s::text[], %(amounts)s::bigint[])
            AS freed (user_id, unit, period, amount)
        WHERE balance.user_id = freed.user_id AND balance.unit = freed.unit AND balance.period = freed.period
"""
WRITE_LEASES: Final = """
    INSERT INTO usage_leases (node, user_id, unit, period, units, in_flight, answered)
        SELECT %s, * FROM unnest(%s::text[], %s::text[], %s::text[], %s::bigint[], %s::bigint[], %s::bigint[])
        ON CONFLICT (user_id, unit, period, node) DO UPDATE SET units = excluded.units,
        in_flight = excluded.in_flight,
        answered = greatest(usage_leases.answered, least(excluded.answered, usage_leases.asked))
"""
DELETE_LEASES: Final = """
    DELETE FROM usage_leases AS lease
        USING unnest(%(users)s::text[], %(kinds)s::text[], %(periods)s::text[]) AS gone (user_id, unit, period)
        WHERE lease.node = %(node)s AND lease.user_id = gone.user_id AND lease.unit = gone.unit
        AND lease.period = gone.period
"""


async def post(session: Session, node: str, batch: Batch) -> None:
    """See `base.Leasing.post`."""
    batch = storable(batch)
    await session.rows("BEGIN")
    head, records = "", 0
    postings: Sequence[Posting] = ()
    if batch.postings:
        (head,), (written,) = await session.rows(LOCK_END)
        records = int(written)
        postings = await _unknown(session, batch.postings)
    standing = await _lock_accounts(session, node, batch, postings)
    rows, changes = chained(head, postings, standing)
    if rows:
        await _write_records(session, rows, records)
        await _charge(session, changes)
    if left := leases_after(batch, changes, standing):
        await _write_leases(session, node, left)
    await session.rows("COMMIT")


async def _unknown(session: Session, postings: Sequence[Posting]) -> Sequence[Posting]:
    """Those whose record is not in the ledger yet."""
    ids = [posting.id for posting in postings]
    known = {row[0] for row in await session.rows(SELECT_KNOWN, (ids,))}
    return [posting for posting in postings if posting.id not in known]


async def _lock_accounts(
    session: Session, node: str, batch: Batch, postings: Sequence[Posting]
) -> Mapping[Account, Standing]:
    used = {account_of(posting) for posting in postings} | {account for account, now in batch.in_flight.items() if now}
    wanted = dict.fromkeys((*batch.returned, *batch.in_flight, *batch.answered), 0) | dict.fromkeys(used, 1)
    if not wanted:
        return {}
    rows = await session.rows(LOCK_ACCOUNTS, {**by_account(wanted), "node": node})
    return {Account(*row[:3]): Standing(*row[3:]) for row in rows}


async def _write_records(session: Session, rows: Sequence[RecordRow], records: int) -> None:
    numbered = ((*row, number) for number, row in enumerate(rows, records + 1))
    await session.rows(WRITE_RECORDS, [list(column) for column in zip(*numbered, strict=True)])
    await session.rows(WRITE_END, (rows[-1].chain, str(records + len(rows))))


async def _charge(session: Session, changes: Mapping[Account, Change]) -> None:
    await session.rows(CHARGE, by_account({account: change.spent for account, change in changes.items()}))


async def _write_leases(session: Session, node: str, left: Sequence[LeaseRow]) -> None:
    if taken := {row.account: row.taken for row in left if row.taken}:
        await session.rows(FREE, by_account(taken))
    if gone := [row.account for row in left if row.gone]:
        await session.rows(DELETE_LEASES, {**columns(gone), "node": node})
    kept = [(*row.account, row.units, row.in_flight, row.answered) for row in left if not row.gone]
    if kept:
        await session.rows(WRITE_LEASES, (node, *map(list, zip(*kept, strict=True))))
