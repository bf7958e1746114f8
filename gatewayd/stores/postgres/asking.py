"""Plain connections for commands, which have no event loop and may wait; for a server that works, that is."""

import select
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Any, Final

import psycopg2
from psycopg2.extensions import POLL_OK, POLL_READ, set_wait_callback
from psycopg2.extensions import connection as Connection  # noqa: N812

from gatewayd.stores.postgres import schema
from gatewayd.stores.postgres.address import Address, in_words
from gatewayd.stores.postgres.connection import Row

SILENCE_SECONDS: Final = 5.0
"""When a server has said nothing for so long, it is asked whether it still takes connections."""


@contextmanager
def named(address: Address) -> Iterator[None]:
    """Turns the driver's errors into a StoreError that names the ledger and how to mend it."""
    try:
        yield
    except psycopg2.Error as error:
        raise in_words(address, error) from error


@contextmanager
def connected(address: Address) -> Iterator[Connection]:
    """A connection for the length of a `with`; what was not committed then is undone. Raises StoreError.

    A long answer is waited for; one that does not come because the server stands still ends in the driver's error.
    """
    with named(address):
        connection = psycopg2.connect(**address.parameters)
    with closing(connection), _watched(address):
        yield connection


@contextmanager
def _watched(address: Address) -> Iterator[None]:
    """The driver waits for answers as told here; it has one such rule for all connections of the process."""

    def wait(connection: Connection) -> None:
        while (state := connection.poll()) != POLL_OK:
            poll = select.poll()
            poll.register(connection, select.POLLIN if state == POLL_READ else select.POLLOUT)
            if not poll.poll(SILENCE_SECONDS * 1000):
                set_wait_callback(None)
                # It may be busy with this very statement; connecting has a limit of its own (connect_timeout).
                psycopg2.connect(**address.parameters).close()
                set_wait_callback(wait)

    set_wait_callback(wait)
    try:
        yield
    finally:
        set_wait_callback(None)


def see_one_moment(connection: Connection) -> None:
    """Everything it is asked from now on is of the moment of the first question; it can write nothing."""
    connection.set_session(isolation_level="REPEATABLE READ", readonly=True)


def rows_of(connection: Connection, address: Address, statement: str, values: Any = None) -> Sequence[Row]:
    """All that a statement tells. Raises StoreError."""
    with named(address), connection.cursor() as cursor:
        cursor.execute(statement, values)
        rows: list[Row] = cursor.fetchall()
    return rows


def examined(connection: Connection, address: Address) -> int:
    """The schema of the ledger that is there, 0 if there is none. Raises StoreError and the driver's errors."""
    with connection.cursor() as cursor:
        cursor.execute(schema.EXAMINE, (list(schema.TABLES),))
        found = cursor.fetchone()
        if not schema.examine(address.name, found):
            return 0
        cursor.execute(schema.SELECT_VERSION)
        return schema.judge(address.name, found, cursor.fetchall())
