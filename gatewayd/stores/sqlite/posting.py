"""A batch of postings inside one transaction: records chained, balances charged, leases shrunk."""

import logging
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
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
SELECT_STANDING: Final = (
    "SELECT coalesce(spent, 0), coalesce(units, 0), coalesce(in_flight, 0) FROM (SELECT 1) "
    "LEFT JOIN usage_balances AS b ON b.user_id = ?2 AND b.unit = ?3 AND b.period = ?4 "
    "LEFT JOIN usage_leases AS l ON l.node = ?1 AND l.user_id = ?2 AND l.unit = ?3 AND l.period = ?4"
)
MOVE: Final = (
    "INSERT INTO usage_balances VALUES (?1, ?2, ?3, 0, 0, ?4) ON CONFLICT (user_id, unit, period) DO UPDATE "
    "SET spent = spent + excluded.spent, held = max(0, held - ?5)"
)
DELETE_LEASE: Final = "DELETE FROM usage_leases WHERE node = ? AND user_id = ? AND unit = ? AND period = ?"
WRITE_LEASE: Final = (
    "INSERT INTO usage_leases (node, user_id, unit, period, units, in_flight) VALUES (?, ?, ?, ?, ?, ?) "
    "ON CONFLICT (node, user_id, unit, period) DO UPDATE SET units = excluded.units, in_flight = excluded.in_flight"
)


def post(connection: sqlite3.Connection, node: str, batch: Batch) -> None:
    """See `base.Leasing.post`. Recalls are not asked for here, so there are none to answer."""
    moves = Moves(connection, node)
    _write_records(connection, moves, batch.postings)
    for account, units in _storable(batch.returned).items():
        moves.take(account, units)
    for account, units in _storable(batch.in_flight).items():
        moves.of(account).in_flight_now = units
    moves.write()


def _write_records(connection: sqlite3.Connection, moves: "Moves", postings: Sequence[Posting]) -> None:
    """Write those that are not there yet, and charge them."""
    head, records = (value for (value,) in connection.execute(SELECT_META).fetchall())
    rows: list[RecordRow] = []
    for posting in _new(connection, [each for each in postings if _is_storable(each)]):
        if row := _charged(moves, head, posting):
            rows.append(row)
            head = row.chain
    if rows:
        connection.executemany(WRITE_RECORD, rows)
        connection.executemany(WRITE_META, ((head, "head"), (str(int(records) + len(rows)), "records")))


def _charged(moves: "Moves", head: str, posting: Posting) -> RecordRow | None:
    record = posting.record
    try:
        row = chain.sealed(head, record)
        moves.charge(Account(record.user_id, record.unit, chain.period(row.started_at)), record.quantity, posting.drawn)
    except (ValueError, OverflowError, OSError) as reason:  # a time beyond the calendar, a sum beyond 63 bits
        _pass_over(record.id, str(reason))
        return None
    return row


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
    """What a batch does to balances and leases: a read and two writes an account, however many its records are."""

    def __init__(self, connection: sqlite3.Connection, node: str) -> None:
        self._connection = connection
        self._node = node
        self._by_account: dict[Account, Move] = {}

    def of(self, account: Account) -> Move:
        if (move := self._by_account.get(account)) is None:
            found = self._connection.execute(SELECT_STANDING, (self._node, *account))
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
            MOVE, ((*account, move.spent, move.taken) for account, move in moves if move.changes_balance)
        )
        changed = [(account, move) for account, move in moves if move.changes_lease]
        left = [(account, move.units - move.taken, move.in_flight_now) for account, move in changed]
        self._connection.executemany(
            WRITE_LEASE, ((self._node, *account, units, now) for account, units, now in left if units or now)
        )
        self._connection.executemany(
            DELETE_LEASE, ((self._node, *account) for account, units, now in left if not (units or now))
        )


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
