"""Writing operators' decisions into a ledger file, beside a running daemon or before its first start."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from gatewayd.errors import StoreError
from gatewayd.model import Revocation
from gatewayd.stores.sqlite import schema
from gatewayd.stores.sqlite.leasing import FREE_UNITS
from gatewayd.stores.sqlite.opening import located, locked, make_directory

PATIENCE_SECONDS: Final = 5.0

# Each with a version of its own, which NEXT_VERSION made in the same transaction.
WRITE_PLAN: Final = (
    "INSERT INTO accounts (user_id, plan, changed) SELECT ?, ?, value FROM ledger_meta WHERE key = 'directory' "
    "ON CONFLICT (user_id) DO UPDATE SET plan = excluded.plan, changed = excluded.changed"
)
WRITE_REVOCATION: Final = (
    "INSERT INTO revocations (kind, subject, issued_until, changed) "
    "SELECT ?, ?, ?, value FROM ledger_meta WHERE key = 'directory' ON CONFLICT (kind, subject) DO UPDATE "
    "SET issued_until = max(issued_until, excluded.issued_until), changed = excluded.changed"
)
SELECT_UNITS: Final = "SELECT coalesce(sum(units), 0) FROM usage_leases WHERE node = ?"
NEXT_VERSION: Final = "UPDATE ledger_meta SET value = CAST(CAST(value AS INTEGER) + 1 AS TEXT) WHERE key = 'directory'"


class SqliteClerk:
    """See `reading.Clerk`. Each write is a short transaction between those of the daemon."""

    def __init__(self, connection: sqlite3.Connection, file: Path) -> None:
        self._connection = connection
        self._file = file

    def assign(self, user_id: str, plan: str) -> None:
        self._write(WRITE_PLAN, (user_id, plan))

    def revoke(self, revocation: Revocation) -> None:
        self._write(WRITE_REVOCATION, revocation)

    def release(self, node: str) -> int:
        """A file is one daemon's, which frees by itself what another had left; so none may run."""
        lock = locked(self._file)
        try:
            with schema.named(self._file), schema.transaction(self._connection):
                (units,) = self._connection.execute(SELECT_UNITS, (node,)).fetchone()
                self._connection.execute(FREE_UNITS, (node,))
                self._connection.execute("DELETE FROM usage_leases WHERE node = ?", (node,))
                return int(units)
        finally:
            os.close(lock)

    def _write(self, statement: str, values: tuple[str | float, ...]) -> None:
        try:
            with schema.named(self._file), schema.transaction(self._connection):
                self._connection.execute(NEXT_VERSION)
                self._connection.execute(statement, values)
        except UnicodeEncodeError as error:
            raise StoreError("this name is not Unicode: write it in UTF-8") from error


@contextmanager
def open_clerk(rest: str) -> Iterator[SqliteClerk]:
    """The ledger named after `sqlite:`, made if it is missing, for the length of a `with`. Raises StoreError."""
    file = located(rest)
    make_directory(file)
    with schema.named(file):
        connection = sqlite3.connect(file, timeout=PATIENCE_SECONDS, isolation_level=None)
    with closing(connection):
        with schema.named(file):
            if schema.examine(connection, file):
                schema.create(connection)
            schema.check_current(connection, file)
        yield SqliteClerk(connection, file)
