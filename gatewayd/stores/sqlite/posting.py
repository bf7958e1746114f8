"""A batch of postings inside one transaction: records chained, balances charged, leases shrunk."""

import logging
import sqlite3
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Final

from gatewayd.model import Account, Posting
from gatewayd.periods import month_at, rfc3339
from gatewayd.stores import chain
from gatewayd.stores.base import Batch
from gatewayd.stores.sqlite.moves import Moves, Sum
from gatewayd.stores.sqlite.schema import SELECT_META
from gatewayd.stores.sqlite.storable import LARGEST, fault

logger = logging.getLogger(__name__)

IDS_AT_ONCE: Final = 500
CALENDAR_ENDS: Final = 253_399_622_400.0
"""The calendar's last month, which has no next one, begins then; in seconds since the epoch."""

SELECT_KNOWN: Final = "SELECT id FROM usage_records WHERE id IN ({})"
SELECT_LAST: Final = "SELECT coalesce(max(rowid), 0) FROM usage_records"
WRITE_RECORD: Final = (
    "INSERT INTO usage_records VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING"
)
DELETE_AFTER: Final = "DELETE FROM usage_records WHERE rowid > ?"
WRITE_META: Final = "UPDATE ledger_meta SET value = ? WHERE key = ?"


def post(connection: sqlite3.Connection, node: str, batch: Batch, rowless: Collection[Account] = ()) -> None:
    """See `base.Leasing.post`, and `base.Sheet` for `rowless`.

    Recalls are not asked for here, so there are none to answer.
    """
    moves = Moves(connection, node, rowless)
    _write_records(connection, moves, batch.postings)
    for account, units in _storable(batch.returned).items():
        moves.take(account, units)
    for account, units in _storable(batch.in_flight).items():
        moves.of(account).in_flight_now = units
    moves.write()


class Rows:
    """Postings as rows of the chain; and what all of them come to, by account, once the rows were taken.

    Each is looked at once: it waited, and is far from the processor's caches. Its row is made when its turn comes, and
    gone once it is bound. What a row cannot hold is told and passed over. Mutable: it counts.
    """

    def __init__(self, sealing: chain.Sealing, postings: Sequence[Posting]) -> None:
        self.count = 0
        self.sums: dict[Account, Sum] = {}
        self._passed_over: set[int] = set()
        self._sealing = sealing
        self._postings = postings

    def __iter__(self) -> Iterator[chain.Row]:
        sealing, total = self._sealing, Sum()
        user_id = unit = month = ""
        for posting in self._postings:
            if not _is_storable(posting):
                self._passed_over.add(id(posting))
                continue
            begun = month_at(posting.started_at)
            if not (posting.user_id is user_id and posting.unit is unit and begun is month):
                user_id, unit, month = posting.user_id, posting.unit, begun
                total = self._sum_of(posting.account)
            total.add(posting.quantity, posting.drawn)
            self.count += 1
            yield sealing.row(posting)

    @property
    def storable(self) -> Sequence[Posting]:
        """Those that rows were made of."""
        passed_over = self._passed_over
        return [each for each in self._postings if id(each) not in passed_over] if passed_over else self._postings

    def _sum_of(self, account: Account) -> Sum:
        if (total := self.sums.get(account)) is None:
            total = self.sums[account] = Sum()
        return total


def _write_records(connection: sqlite3.Connection, moves: Moves, postings: Sequence[Posting]) -> None:
    """Write those that are not there yet, and charge them.

    As nearly always none is there, they are written as if, and looked for only if one was.
    """
    if not postings:
        return
    head, records = (value for (value,) in connection.execute(SELECT_META).fetchall())
    (last,) = connection.execute(SELECT_LAST).fetchone()
    sealing = chain.Sealing(head)
    rows = Rows(sealing, postings)
    if _write(connection, rows) < rows.count:
        connection.execute(DELETE_AFTER, (last,))
        sealing.head = head
        rows = Rows(sealing, _new(connection, rows.storable))
        _write(connection, rows)
    kept = _charged(moves, rows)
    if len(kept) < rows.count:
        connection.execute(DELETE_AFTER, (last,))
        sealing.head = head
        _write(connection, Rows(sealing, kept))
    if kept:
        connection.executemany(WRITE_META, ((sealing.head, "head"), (str(int(records) + len(kept)), "records")))


def _write(connection: sqlite3.Connection, rows: Rows) -> int:
    """Add them to the end of the chain; how many were not there."""
    return connection.executemany(WRITE_RECORD, iter(rows)).rowcount


def _charged(moves: Moves, rows: Rows) -> Sequence[Posting]:
    """Charge them; those that their accounts can hold."""
    left = {account for account, total in rows.sums.items() if not moves.charge_at_once(account, total)}
    if not left:
        return rows.storable
    return [each for each in rows.storable if (account := each.account) not in left or _charge(moves, account, each)]


def _charge(moves: Moves, account: Account, posting: Posting) -> bool:
    """Charge one record by itself; whether its account can hold it."""
    try:
        moves.charge(account, posting.quantity, posting.drawn)
    except OverflowError as reason:
        _pass_over(posting.id, str(reason))
        return False
    return True


def _new(connection: sqlite3.Connection, postings: Sequence[Posting]) -> Sequence[Posting]:
    """Those whose record is not in the ledger; the first, of several with one id."""
    new: dict[str, Posting] = {}
    for posting in postings:
        new.setdefault(posting.id, posting)
    ids = list(new)
    for start in range(0, len(ids), IDS_AT_ONCE):
        chunk = ids[start : start + IDS_AT_ONCE]
        question = SELECT_KNOWN.format(",".join("?" * len(chunk)))
        for (known,) in connection.execute(question, chunk).fetchall():
            del new[known]
    return list(new.values())


def _storable(amounts: Mapping[Account, int]) -> dict[Account, int]:
    kept = {}
    for account, units in amounts.items():
        if reason := fault(account, (units,)) or ("it is below 0" if units < 0 else ""):
            logger.error("units of %a cannot be stored (%s)", account, reason)
        else:
            kept[account] = units
    return kept


def _is_storable(posting: Posting) -> bool:
    """Whether a row can hold it; if not, that is told."""
    if not (_is_dated(posting.started_at) and _is_dated(posting.ended_at)):
        try:
            month_at(posting.started_at)
            rfc3339(posting.started_at)
            rfc3339(posting.ended_at)
        except (ValueError, OverflowError, OSError) as error:
            _pass_over(posting.id, str(error))
            return False
    if _is_plain(posting):
        return True
    texts = (posting.id, posting.user_id, posting.plan, posting.agent, posting.route, posting.unit)
    reason = fault(texts, (posting.quantity, posting.drawn, posting.status, posting.bytes_in, posting.bytes_out))
    if reason:
        _pass_over(posting.id, reason)
    return not reason


def _is_plain(posting: Posting) -> bool:
    """Whether `fault` would find none, seen without making anything; where texts are not ASCII it may all the same."""
    return (
        posting.quantity <= LARGEST
        and posting.drawn <= LARGEST
        and posting.status <= LARGEST
        and posting.bytes_in <= LARGEST
        and posting.bytes_out <= LARGEST
        and posting.id.isascii()
        and posting.user_id.isascii()
        and posting.plan.isascii()
        and posting.agent.isascii()
        and posting.route.isascii()
        and posting.unit.isascii()
    )


def _is_dated(utc: float) -> bool:
    """Whether it surely has a date; before 1970 it may."""
    return 0 <= utc < CALENDAR_ENDS


def _pass_over(record_id: str, reason: str) -> None:
    logger.error("usage record %a cannot be stored (%s)", record_id, reason)
