"""Leases inside one transaction: units taken out of balances ahead, without waiting behind a batch of records."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from gatewayd.model import Account
from gatewayd.stores.base import Grant, Want
from gatewayd.stores.postgres.connection import Session
from gatewayd.stores.postgres.storable import by_account, fault

logger = logging.getLogger(__name__)

# A row that DO UPDATE passes over by its WHERE is locked all the same. The last part sees what is committed after
# the locks were there, and no lease of these accounts can change as long as they are.
TAKE: Final = """
    BEGIN;
    INSERT INTO usage_balances
        SELECT user_id, unit, period, limit_units, 0, 0
        FROM unnest(%(users)s::text[], %(kinds)s::text[], %(periods)s::text[], %(amounts)s::bigint[])
            AS want (user_id, unit, period, limit_units)
        ORDER BY user_id COLLATE "C", unit COLLATE "C", period COLLATE "C"
        ON CONFLICT (user_id, unit, period) DO UPDATE SET limit_units = excluded.limit_units
        WHERE usage_balances.limit_units <> excluded.limit_units;
    SELECT balance.user_id, balance.unit, balance.period, held, spent,
        (coalesce(sum(units) FILTER (WHERE node <> %(node)s), 0))::bigint
        FROM unnest(%(users)s::text[], %(kinds)s::text[], %(periods)s::text[]) AS want (user_id, unit, period)
        JOIN usage_balances AS balance USING (user_id, unit, period)
        LEFT JOIN usage_leases USING (user_id, unit, period)
        GROUP BY balance.user_id, balance.unit, balance.period, held, spent
"""
GIVE: Final = """
    UPDATE usage_balances AS balance SET held = held + amount
        FROM unnest(%(users)s::text[], %(kinds)s::text[], %(periods)s::text[], %(amounts)s::bigint[])
            AS granted (user_id, unit, period, amount)
        WHERE balance.user_id = granted.user_id AND balance.unit = granted.unit AND balance.period = granted.period;
    INSERT INTO usage_leases (node, user_id, unit, period, units, in_flight)
        SELECT %(node)s, user_id, unit, period, amount, 0
        FROM unnest(%(users)s::text[], %(kinds)s::text[], %(periods)s::text[], %(amounts)s::bigint[])
            AS granted (user_id, unit, period, amount)
        ORDER BY user_id COLLATE "C", unit COLLATE "C", period COLLATE "C"
        ON CONFLICT (user_id, unit, period, node) DO UPDATE SET units = usage_leases.units + excluded.units;
    COMMIT
"""
SELECT_LEASES: Final = "SELECT user_id, unit, period, units FROM usage_leases WHERE node = %s AND units > 0"
SELECT_IN_FLIGHT: Final = "SELECT user_id, unit, period, in_flight FROM usage_leases WHERE node = %s AND in_flight > 0"


async def lease(session: Session, node: str, wants: Sequence[Want]) -> Sequence[Grant]:
    """See `base.Leasing.lease`."""
    limits = {want.account: want.limit for want in wants if _is_storable(want)}
    if not limits:
        return [_nothing(want) for want in wants]
    rows = await session.rows(TAKE, {**by_account(limits), "node": node})
    grants, given = _grants(wants, {Account(*row[:3]): row[3:] for row in rows})
    await session.rows(GIVE if given else "COMMIT", {**by_account(given), "node": node} if given else None)
    return grants


def _grants(
    wants: Iterable[Want], standing: dict[Account, tuple[int, int, int]]
) -> tuple[Sequence[Grant], Mapping[Account, int]]:
    """A grant for each, in order, and the units given in all, by account; `standing` is held, spent, others."""
    grants: list[Grant] = []
    given: dict[Account, int] = {}
    for want in wants:
        if want.account not in standing or not _is_storable(want):
            grants.append(_nothing(want))
            continue
        held, spent, others = standing[want.account]
        room = want.limit - spent - held
        units = min(room, want.most) if room >= max(want.least, 0) else 0
        standing[want.account] = (held + units, spent, others)
        if units:
            given[want.account] = given.get(want.account, 0) + units
        grants.append(Grant(units, want.limit, spent, held + units, others))
    return grants, given


def _is_storable(want: Want) -> bool:
    return not fault(want.account, (want.limit, want.most))


def _nothing(want: Want) -> Grant:
    logger.error("a lease of %a cannot be stored (%s)", want.account, fault(want.account, (want.limit, want.most)))
    return Grant(0, want.limit, 0, 0, 0)


async def leases(session: Session, node: str) -> Mapping[Account, int]:
    """See `base.Leasing.leases`."""
    return {Account(*row[:3]): row[3] for row in await session.rows(SELECT_LEASES, (node,))}


async def in_flight(session: Session, node: str) -> Mapping[Account, int]:
    """See `base.Leasing.in_flight`."""
    return {Account(*row[:3]): row[3] for row in await session.rows(SELECT_IN_FLIGHT, (node,))}
