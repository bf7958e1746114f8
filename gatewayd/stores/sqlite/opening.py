"""From a path to a connection that may write: directory, lock, checks, tables, durability."""

import os
import sqlite3
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote

from gatewayd import pidlock
from gatewayd.errors import StoreError
from gatewayd.model import Durability
from gatewayd.stores.sqlite import schema

# In WAL mode a commit reaches the kernel either way, which survives `kill -9`; FULL also waits for the disk.
SYNCHRONOUS: Final = {"process": "NORMAL", "disk": "FULL"}
BUSY_SECONDS: Final = 0.5
WAL_BYTES: Final = 64 * 1024 * 1024
CHECKPOINT_PAGES: Final = 4_000
"""Written, 16 MiB, before they go from the log into the file; pages that are written again and again go there once."""
CACHE_KIB: Final = 8 * 1024
"""A thousand accounts' pages, one of each index; SQLite's own 2 MiB had most of them read again."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A ledger file in this process's hands: nobody else writes to it until `close`."""

    file: Path
    connection: sqlite3.Connection
    lock: int
    identity: tuple[int, int]

    def check(self) -> None:
        """Raises sqlite3.Error while the file is not in its place: what is written to it now, nobody would find."""
        try:
            found = _identity(self.file)
        except OSError as error:
            raise sqlite3.OperationalError(f"it is not in its place: {error.strerror}") from error
        if found != self.identity:
            raise sqlite3.OperationalError("another file was put in its place: start the daemon again")

    def close(self) -> None:
        # A file at rest is one plain file, which a reader can open without making a `-wal` beside it.
        with suppress(sqlite3.Error):
            self.connection.execute("PRAGMA journal_mode = DELETE")
        self.connection.close()
        os.close(self.lock)


def located(path: str) -> Path:
    """The file that an address names. `//host/...` is refused: whoever wrote it meant something else."""
    if not path or (path.startswith("//") and not path.startswith("///")):
        raise StoreError("ledger.url: write sqlite:PATH, for instance sqlite:var/gatewayd.db")
    return Path(path).resolve()


def open_file(path: str, durability: Durability) -> Opened:
    """Take the ledger at `path` for writing, made if it is missing. Raises StoreError; overwrites nothing."""
    file = located(path)
    lock = locked(file)
    try:
        with schema.named(file):
            return Opened(file, _connect(file, durability), lock, _identity(file))
    except BaseException:
        os.close(lock)
        raise


def _identity(file: Path) -> tuple[int, int]:
    found = file.stat()
    return found.st_dev, found.st_ino


def _connect(file: Path, durability: Durability) -> sqlite3.Connection:
    connection = sqlite3.connect(file, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    try:
        empty = schema.examine(connection, file)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA journal_size_limit = {WAL_BYTES}")
        connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
        connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
        connection.execute(f"PRAGMA synchronous = {SYNCHRONOUS[durability]}")
        if empty:
            schema.create(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def open_glance(file: Path) -> sqlite3.Connection:
    """A second connection, to look something up beside the thread that writes; it waits for nobody."""
    return sqlite3.connect(f"file:{quote(str(file))}?mode=rw", uri=True, isolation_level=None, timeout=0)


def make_directory(file: Path) -> None:
    """Make the directory that the file is in, if it is missing. Raises StoreError."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unopened(file, error) from error


def _unopened(file: Path, error: OSError) -> StoreError:
    hint = "its directory must be open to the daemon's user"
    return StoreError(f"ledger {file} cannot be opened ({error.strerror}): {hint}")


def locked(file: Path) -> int:
    """The file's lock, held until it is closed. Raises StoreError if another daemon has it."""
    make_directory(file)
    try:
        lock = os.open(f"{file}.lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise _unopened(file, error) from error
    if (owner := pidlock.take(lock)) is not None:
        os.close(lock)
        hint = "stop that one, or name another file in ledger.url"
        raise StoreError(f"ledger {file} is in use by another gatewayd (process {owner}): {hint}")
    return lock
