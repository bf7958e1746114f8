"""Plain connections for commands, which have no event loop and may wait."""

from collections.abc import Iterator
from contextlib import closing, contextmanager

import psycopg2
from psycopg2.extensions import connection as Connection  # noqa: N812

from gatewayd.stores.postgres import schema
from gatewayd.stores.postgres.address import Address, in_words


@contextmanager
def named(address: Address) -> Iterator[None]:
    """Turns the driver's errors into a StoreError that names the ledger and how to mend it."""
    try:
        yield
    except psycopg2.Error as error:
        raise in_words(address, error) from error


@contextmanager
def connected(address: Address) -> Iterator[Connection]:
    """A connection for the length of a `with`; what was not committed then is undone. Raises StoreError."""
    with named(address):
        connection = psycopg2.connect(**address.parameters)
    with closing(connection):
        yield connection


def examined(connection: Connection, address: Address) -> int:
    """The schema of the ledger that is there, 0 if there is none. Raises StoreError and the driver's errors."""
    with connection.cursor() as cursor:
        cursor.execute(schema.EXAMINE, (list(schema.TABLES),))
        found = cursor.fetchone()
        if not schema.examine(address.name, found):
            return 0
        cursor.execute(schema.SELECT_VERSION)
        return schema.judge(address.name, found, cursor.fetchall())
