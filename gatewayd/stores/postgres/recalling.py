"""How daemons ask each other for idle units: two numbers in the row of a lease, `asked` and `answered`.

A row that went away and came back counts from 0 again, so a number above `asked` is of a lease that is gone.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from gatewayd.model import Account
from gatewayd.stores.base import Recall
from gatewayd.stores.postgres.connection import Session
from gatewayd.stores.postgres.storable import columns, fault

# In the order in which batches lock the rows, so that none of them waits in a circle.
ASK: Final = """
    WITH found AS (
        SELECT node, lease.user_id, lease.unit, lease.period FROM usage_leases AS lease
        JOIN unnest(%(users)s::text[], %(kinds)s::text[], %(periods)s::text[]) AS wanted (user_id, unit, period)
            ON lease.user_id = wanted.user_id AND lease.unit = wanted.unit AND lease.period = wanted.period
        WHERE node <> %(node)s AND units > 0
        ORDER BY lease.user_id, lease.unit, lease.period, node FOR UPDATE OF lease
    )
    UPDATE usage_leases AS lease SET asked = asked + 1 FROM found
        WHERE lease.node = found.node AND lease.user_id = found.user_id AND lease.unit = found.unit
        AND lease.period = found.period
        RETURNING lease.node, lease.user_id, lease.unit, lease.period, asked
"""
SELECT_RECALLED: Final = "SELECT user_id, unit, period, asked FROM usage_leases WHERE node = %s AND asked > answered"
SELECT_OPEN: Final = """
    SELECT DISTINCT node, user_id, unit, period, recall.number
        FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::bigint[])
            AS recall (node, user_id, unit, period, number)
        JOIN usage_leases AS lease USING (node, user_id, unit, period)
        WHERE units > 0 AND answered < recall.number AND recall.number <= asked
"""


async def recall(session: Session, node: str, accounts: Sequence[Account]) -> Sequence[Recall]:
    """See `base.Recalling.recall`."""
    wanted = {account for account in accounts if not fault(account)}
    rows = await session.rows(ASK, {**columns(wanted), "node": node}) if wanted else []
    return [_recall(*row) for row in rows]


async def recalled(session: Session, node: str) -> Mapping[Account, int]:
    """See `base.Recalling.recalled`."""
    return {Account(*row[:3]): row[3] for row in await session.rows(SELECT_RECALLED, (node,))}


async def unanswered(session: Session, recalls: Sequence[Recall]) -> Sequence[Recall]:
    """See `base.Recalling.unanswered`."""
    asked = [(recall.node, *recall.account, recall.number) for recall in recalls]
    if not asked:
        return []
    rows = await session.rows(SELECT_OPEN, [list(column) for column in zip(*asked, strict=True)])
    still_open = {_recall(*row) for row in rows}
    return [recall for recall in recalls if recall in still_open]


def _recall(node: str, user_id: str, unit: str, period: str, number: int) -> Recall:
    return Recall(node, Account(user_id, unit, period), number)
