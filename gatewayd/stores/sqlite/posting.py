"""A batch of postings inside one transaction: records chained, balances charged, leases shrunk."""

import logging
import sqlite3
from collections.abc import Collection, Mapping, Sequence
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


def _write_records(connection: sqlite3.Connection, moves: Moves, postings: Sequence[Posting]) -> None:
    """Write those that are not there yet, and charge them.

    As nearly always none is there, they are written as if, and looked for only if one was.
    """
    new: Sequence[Posting] = [each for each in postings if _is_storable(each)]
    if not new:
        return
    head, records = (value for (value,) in connection.execute(SELECT_META).fetchall())
    (last,) = connection.execute(SELECT_LAST).fetchone()
    sealing = chain.Sealing(head)
    if _write(connection, sealing, new) < len(new):
        connection.execute(DELETE_AFTER, (last,))
        new = _new(connection, new)
        sealing.head = head
        _write(connection, sealing, new)
    kept = _charged(moves, new)
    if len(kept) < len(new):
        connection.execute(DELETE_AFTER, (last,))
        sealing.head = head
        _write(connection, sealing, kept)
    if kept:
        connection.executemany(WRITE_META, ((sealing.head, "head"), (str(int(records) + len(kept)), "records")))


def _write(connection: sqlite3.Connection, sealing: chain.Sealing, postings: Sequence[Posting]) -> int:
    """Add them to the end of the chain; how many were not there. A row is made when its turn comes, and gone then."""
    return connection.executemany(WRITE_RECORD, (sealing.row(each.record) for each in postings)).rowcount


def _charged(moves: Moves, postings: Sequence[Posting]) -> Sequence[Posting]:
    """Charge them; those that their accounts can hold."""
    left = {account for account, total in _sums(postings).items() if not moves.charge_at_once(account, total)}
    if not left:
        return postings
    return [each for each in postings if (account := each.account) not in left or _charge(moves, account, each)]


def _sums(postings: Sequence[Posting]) -> dict[Account, Sum]:
    sums: dict[Account, Sum] = {}
    for posting in postings:
        account = posting.account
        if (total := sums.get(account)) is None:
            total = sums[account] = Sum()
        total.add(posting.record.quantity, posting.drawn)
    return sums


def _charge(moves: Moves, account: Account, posting: Posting) -> bool:
    """Charge one record by itself; whether its account can hold it."""
    record = posting.record
    try:
        moves.charge(account, record.quantity, posting.drawn)
    except OverflowError as reason:
        _pass_over(record.id, str(reason))
        return False
    return True


def _new(connection: sqlite3.Connection, postings: Sequence[Posting]) -> Sequence[Posting]:
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
    record = posting.record
    if not (_is_dated(record.started_at) and _is_dated(record.ended_at)):
        try:
            month_at(record.started_at)
            rfc3339(record.started_at)
            rfc3339(record.ended_at)
        except (ValueError, OverflowError, OSError) as error:
            _pass_over(record.id, str(error))
            return False
    if _is_plain(posting):
        return True
    texts = (record.id, record.user_id, record.plan, record.agent, record.route, record.unit)
    reason = fault(texts, (record.quantity, posting.drawn, record.status, record.bytes_in, record.bytes_out))
    if reason:
        _pass_over(record.id, reason)
    return not reason


def _is_plain(posting: Posting) -> bool:
    """Whether `fault` would find none, seen without making anything; where texts are not ASCII it may all the same."""
    record = posting.record
    return (
        record.quantity <= LARGEST
        and posting.drawn <= LARGEST
        and record.status <= LARGEST
        and record.bytes_in <= LARGEST
        and record.bytes_out <= LARGEST
        and record.id.isascii()
        and record.user_id.isascii()
        and record.plan.isascii()
        and record.agent.isascii()
        and record.route.isascii()
        and record.unit.isascii()
    )


def _is_dated(utc: float) -> bool:
    """Whether it surely has a date; before 1970 it may."""
    return 0 <= utc < CALENDAR_ENDS


def _pass_over(record_id: str, reason: str) -> None:
    logger.error("usage record %a cannot be stored (%s)", record_id, reason)
