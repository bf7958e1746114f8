"""Reading the ledger from outside the daemon, whether one runs or not; writes nothing, makes nothing."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

from psycopg2.extensions import connection as Connection  # noqa: N812

from gatewayd.errors import StoreError
from gatewayd.model import Account, Balance, Directory
from gatewayd.stores.chain import RecordRow
from gatewayd.stores.numbering import DECISIONS, end_of, misnumbered_decisions
from gatewayd.stores.postgres import inquiry, schema
from gatewayd.stores.postgres.address import Address, located
from gatewayd.stores.postgres.asking import connected, examined, named, rows_of, see_one_moment
from gatewayd.stores.postgres.connection import Row
from gatewayd.stores.postgres.storable import fault
from gatewayd.stores.reading import NodeLeases

ROWS_AT_ONCE: Final = 5_000

SELECT_RECORDS: Final = """
    SELECT id, user_id, plan, agent, route, unit, quantity, outcome, status, started_at, ended_at, bytes_in, bytes_out,
        chain FROM usage_records ORDER BY seq
"""
SELECT_END: Final = "SELECT value FROM ledger_meta WHERE key IN ('head', 'records') ORDER BY key"
SELECT_LAST_PLANS: Final = "SELECT DISTINCT ON (user_id) user_id, plan FROM usage_records ORDER BY user_id, seq DESC"
SELECT_LEASED: Final = """
    SELECT user_id, unit, period, held, (
        SELECT coalesce(sum(units), 0)::bigint FROM usage_leases AS lease
        WHERE lease.user_id = balance.user_id AND lease.unit = balance.unit AND lease.period = balance.period
    ) FROM usage_balances AS balance
    UNION ALL SELECT user_id, unit, period, 0, sum(units)::bigint FROM usage_leases AS lease WHERE NOT EXISTS (
        SELECT FROM usage_balances AS balance
        WHERE lease.user_id = balance.user_id AND lease.unit = balance.unit AND lease.period = balance.period
    ) GROUP BY user_id, unit, period
"""
# The next record's number is how many there are, so one above that would be in its way.
SELECT_MISPLACED: Final = """
    SELECT id, seq, place FROM (SELECT id, seq, row_number() OVER (ORDER BY seq) AS place FROM usage_records) AS placed
    WHERE seq <> place ORDER BY seq LIMIT 1
"""
SELECT_NODES: Final = """
    SELECT node, count(*), sum(units)::bigint, sum(in_flight)::bigint FROM usage_leases
    WHERE units > 0 OR in_flight > 0 GROUP BY node ORDER BY node
"""


class PostgresReader:
    """See `reading.LedgerReader`: everything it tells is of the one moment at which it was opened."""

    def __init__(self, connection: Connection, address: Address) -> None:
        self._connection = connection
        self._address = address

    def balances(self, *, user_id: str | None = None, period: str | None = None) -> Sequence[Balance]:
        if fault(text for text in (user_id, period) if text is not None):
            return []
        values = {"user": user_id, "period": period, "but": ""}
        return [Balance(*row) for row in self._rows(inquiry.SELECT_BALANCES, values)]

    def records(self) -> Iterator[RecordRow]:
        with named(self._address), self._connection.cursor("records") as cursor:
            cursor.itersize = ROWS_AT_ONCE
            cursor.execute(SELECT_RECORDS)
            for row in cursor:
                yield RecordRow(*row)

    def end(self) -> tuple[int, str]:
        return end_of(self._rows(SELECT_END), self._address.name)

    def directory(self) -> Directory:
        return inquiry.directory_of(self._rows(inquiry.SELECT_DIRECTORY))

    def last_plans(self) -> Mapping[str, str]:
        return dict(self._rows(SELECT_LAST_PLANS))

    def leased(self) -> Mapping[Account, tuple[int, int]]:
        return {Account(*row[:3]): (row[3], row[4]) for row in self._rows(SELECT_LEASED)}

    def misnumbered(self) -> Sequence[str]:
        misplaced = [
            f"record {record}: seq is {seq}, it is the {place}. of the chain"
            for record, seq, place in self._rows(SELECT_MISPLACED)
        ]
        return [*misplaced, *misnumbered_decisions(self._rows(DECISIONS))]

    def nodes(self) -> Sequence[NodeLeases]:
        return [NodeLeases(*row) for row in self._rows(SELECT_NODES)]

    def _rows(self, statement: str, values: Any = None) -> Sequence[Row]:
        return rows_of(self._connection, self._address, statement, values)


@contextmanager
def open_reader(rest: str) -> Iterator[PostgresReader]:
    """The ledger at `postgresql:` + `rest`, read-only, for the length of a `with`. Raises StoreError."""
    address = located(rest)
    with connected(address) as connection:
        with named(address):
            see_one_moment(connection)
            version = examined(connection, address)
        if version < schema.VERSION:
            what = "is of an older gatewayd" if version else "is empty"
            raise StoreError(f"ledger {address.name} {what}: start the daemon once, or correct ledger.url")
        yield PostgresReader(connection, address)
