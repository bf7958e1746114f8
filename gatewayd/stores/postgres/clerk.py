"""Writing operators' decisions into the ledger, beside running daemons or before the first start of any."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from psycopg2.extensions import connection as Connection  # noqa: N812

from gatewayd.errors import StoreError
from gatewayd.model import Revocation
from gatewayd.stores.postgres import schema
from gatewayd.stores.postgres.address import Address, located
from gatewayd.stores.postgres.asking import connected, examined, named
from gatewayd.stores.postgres.storable import fault

PATIENCE: Final = "SET statement_timeout = '10s'; SET lock_timeout = '5s'; SET synchronous_commit = on; COMMIT"

# Each with a version of its own, which NEXT_VERSION made in the same transaction: its lock puts them in a row, so
# that whoever sees one sees all before it.
WRITE_PLAN: Final = (
    "INSERT INTO accounts (user_id, plan, changed) "
    "SELECT %s, %s, value::bigint FROM ledger_meta WHERE key = 'directory' "
    "ON CONFLICT (user_id) DO UPDATE SET plan = excluded.plan, changed = excluded.changed"
)
WRITE_REVOCATION: Final = (
    "INSERT INTO revocations (kind, subject, issued_until, changed) "
    "SELECT %s, %s, %s, value::bigint FROM ledger_meta WHERE key = 'directory' ON CONFLICT (kind, subject) DO UPDATE "
    "SET issued_until = greatest(revocations.issued_until, excluded.issued_until), changed = excluded.changed"
)
NEXT_VERSION: Final = "UPDATE ledger_meta SET value = (value::bigint + 1)::text WHERE key = 'directory'"
# A daemon that is there answers, however little it has to give back.
ASK: Final = "UPDATE usage_leases SET asked = asked + 1 WHERE node = %s"
SELECT_UNANSWERED: Final = "SELECT count(*) FROM usage_leases WHERE node = %s AND asked > answered"
# In the order in which daemons lock rows: balances first.
LOCK_BALANCES: Final = """
    SELECT FROM usage_balances AS balance
        JOIN (SELECT * FROM usage_leases WHERE node = %s) AS lease USING (user_id, unit, period)
        ORDER BY user_id, unit, period FOR UPDATE OF balance
"""
RELEASE: Final = """
    WITH gone AS (DELETE FROM usage_leases WHERE node = %s RETURNING user_id, unit, period, units),
    freed AS (
        UPDATE usage_balances AS balance SET held = held - units FROM gone
        WHERE balance.user_id = gone.user_id AND balance.unit = gone.unit AND balance.period = gone.period
    )
    SELECT coalesce(sum(units), 0)::bigint FROM gone
"""
ANSWER_SECONDS: Final = 3.0
"""A daemon that has the ledger looks for questions ten times a second."""
_PAUSE: Final = 0.1


class PostgresClerk:
    """See `reading.Clerk`. Each write is a transaction of its own."""

    def __init__(self, connection: Connection, address: Address) -> None:
        self._connection = connection
        self._address = address

    def assign(self, user_id: str, plan: str) -> None:
        self._write(WRITE_PLAN, (user_id, plan))

    def revoke(self, revocation: Revocation) -> None:
        self._write(WRITE_REVOCATION, revocation)

    def release(self, node: str) -> int:
        if reason := fault([node]):
            raise StoreError(f"no daemon is called so ({reason}): correct it")
        with named(self._address):
            asked = self._run(ASK, node)
            until = time.monotonic() + ANSWER_SECONDS
            while asked and time.monotonic() < until:
                if self._run(SELECT_UNANSWERED, node) < asked:
                    raise StoreError(f"daemon {node} answers: stop it, and it gives back what it has by itself")
                time.sleep(_PAUSE)
            self._run(LOCK_BALANCES, node, commit=False)
            return self._run(RELEASE, node)

    def _run(self, statement: str, node: str, *, commit: bool = True) -> int:
        """The number that it tells, or of rows that it changed."""
        with self._connection.cursor() as cursor:
            cursor.execute(statement, (node,))
            row = cursor.fetchone() if cursor.description else None
            if commit:
                self._connection.commit()
            return int(row[0]) if row else cursor.rowcount

    def _write(self, statement: str, values: Sequence[str | float]) -> None:
        if reason := fault(value for value in values if isinstance(value, str)):
            raise StoreError(f"this name cannot be stored ({reason}): correct it")
        with named(self._address), self._connection, self._connection.cursor() as cursor:
            cursor.execute(NEXT_VERSION)
            cursor.execute(statement, tuple(values))


@contextmanager
def open_clerk(rest: str) -> Iterator[PostgresClerk]:
    """The ledger at `postgresql:` + `rest`, its tables made if there are none, for the length of a `with`.

    Raises StoreError; also for a ledger that only the daemon may bring up to date.
    """
    address = located(rest)
    with connected(address) as connection:
        with named(address), connection.cursor() as cursor:
            cursor.execute(PATIENCE)
            cursor.execute(schema.LOCK)
            version = examined(connection, address)
            if 0 < version < schema.VERSION:
                raise StoreError(f"ledger {address.name} is of an older gatewayd: start the daemon once")
            cursor.execute(schema.script(version), (str(schema.VERSION),))
        yield PostgresClerk(connection, address)
