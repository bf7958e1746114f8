"""What the usage page asks of the ledger; writes nothing, makes nothing."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

from psycopg2.extensions import connection as Connection  # noqa: N812

from gatewayd.model import Balance, BillingPeriod, rfc3339
from gatewayd.stores.postgres.address import Address, located
from gatewayd.stores.postgres.asking import connected, named, rows_of, see_one_moment
from gatewayd.stores.postgres.connection import Row
from gatewayd.stores.postgres.storable import fault
from gatewayd.stores.reading import Standing, Stretch, Used

_OF: Final = "period = %(period)s AND starts_with(user_id, %(user)s)"
_COUNT: Final = "SELECT count(*) FROM usage_balances WHERE {}"
COUNT: Final = _COUNT.format(_OF)
_STANDINGS: Final = """
    SELECT user_id, unit, period, limit_units, (
        SELECT coalesce(sum(in_flight), 0)::bigint FROM usage_leases AS lease
        WHERE lease.user_id = near.user_id AND lease.unit = near.unit AND lease.period = near.period
    ), spent, coalesce(
        (SELECT plan FROM accounts WHERE accounts.user_id = near.user_id),
        (SELECT plan FROM usage_records AS record WHERE record.user_id = near.user_id AND record.unit = near.unit
            ORDER BY started_at DESC LIMIT 1), '')
    FROM (
        SELECT user_id, unit, period, limit_units, spent,
            CASE limit_units WHEN 0 THEN -1 ELSE spent::double precision / limit_units END AS share
        FROM usage_balances WHERE {}
        ORDER BY share DESC, spent DESC, user_id, unit LIMIT %(most)s OFFSET %(skip)s
    ) AS near ORDER BY share DESC, spent DESC, user_id, unit
"""
STANDINGS: Final = _STANDINGS.format(_OF)
STANDINGS_OF: Final = _STANDINGS.format("user_id = %(user)s AND period = %(period)s")
_USED: Final = """
    left(started_at, 10) AS day, agent, unit, count(*), count(*) FILTER (WHERE outcome = 'failed'),
    sum(quantity)::bigint
"""
_USED_BY: Final = """
    SELECT {} FROM usage_records WHERE user_id = %(user)s AND unit IN (
        SELECT unit FROM usage_balances WHERE user_id = %(user)s AND period = %(period)s
    ) AND started_at >= %(start)s AND started_at < %(end)s GROUP BY 1, 2, 3 ORDER BY 1 DESC, 2, 3
"""
USED_BY: Final = _USED_BY.format(_USED)
LAST: Final = "SELECT coalesce(max(seq), 0) FROM usage_records"
_USED_AFTER: Final = """
    SELECT {} FROM usage_records WHERE seq > %(place)s AND seq <= %(end)s GROUP BY 1, 2, 3
"""
USED_AFTER: Final = _USED_AFTER.format(_USED)


class PostgresUsage:
    """See `reading.UsageReader`."""

    def __init__(self, connection: Connection, address: Address) -> None:
        self._connection = connection
        self._address = address

    def standings(self, period: str, *, user: str = "", most: int, skip: int = 0) -> Sequence[Standing]:
        if fault((period, user)):
            return []
        rows = self._rows(STANDINGS, {"period": period, "user": user, "most": most, "skip": skip})
        return [Standing(Balance(*balance), plan) for *balance, plan in rows]

    def standings_of(self, user: str, period: str) -> Sequence[Standing]:
        if fault((period, user)):
            return []
        rows = self._rows(STANDINGS_OF, {"period": period, "user": user, "most": None, "skip": 0})
        return [Standing(Balance(*balance), plan) for *balance, plan in rows]

    def count(self, period: str, *, user: str = "") -> int:
        if fault((period, user)):
            return 0
        return int(self._rows(COUNT, {"period": period, "user": user})[0][0])

    def used_by(self, user: str, period: str) -> Sequence[Used]:
        if fault((user, period)):
            return []
        month = BillingPeriod.named(period)
        times = {"start": rfc3339(month.starts_at), "end": rfc3339(month.ends_at)}
        return [Used(*row) for row in self._rows(USED_BY, {"user": user, "period": period, **times})]

    def used_after(self, place: int, most: int) -> Stretch:
        last = self._rows(LAST, {})[0][0]
        end = min(last, place + most)
        return Stretch(end, last, [Used(*row) for row in self._rows(USED_AFTER, {"place": place, "end": end})])

    def _rows(self, statement: str, values: Mapping[str, Any]) -> Sequence[Row]:
        return rows_of(self._connection, self._address, statement, values)


@contextmanager
def open_usage(rest: str) -> Iterator[PostgresUsage]:
    """The ledger at `postgresql:` + `rest`, read-only, for the length of a `with`. Raises StoreError."""
    address = located(rest)
    with connected(address) as connection:
        with named(address):
            see_one_moment(connection)
        yield PostgresUsage(connection, address)
