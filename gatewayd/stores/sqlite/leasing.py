"""Leases inside one transaction: units taken out of balances ahead, and given back."""

import logging
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from gatewayd.model import Account
from gatewayd.stores.base import Grant, Sheet, Standing, Want
from gatewayd.stores.sqlite.storable import fault

logger = logging.getLogger(__name__)

SELECT_BALANCE: Final = (
    "SELECT limit_units, held, spent FROM usage_balances WHERE user_id = ? AND unit = ? AND period = ?"
)
WRITE_BALANCE: Final = (
    "INSERT INTO usage_balances VALUES (?, ?, ?, ?, ?, 0) ON CONFLICT (user_id, unit, period) DO UPDATE "
    "SET limit_units = excluded.limit_units, held = excluded.held"
)
ADD_UNITS: Final = (
    "INSERT INTO usage_leases (node, user_id, unit, period, units, in_flight) VALUES (?, ?, ?, ?, ?, 0) "
    "ON CONFLICT (node, user_id, unit, period) DO UPDATE SET units = units + excluded.units"
)
SELECT_STANDING: Final = "SELECT limit_units, spent FROM usage_balances WHERE user_id = ? AND unit = ? AND period = ?"
WRITE_LIMIT: Final = (
    "INSERT INTO usage_balances VALUES (?, ?, ?, ?, 0, 0) ON CONFLICT (user_id, unit, period) DO UPDATE "
    "SET limit_units = excluded.limit_units"
)
WRITE_HELD: Final = (
    "INSERT INTO usage_balances VALUES (?, ?, ?, 0, ?, 0) ON CONFLICT (user_id, unit, period) DO UPDATE "
    "SET held = excluded.held"
)
WRITE_UNITS: Final = (
    "INSERT INTO usage_leases (node, user_id, unit, period, units, in_flight) VALUES (?, ?, ?, ?, ?, 0) "
    "ON CONFLICT (node, user_id, unit, period) DO UPDATE SET units = excluded.units"
)
EMPTY_LEASE: Final = (
    "UPDATE usage_leases SET units = 0 WHERE node = ? AND user_id = ? AND unit = ? AND period = ? AND in_flight > 0"
)
DELETE_LEASE: Final = (
    "DELETE FROM usage_leases WHERE node = ? AND user_id = ? AND unit = ? AND period = ? AND in_flight = 0"
)
SELECT_LEASES: Final = "SELECT user_id, unit, period, units FROM usage_leases WHERE node = ? AND units > 0"
SELECT_IN_FLIGHT: Final = "SELECT user_id, unit, period, in_flight FROM usage_leases WHERE node = ? AND in_flight > 0"
# Two seeks where `<>` would read every lease there is.
STRANGERS: Final = (
    "SELECT node FROM usage_leases WHERE node = (SELECT node FROM usage_leases WHERE node < :node LIMIT 1) "
    "UNION SELECT node FROM usage_leases WHERE node = (SELECT node FROM usage_leases WHERE node > :node LIMIT 1)"
)
FREE_UNITS: Final = (
    "UPDATE usage_balances SET held = max(0, held - lease.units) FROM usage_leases AS lease WHERE lease.node = ? "
    "AND usage_balances.user_id = lease.user_id AND usage_balances.unit = lease.unit "
    "AND usage_balances.period = lease.period"
)


def lease(connection: sqlite3.Connection, node: str, wants: Sequence[Want]) -> Sequence[Grant]:
    """A grant for each, in order. The file is this daemon's alone: what others left in leases is free again."""
    _free_strangers(connection, node)
    return [_grant(connection, node, want) for want in wants]


def leases(connection: sqlite3.Connection, node: str) -> Mapping[Account, int]:
    """What the node has in leases, by account, zeros left out."""
    return _by_account(connection.execute(SELECT_LEASES, (node,)))


def in_flight(connection: sqlite3.Connection, node: str) -> Mapping[Account, int]:
    """What the node last said that its requests are using, by account, zeros left out."""
    return _by_account(connection.execute(SELECT_IN_FLIGHT, (node,)))


def standings(connection: sqlite3.Connection, wants: Sequence[Want]) -> Sequence[Standing | None]:
    """See `base.OwnLedgerStore.standings`."""
    return [_standing(connection, want) for want in wants]


def enter(connection: sqlite3.Connection, node: str, sheet: Sheet) -> None:
    """What the daemon knows better than the rows, which say so from now on."""
    execute = connection.executemany
    execute(WRITE_LIMIT, [(*account, limit) for account, limit in sheet.limits.items()])
    if sheet.leased:
        execute(WRITE_HELD, [(*account, units) for account, units in sheet.leased.items()])
        execute(WRITE_UNITS, [(node, *account, units) for account, units in sheet.leased.items() if units])
        empty = [(node, *account) for account, units in sheet.leased.items() if not units]
        execute(EMPTY_LEASE, empty)
        execute(DELETE_LEASE, empty)


def _standing(connection: sqlite3.Connection, want: Want) -> Standing | None:
    if not _is_storable(want):
        return None
    found = connection.execute(SELECT_STANDING, want.account).fetchone()
    return Standing(*found) if found else Standing(None, 0)


def _is_storable(want: Want) -> bool:
    reason = fault(want.account, (want.limit, want.most))
    if reason:
        logger.error("a lease of %a cannot be stored (%s)", want.account, reason)
    return not reason


def _by_account(rows: Iterable[tuple[str, str, str, int]]) -> Mapping[Account, int]:
    return {Account(user_id, unit, period): units for user_id, unit, period, units in rows}


def _grant(connection: sqlite3.Connection, node: str, want: Want) -> Grant:
    if not _is_storable(want):
        return Grant(0, want.limit, 0, 0, 0)
    limit, held, spent = connection.execute(SELECT_BALANCE, want.account).fetchone() or (None, 0, 0)
    room = want.limit - spent - held
    units = min(room, want.most) if room >= max(want.least, 0) else 0
    if units or limit != want.limit:
        connection.execute(WRITE_BALANCE, (*want.account, want.limit, held + units))
    if units:
        connection.execute(ADD_UNITS, (node, *want.account, units))
    return Grant(units, want.limit, spent, held + units, 0)


def _free_strangers(connection: sqlite3.Connection, node: str) -> None:
    while strangers := connection.execute(STRANGERS, {"node": node}).fetchall():
        for (stranger,) in strangers:
            logger.warning("leases of %s, a daemon that has this ledger no longer, are free again", stranger)
            connection.execute(FREE_UNITS, (stranger,))
            connection.execute("DELETE FROM usage_leases WHERE node = ?", (stranger,))
