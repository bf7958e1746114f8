"""A batch of postings inside one transaction: records chained, balances charged, leases shrunk."""

import logging
import sqlite3
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from gatewayd.model import Account
from gatewayd.stores import chain
from gatewayd.stores.base import Batch, Posting
from gatewayd.stores.chain import RecordRow
from gatewayd.stores.sqlite.schema import SELECT_META
from gatewayd.stores.sqlite.storable import fault

logger = logging.getLogger(__name__)

IDS_AT_ONCE: Final = 500
MOST_SPENT: Final = 2**63 - 1

SELECT_KNOWN: Final = "SELECT id FROM usage_records WHERE id IN ({})"
WRITE_RECORD: Final = "INSERT INTO usage_records VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
WRITE_META: Final = "UPDATE ledger_meta SET value = ? WHERE key = ?"
SELECT_SPENT: Final = "SELECT spent FROM usage_balances WHERE user_id = ? AND unit = ? AND period = ?"
ADD_SPENT: Final = (
    "INSERT INTO usage_balances VALUES (?, ?, ?, 0, 0, ?) ON CONFLICT (user_id, unit, period) DO UPDATE "
    "SET spent = spent + excluded.spent"
)
TAKE_HELD: Final = "UPDATE usage_balances SET held = max(0, held - ?) WHERE user_id = ? AND unit = ? AND period = ?"
SELECT_LEASE: Final = (
    "SELECT units, in_flight FROM usage_leases WHERE node = ? AND user_id = ? AND unit = ? AND period = ?"
)
DELETE_LEASE: Final = "DELETE FROM usage_leases WHERE node = ? AND user_id = ? AND unit = ? AND period = ?"
WRITE_LEASE: Final = (
    "INSERT INTO usage_leases (node, user_id, unit, period, units, in_flight) VALUES (?, ?, ?, ?, ?, ?) "
    "ON CONFLICT (node, user_id, unit, period) DO UPDATE SET units = excluded.units, in_flight = excluded.in_flight"
)


def post(connection: sqlite3.Connection, node: str, batch: Batch) -> None:
    """See `base.Leasing.post`. Recalls are not asked for here, so there are none to answer."""
    used = _write_records(connection, batch.postings)
    used.update(_storable(batch.returned))
    in_flight = _storable(batch.in_flight)
    for account in {**used, **in_flight}:
        _shrink(connection, node, account, used[account], in_flight.get(account))


def _write_records(connection: sqlite3.Connection, postings: Sequence[Posting]) -> Counter[Account]:
    """Write those that are not there yet, and charge them; what they drew, by account."""
    sums = Sums(connection)
    head, records = (value for (value,) in connection.execute(SELECT_META).fetchall())
    rows: list[RecordRow] = []
    for posting in _new(connection, [each for each in postings if _is_storable(each)]):
        if row := _charged(sums, head, posting):
            rows.append(row)
            head = row.chain
    if rows:
        connection.executemany(WRITE_RECORD, rows)
        connection.executemany(WRITE_META, ((head, "head"), (str(int(records) + len(rows)), "records")))
        sums.write()
    return sums.drawn


def _charged(sums: "Sums", head: str, posting: Posting) -> RecordRow | None:
    record = posting.record
    try:
        row = chain.sealed(head, record)
        sums.add(Account(row.user_id, row.unit, row.period), record.quantity, posting.drawn)
    except (ValueError, OverflowError, OSError) as reason:  # a time beyond the calendar, a sum beyond 63 bits
        _pass_over(record.id, str(reason))
        return None
    return row


class Sums:
    """What a batch spends and draws, by account; mutable: it grows with every record."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._room: dict[Account, int] = {}
        self._spent: Counter[Account] = Counter()
        self.drawn: Counter[Account] = Counter()

    def add(self, account: Account, quantity: int, drawn: int) -> None:
        """Raises OverflowError, and adds nothing, where the database could not hold the sum."""
        if account not in self._room:
            (spent,) = self._connection.execute(SELECT_SPENT, account).fetchone() or (0,)
            self._room[account] = MOST_SPENT - spent
        if quantity > self._room[account]:
            raise OverflowError(f"the account's sum would be above {MOST_SPENT}")
        self._room[account] -= quantity
        self._spent[account] += quantity
        self.drawn[account] += max(0, drawn)

    def write(self) -> None:
        self._connection.executemany(ADD_SPENT, ((*account, spent) for account, spent in self._spent.items()))


def _new(connection: sqlite3.Connection, postings: Sequence[Posting]) -> Iterable[Posting]:
    """Those whose record is not in the ledger; the first, of several with one id."""
    new: dict[str, Posting] = {}
    for posting in postings:
        new.setdefault(posting.record.id, posting)
    ids = list(new)
    for start in range(0, len(ids), IDS_AT_ONCE):
        chunk = ids[start : start + IDS_AT_ONCE]
        question = SELECT_KNOWN.format(",".join("?" * len(chunk)))
        for (known,) in connection.execute(question, chunk).fetchall():
            del new[known]
    return new.values()


def _shrink(connection: sqlite3.Connection, node: str, account: Account, used: int, in_flight: int | None) -> None:
    """Take `used` out of the node's lease, as far as it has that much, and note its requests in flight."""
    key = (node, *account)
    units, before = connection.execute(SELECT_LEASE, key).fetchone() or (0, 0)
    taken = min(units, used)
    now = before if in_flight is None else in_flight
    if now and not before:
        connection.execute(ADD_SPENT, (*account, 0))  # so that who asks for balances sees it
    if not taken and now == before:
        return
    if units - taken or now:
        connection.execute(WRITE_LEASE, (*key, units - taken, now))
    else:
        connection.execute(DELETE_LEASE, key)
    connection.execute(TAKE_HELD, (taken, *account))


def _storable(amounts: Mapping[Account, int]) -> dict[Account, int]:
    kept = {}
    for account, units in amounts.items():
        if reason := fault(account, (units,)) or ("it is below 0" if units < 0 else ""):
            logger.error("units of %a cannot be stored (%s)", account, reason)
        else:
            kept[account] = units
    return kept


def _is_storable(posting: Posting) -> bool:
    record = posting.record
    texts = (record.id, record.user_id, record.plan, record.agent, record.route, record.unit)
    reason = fault(texts, (record.quantity, posting.drawn, record.status, record.bytes_in, record.bytes_out))
    if reason:
        _pass_over(record.id, reason)
    return not reason


def _pass_over(record_id: str, reason: str) -> None:
    logger.error("usage record %a cannot be stored (%s)", record_id, reason)
