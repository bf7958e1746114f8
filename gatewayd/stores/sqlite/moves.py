"""What a batch does to balances and leases, inside one transaction.

Nearly every account of a batch is charged within what it has leased, and has some left: two writes without a read. What
comes back out of leases, what is in flight, and whatever else is not as usual is looked at first.
"""

import sqlite3
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from gatewayd.model import Account

MOST_SPENT: Final = 2**63 - 1

SELECT_STANDING: Final = (
    "SELECT coalesce(spent, 0), coalesce(units, 0), coalesce(in_flight, 0) FROM (SELECT 1) "
    "LEFT JOIN usage_balances AS b ON b.user_id = ? AND b.unit = ? AND b.period = ? "
    "LEFT JOIN usage_leases AS l ON l.node = ? AND l.user_id = ? AND l.unit = ? AND l.period = ?"
)
MOVE: Final = (
    "INSERT INTO usage_balances VALUES (?, ?, ?, 0, 0, ?) ON CONFLICT (user_id, unit, period) DO UPDATE "
    "SET spent = spent + excluded.spent, held = max(0, held - ?)"
)
DELETE_LEASE: Final = "DELETE FROM usage_leases WHERE node = ? AND user_id = ? AND unit = ? AND period = ?"
WRITE_LEASE: Final = (
    "INSERT INTO usage_leases (node, user_id, unit, period, units, in_flight) VALUES (?, ?, ?, ?, ?, ?) "
    "ON CONFLICT (node, user_id, unit, period) DO UPDATE SET units = excluded.units, in_flight = excluded.in_flight"
)
# A lease of which nothing is left is deleted, so it is not as usual.
DRAW: Final = (
    "UPDATE usage_leases SET units = units - ? WHERE node = ? AND user_id = ? AND unit = ? AND period = ? AND units > ?"
)
UNDRAW: Final = "UPDATE usage_leases SET units = units + ? WHERE node = ? AND user_id = ? AND unit = ? AND period = ?"
CHARGE: Final = (
    "UPDATE usage_balances SET spent = spent + ?, held = max(0, held - ?) "
    "WHERE user_id = ? AND unit = ? AND period = ? AND spent <= ?"
)


class Sum:
    """What all records of an account in a batch come to. Mutable: it grows with every record."""

    __slots__ = ("drawn", "quantity")

    def __init__(self) -> None:
        self.quantity = 0
        self.drawn = 0

    def add(self, quantity: int, drawn: int) -> None:
        self.quantity += quantity
        if drawn > 0:
            self.drawn += drawn


@dataclass(slots=True)
class Move:
    """What becomes of one account, of which `units` are leased. Mutable: it grows with every record."""

    room: int
    units: int
    in_flight: int
    in_flight_now: int
    spent: int = 0
    used: int = 0
    charged: bool = False

    @property
    def taken(self) -> int:
        """Out of the node's lease, as far as it has that much."""
        return min(self.units, self.used)

    @property
    def changes_lease(self) -> bool:
        return bool(self.taken) or self.in_flight_now != self.in_flight

    @property
    def changes_balance(self) -> bool:
        """A balance is made for a record of no units too, and for who begins, so that who asks for balances sees it."""
        return self.charged or bool(self.taken) or (self.in_flight_now > 0 and not self.in_flight)


class Moves:
    """Mutable: what is looked at first is gathered, and written once."""

    def __init__(self, connection: sqlite3.Connection, node: str, rowless: Collection[Account] = ()) -> None:
        """Of `rowless` accounts nothing is in the node's lease."""
        self._connection = connection
        self._execute = connection.cursor().execute  # for what answers nothing: a cursor for all instead of one each
        self._node = node
        self._rowless = rowless
        self._by_account: dict[Account, Move] = {}

    def charge_at_once(self, account: Account, total: Sum) -> bool:
        """Write what an account's records come to, if that is as usual; whether it was.

        Its balance is there and has room for the sum, its lease for what was drawn and more.
        """
        drawn = 0 if account in self._rowless else total.drawn
        if max(total.quantity, drawn) > MOST_SPENT:
            return False
        execute, lease = self._execute, (self._node, *account)
        if drawn and execute(DRAW, (drawn, *lease, drawn)).rowcount != 1:
            return False
        if execute(CHARGE, (total.quantity, drawn, *account, MOST_SPENT - total.quantity)).rowcount == 1:
            return True
        if drawn:
            execute(UNDRAW, (drawn, *lease))
        return False

    def of(self, account: Account) -> Move:
        if (move := self._by_account.get(account)) is None:
            found = self._connection.execute(SELECT_STANDING, (*account, self._node, *account))
            spent, units, in_flight = found.fetchone()
            move = self._by_account[account] = Move(MOST_SPENT - spent, units, in_flight, in_flight)
        return move

    def charge(self, account: Account, quantity: int, drawn: int) -> None:
        """Raises OverflowError, and adds nothing, where the database could not hold the sum."""
        move = self.of(account)
        if quantity > move.room:
            raise OverflowError(f"the account's sum would be above {MOST_SPENT}")
        move.charged = True
        move.room -= quantity
        move.spent += quantity
        if drawn > 0:
            move.used += drawn

    def take(self, account: Account, units: int) -> None:
        """They come back out of the lease unused."""
        self.of(account).used += units

    def write(self) -> None:
        moves = self._by_account.items()
        self._connection.executemany(
            MOVE, [(*account, move.spent, move.taken) for account, move in moves if move.changes_balance]
        )
        changed = [(account, move) for account, move in moves if move.changes_lease]
        left = [(account, move.units - move.taken, move.in_flight_now) for account, move in changed]
        self._connection.executemany(
            WRITE_LEASE, [(self._node, *account, units, now) for account, units, now in left if units or now]
        )
        self._connection.executemany(
            DELETE_LEASE, [(self._node, *account) for account, units, now in left if not (units or now)]
        )
