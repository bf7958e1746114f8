"""A batch of postings inside one transaction: records chained, balances charged, leases shrunk."""

import logging
import sqlite3
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final

from gatewayd.model import Account, Posting
from gatewayd.periods import rfc3339
from gatewayd.records import account_named
from gatewayd.stores import chain
from gatewayd.stores.base import Batch
from gatewayd.stores.sqlite.moves import Moves, Sum
from gatewayd.stores.sqlite.schema import SELECT_META
from gatewayd.stores.sqlite.storable import fault

logger = logging.getLogger(__name__)

IDS_AT_ONCE: Final = 500

SELECT_KNOWN: Final = "SELECT id FROM usage_records WHERE id IN ({})"
WRITE_RECORD: Final = "INSERT INTO usage_records VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
WRITE_META: Final = "UPDATE ledger_meta SET value = ? WHERE key = ?"


class Entry:
    """A posting on its way into the ledger, with whose it is and its columns as stored."""

    __slots__ = ("account", "columns", "posting")

    def __init__(self, posting: Posting) -> None:
        """Raises ValueError, OverflowError or OSError for a time beyond the calendar."""
        record = posting.record
        started_at = rfc3339(record.started_at)
        self.posting = posting
        self.account = account_named(record.user_id, record.unit, chain.period(started_at))
        self.columns = chain.columns(record, started_at, rfc3339(record.ended_at))


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
    """Write those that are not there yet, and charge them."""
    head, records = (value for (value,) in connection.execute(SELECT_META).fetchall())
    entries = _entries(_new(connection, [each for each in postings if _is_storable(each)]))
    charged = {account for account, total in _sums(entries).items() if moves.charge_at_once(account, total)}
    rows: list[tuple[object, ...]] = []
    for entry in entries:
        if entry.account in charged or _charge(moves, entry):
            head = chain.seal(head, entry.columns)
            rows.append((*entry.columns, head))
    if rows:
        connection.executemany(WRITE_RECORD, rows)
        connection.executemany(WRITE_META, ((head, "head"), (str(int(records) + len(rows)), "records")))


def _entries(postings: Iterable[Posting]) -> list[Entry]:
    entries = []
    for posting in postings:
        try:
            entries.append(Entry(posting))
        except (ValueError, OverflowError, OSError) as reason:
            _pass_over(posting.record.id, str(reason))
    return entries


def _sums(entries: Sequence[Entry]) -> dict[Account, Sum]:
    sums: dict[Account, Sum] = {}
    for entry in entries:
        if (total := sums.get(entry.account)) is None:
            total = sums[entry.account] = Sum()
        total.add(entry.posting.record.quantity, entry.posting.drawn)
    return sums


def _charge(moves: Moves, entry: Entry) -> bool:
    """Charge one record by itself; whether its account can hold it."""
    record = entry.posting.record
    try:
        moves.charge(entry.account, record.quantity, entry.posting.drawn)
    except OverflowError as reason:
        _pass_over(record.id, str(reason))
        return False
    return True


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
