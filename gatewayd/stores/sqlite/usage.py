"""What the usage page asks of a ledger file; writes nothing, makes nothing."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final
from urllib.parse import quote

from gatewayd.errors import StoreError
from gatewayd.model import Balance, BillingPeriod, rfc3339
from gatewayd.stores.reading import Standing, Stretch, Used
from gatewayd.stores.sqlite import schema
from gatewayd.stores.sqlite.opening import located

_OF: Final = "period = :period AND substr(user_id, 1, length(:user)) = :user"
_COUNT: Final = "SELECT count(*) FROM usage_balances WHERE {}"
COUNT: Final = _COUNT.format(_OF)
_STANDINGS: Final = """
    SELECT user_id, unit, period, limit_units, (
        SELECT coalesce(sum(in_flight), 0) FROM usage_leases AS lease
        WHERE lease.user_id = near.user_id AND lease.unit = near.unit AND lease.period = near.period
    ), spent, coalesce(
        (SELECT plan FROM accounts WHERE accounts.user_id = near.user_id),
        (SELECT plan FROM usage_records AS record WHERE record.user_id = near.user_id AND record.unit = near.unit
            ORDER BY started_at DESC LIMIT 1), '')
    FROM (
        SELECT user_id, unit, period, limit_units, spent FROM usage_balances WHERE {}
        ORDER BY CASE limit_units WHEN 0 THEN -1.0 ELSE spent * 1.0 / limit_units END DESC, spent DESC, user_id, unit
        LIMIT :most OFFSET :skip
    ) AS near
"""
STANDINGS: Final = _STANDINGS.format(_OF)
STANDINGS_OF: Final = _STANDINGS.format("user_id = :user AND period = :period")
_USED: Final = """
    substr(started_at, 1, 10) AS day, agent, unit, count(*), coalesce(sum(outcome = 'failed'), 0), sum(quantity)
"""
_USED_BY: Final = """
    SELECT {} FROM usage_records WHERE user_id = :user AND unit IN (
        SELECT unit FROM usage_balances WHERE user_id = :user AND period = :period
    ) AND started_at >= :start AND started_at < :end GROUP BY 1, 2, 3 ORDER BY 1 DESC, 2, 3
"""
USED_BY: Final = _USED_BY.format(_USED)
_USED_AFTER: Final = """
    SELECT {} FROM usage_records WHERE rowid > :place AND rowid <= :end GROUP BY 1, 2, 3
"""
USED_AFTER: Final = _USED_AFTER.format(_USED)


class SqliteUsage:
    """See `reading.UsageReader`."""

    def __init__(self, connection: sqlite3.Connection, file: Path) -> None:
        self._connection = connection
        self._file = file

    def standings(self, period: str, *, user: str = "", most: int, skip: int = 0) -> Sequence[Standing]:
        values = {"period": period, "user": user, "most": most, "skip": skip}
        with schema.named(self._file):
            rows = self._connection.execute(STANDINGS, values)
            return [Standing(Balance(*balance), plan) for *balance, plan in rows]

    def standings_of(self, user: str, period: str) -> Sequence[Standing]:
        values = {"period": period, "user": user, "most": -1, "skip": 0}
        with schema.named(self._file):
            rows = self._connection.execute(STANDINGS_OF, values)
            return [Standing(Balance(*balance), plan) for *balance, plan in rows]

    def count(self, period: str, *, user: str = "") -> int:
        with schema.named(self._file):
            return int(self._connection.execute(COUNT, {"period": period, "user": user}).fetchone()[0])

    def used_by(self, user: str, period: str) -> Sequence[Used]:
        month = BillingPeriod.named(period)
        times = {"start": rfc3339(month.starts_at), "end": rfc3339(month.ends_at)}
        with schema.named(self._file):
            rows = self._connection.execute(USED_BY, {"user": user, "period": period, **times})
            return [Used(*row) for row in rows]

    def used_after(self, place: int, most: int) -> Stretch:
        with schema.named(self._file), schema.snapshot(self._connection):
            (last,) = self._connection.execute("SELECT coalesce(max(rowid), 0) FROM usage_records").fetchone()
            end = min(last, place + most)
            rows = self._connection.execute(USED_AFTER, {"place": place, "end": end})
            return Stretch(end, last, [Used(*row) for row in rows])


@contextmanager
def open_usage(path: str) -> Iterator[SqliteUsage]:
    """The ledger at `path`, read-only and not looked through, for the length of a `with`. Raises StoreError."""
    file = located(path)
    if not file.is_file():
        raise StoreError(f"ledger {file} does not exist: start the daemon once, or correct ledger.url")
    with schema.named(file):
        connection = sqlite3.connect(f"file:{quote(str(file))}?mode=ro", uri=True, isolation_level=None)
    with closing(connection):
        with schema.named(file):
            schema.check_current(connection, file)
        yield SqliteUsage(connection, file)
