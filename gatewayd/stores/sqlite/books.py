"""What one transaction does to balances, holds and records: the rule of the money, in SQL."""

import sqlite3
from collections.abc import Sequence
from operator import attrgetter
from typing import Final

from gatewayd.model import Balance, Hold, Holding, UsageRecord, rfc3339
from gatewayd.stores import chain
from gatewayd.stores.sqlite.schema import SELECT_META

# What JSON readers, Lua and every SQL database can hold exactly, with room to add such amounts up in 63 bits.
LARGEST: Final = 2**53 - 1

HOLD_COLUMNS: Final = attrgetter("id", "user_id", "plan", "agent", "route", "unit", "units", "limit", "cost")
BALANCE_COLUMNS: Final = attrgetter("user_id", "unit", "period", "limit", "held", "spent")

Account = tuple[str, str, str]

SELECT_BALANCE: Final = (
    "SELECT user_id, unit, period, limit_units, held, spent FROM usage_balances "
    "WHERE user_id = ? AND unit = ? AND period = ?"
)
SELECT_BALANCES: Final = (
    "SELECT user_id, unit, period, limit_units, held, spent FROM usage_balances "
    "WHERE user_id = ? AND period = ? ORDER BY unit"
)
WRITE_BALANCE: Final = (
    "INSERT INTO usage_balances VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (user_id, unit, period) DO UPDATE "
    "SET limit_units = excluded.limit_units, held = excluded.held, spent = excluded.spent"
)
SELECT_HOLD: Final = "SELECT user_id, unit, substr(started_at, 1, 7), units FROM usage_holds WHERE id = ?"
SELECT_HOLDS: Final = "SELECT * FROM usage_holds ORDER BY rowid"
KNOWS_HOLD: Final = "SELECT 1 FROM usage_holds WHERE id = ?"
KNOWS_RECORD: Final = "SELECT 1 FROM usage_records WHERE id = ?"
WRITE_HOLD: Final = "INSERT INTO usage_holds VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
DELETE_HOLD: Final = "DELETE FROM usage_holds WHERE id = ?"
WRITE_RECORD: Final = "INSERT INTO usage_records VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
WRITE_PLAN: Final = "INSERT INTO accounts VALUES (?, ?) ON CONFLICT (user_id) DO UPDATE SET plan = excluded.plan"
WRITE_META: Final = "UPDATE ledger_meta SET value = ? WHERE key = ?"


class Books:
    """The ledger inside one transaction; mutable: it carries balances and the chain's end until `finish`.

    A method raises ValueError or OverflowError for an argument that cannot be stored, before it changed
    anything; whatever the database itself raises spoils the whole transaction.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._balances: dict[Account, Balance] = {}
        self._changed: set[Account] = set()
        head, records = connection.execute(SELECT_META).fetchall()
        self._head: str = head[0]
        self._written = 0
        self._records = int(records[0])

    def hold(self, hold: Hold) -> Holding:
        """Grant or refuse, by the hold's limit, which the balance takes on: the plan in force now counts."""
        if self._knows(KNOWS_HOLD, hold.id) or self._knows(KNOWS_RECORD, hold.id):
            raise ValueError("a hold's id was used before")
        _check_amounts(hold.units, hold.limit, hold.cost)
        started_at = rfc3339(hold.started_at)
        account = (hold.user_id, hold.unit, chain.period(started_at))
        balance = self._balance(account)
        granted = not hold.limit or balance.held + hold.units <= hold.limit - balance.spent
        if granted:
            self._connection.execute(WRITE_HOLD, (*HOLD_COLUMNS(hold), started_at))
        return Holding(granted, self._move(account, limit=hold.limit, held=hold.units if granted else 0))

    def settle(self, record: UsageRecord) -> None:
        """Write the record, charge it to the period it began in, and free its hold, if there is one."""
        held = self._connection.execute(SELECT_HOLD, (record.id,)).fetchone()
        if held is None and self._knows(KNOWS_RECORD, record.id):
            return
        _check_amounts(record.quantity)
        row = chain.sealed(self._head, record)
        self._connection.execute(WRITE_RECORD, row)
        self._head, self._written = row.chain, self._written + 1
        self._move((row.user_id, row.unit, row.period), spent=row.quantity)
        if held is not None:
            self._free(record.id, *held)

    def release(self, hold_id: str) -> None:
        """Free what the hold set aside; nothing for an id that holds nothing."""
        held = self._connection.execute(SELECT_HOLD, (hold_id,)).fetchone()
        if held is not None:
            self._free(hold_id, *held)

    def balances(self, user_id: str, period: str) -> Sequence[Balance]:
        self._write_balances()
        return [Balance(*row) for row in self._connection.execute(SELECT_BALANCES, (user_id, period))]

    def plans(self) -> dict[str, str]:
        return dict(self._connection.execute("SELECT user_id, plan FROM accounts").fetchall())

    def outside_changes(self) -> int:
        """Another number than last time if somebody else has written to the file since."""
        (version,) = self._connection.execute("PRAGMA data_version").fetchone()
        return int(version)

    def assign(self, user_id: str, plan: str) -> None:
        self._connection.execute(WRITE_PLAN, (user_id, plan))

    def unsettled(self) -> Sequence[Hold]:
        """Every hold there is, in the order they were made."""
        rows = self._connection.execute(SELECT_HOLDS).fetchall()
        return [Hold(*(*row[:-1], chain.epoch(row[-1]))) for row in rows]

    def finish(self) -> None:
        """Write what was carried; the last thing before the commit."""
        self._write_balances()
        if self._written:
            meta = ((self._head, "head"), (str(self._records + self._written), "records"))
            self._connection.executemany(WRITE_META, meta)

    def _knows(self, question: str, request_id: str) -> bool:
        return self._connection.execute(question, (request_id,)).fetchone() is not None

    def _balance(self, account: Account) -> Balance:
        if account not in self._balances:
            row = self._connection.execute(SELECT_BALANCE, account).fetchone()
            self._balances[account] = Balance(*(row or (*account, 0, 0, 0)))
        return self._balances[account]

    def _move(self, account: Account, *, limit: int | None = None, held: int = 0, spent: int = 0) -> Balance:
        """Add `held` and `spent` to the balance, and put it under `limit` if one is given."""
        before = self._balance(account)
        limit = before.limit if limit is None else limit
        after = Balance(*account, limit, before.held + held, before.spent + spent)
        if after != before:
            self._balances[account] = after
            self._changed.add(account)
        return after

    def _free(self, hold_id: str, user_id: str, unit: str, period: str, units: int) -> None:
        self._connection.execute(DELETE_HOLD, (hold_id,))
        self._move((user_id, unit, period), held=-units)

    def _write_balances(self) -> None:
        changed = (self._balances[account] for account in self._changed)
        self._connection.executemany(WRITE_BALANCE, map(BALANCE_COLUMNS, changed))
        self._changed.clear()


def _check_amounts(*amounts: int) -> None:
    if max(amounts) > LARGEST:
        raise ValueError(f"an amount of units is at most {LARGEST}")
