"""Reading a ledger file from outside the daemon, whether one runs or not; writes nothing, makes nothing."""

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final
from urllib.parse import quote

from gatewayd.errors import StoreError
from gatewayd.model import Balance
from gatewayd.stores.chain import RecordRow
from gatewayd.stores.sqlite import schema
from gatewayd.stores.sqlite.opening import located

SELECT_BALANCES: Final = (
    "SELECT user_id, unit, period, limit_units, held, spent FROM usage_balances "
    "WHERE (:user IS NULL OR user_id = :user) AND (:period IS NULL OR period = :period) "
    "ORDER BY user_id, period, unit"
)
# SQLite takes a bare column from the row that has the maximum. Of a request in flight there is no record yet.
SELECT_RECORDED_PLANS: Final = "SELECT user_id, plan, max(rowid) FROM usage_records GROUP BY user_id"
SELECT_HELD_PLANS: Final = "SELECT user_id, plan, max(rowid) FROM usage_holds GROUP BY user_id"


class SqliteReader:
    """See `reading.LedgerReader`: everything it tells is of the one moment at which it was opened."""

    def __init__(self, connection: sqlite3.Connection, file: Path) -> None:
        self._connection = connection
        self._file = file

    def balances(self, *, user_id: str | None = None, period: str | None = None) -> Sequence[Balance]:
        with schema.named(self._file):
            rows = self._connection.execute(SELECT_BALANCES, {"user": user_id, "period": period}).fetchall()
        return [Balance(*row) for row in rows]

    def records(self) -> Iterator[RecordRow]:
        with schema.named(self._file):
            for row in self._connection.execute("SELECT * FROM usage_records ORDER BY rowid"):
                yield RecordRow(*row)

    def end(self) -> tuple[int, str]:
        with schema.named(self._file):
            head, records = self._connection.execute(schema.SELECT_META).fetchall()
        return int(records[0]), head[0]

    def plans(self) -> Mapping[str, str]:
        with schema.named(self._file):
            return dict(self._connection.execute("SELECT user_id, plan FROM accounts ORDER BY user_id").fetchall())

    def last_plans(self) -> Mapping[str, str]:
        with schema.named(self._file):
            recorded = self._connection.execute(SELECT_RECORDED_PLANS).fetchall()
            held = self._connection.execute(SELECT_HELD_PLANS).fetchall()
        return {user_id: plan for user_id, plan, _ in (*recorded, *held)}


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
        yield SqliteReader(connection, file)
