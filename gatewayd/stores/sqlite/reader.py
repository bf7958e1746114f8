"""Reading a ledger file from outside the daemon, whether one runs or not; writes nothing, makes nothing."""

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final
from urllib.parse import quote

from gatewayd.errors import StoreError
from gatewayd.model import Account, Balance, Directory
from gatewayd.stores.chain import RecordRow
from gatewayd.stores.numbering import DECISIONS, end_of, misnumbered_decisions
from gatewayd.stores.reading import NodeLeases
from gatewayd.stores.sqlite import inquiry, schema
from gatewayd.stores.sqlite.opening import located

# SQLite takes a bare column from the row that has the maximum.
SELECT_LAST_PLANS: Final = "SELECT user_id, plan, max(rowid) FROM usage_records GROUP BY user_id"
SELECT_LEASED: Final = (
    "SELECT user_id, unit, period, held, (SELECT coalesce(sum(units), 0) FROM usage_leases AS lease "
    "WHERE lease.user_id = balance.user_id AND lease.unit = balance.unit AND lease.period = balance.period) "
    "FROM usage_balances AS balance UNION ALL "
    "SELECT user_id, unit, period, 0, sum(units) FROM usage_leases AS lease WHERE NOT EXISTS (SELECT * "
    "FROM usage_balances AS balance WHERE lease.user_id = balance.user_id AND lease.unit = balance.unit "
    "AND lease.period = balance.period) GROUP BY user_id, unit, period"
)
SELECT_NODES: Final = (
    "SELECT node, count(*), sum(units), sum(in_flight) FROM usage_leases WHERE units > 0 OR in_flight > 0 "
    "GROUP BY node ORDER BY node"
)


class SqliteReader:
    """See `reading.LedgerReader`: everything it tells is of the one moment at which it was opened."""

    def __init__(self, connection: sqlite3.Connection, file: Path) -> None:
        self._connection = connection
        self._file = file

    def balances(self, *, user_id: str | None = None, period: str | None = None) -> Sequence[Balance]:
        with schema.named(self._file):
            return inquiry.any_balances(self._connection, user_id, period)

    def records(self) -> Iterator[RecordRow]:
        with schema.named(self._file):
            for row in self._connection.execute("SELECT * FROM usage_records ORDER BY rowid"):
                yield RecordRow(*row)

    def end(self) -> tuple[int, str]:
        with schema.named(self._file):
            rows = self._connection.execute(schema.SELECT_META).fetchall()
        return end_of(rows, self._file)

    def directory(self) -> Directory:
        with schema.named(self._file):
            return inquiry.directory(self._connection)

    def last_plans(self) -> Mapping[str, str]:
        with schema.named(self._file):
            return {user_id: plan for user_id, plan, _ in self._connection.execute(SELECT_LAST_PLANS)}

    def leased(self) -> Mapping[Account, tuple[int, int]]:
        with schema.named(self._file):
            rows = self._connection.execute(SELECT_LEASED).fetchall()
        return {Account(*account): (held, leased) for *account, held, leased in rows}

    def misnumbered(self) -> Sequence[str]:
        with schema.named(self._file):
            return misnumbered_decisions(self._connection.execute(DECISIONS))

    def nodes(self) -> Sequence[NodeLeases]:
        with schema.named(self._file):
            return [NodeLeases(*row) for row in self._connection.execute(SELECT_NODES)]


@contextmanager
def open_reader(path: str) -> Iterator[SqliteReader]:
    """The ledger at `path`, read-only, for the length of a `with`. Raises StoreError."""
    file = located(path)
    if not file.is_file():
        raise StoreError(f"ledger {file} does not exist: start the daemon once, or correct ledger.url")
    with schema.named(file):
        connection = sqlite3.connect(f"file:{quote(str(file))}?mode=ro", uri=True, isolation_level=None)
    with closing(connection):
        with schema.named(file):
            connection.execute("BEGIN")
            if schema.examine(connection, file):
                raise StoreError(f"ledger {file} is empty: start the daemon once, or correct ledger.url")
            schema.check_current(connection, file)
        yield SqliteReader(connection, file)
