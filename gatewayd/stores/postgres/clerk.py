"""Writing operators' decisions into the ledger, beside running daemons or before the first start of any."""

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

WRITE_PLAN: Final = "INSERT INTO accounts VALUES (%s, %s) ON CONFLICT (user_id) DO UPDATE SET plan = excluded.plan"
WRITE_REVOCATION: Final = (
    "INSERT INTO revocations VALUES (%s, %s, %s) ON CONFLICT (kind, subject) DO UPDATE "
    "SET issued_until = greatest(revocations.issued_until, excluded.issued_until)"
)
NEXT_VERSION: Final = "UPDATE ledger_meta SET value = (value::bigint + 1)::text WHERE key = 'directory'"


class PostgresClerk:
    """See `reading.Clerk`. Each write is a transaction of its own."""

    def __init__(self, connection: Connection, address: Address) -> None:
        self._connection = connection
        self._address = address

    def assign(self, user_id: str, plan: str) -> None:
        self._write(WRITE_PLAN, (user_id, plan))

    def revoke(self, revocation: Revocation) -> None:
        self._write(WRITE_REVOCATION, revocation)

    def _write(self, statement: str, values: Sequence[str | float]) -> None:
        if reason := fault(value for value in values if isinstance(value, str)):
            raise StoreError(f"this name cannot be stored ({reason}): correct it")
        with named(self._address), self._connection, self._connection.cursor() as cursor:
            cursor.execute(statement, tuple(values))
            cursor.execute(NEXT_VERSION)


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
