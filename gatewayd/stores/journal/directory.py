"""The directories that journals live in: one each, held by its owner, dealt with by others once the owner is dead."""

import errno
import os
import re
import shutil
import time
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from gatewayd import pidlock
from gatewayd.errors import StoreError

STATE_DIR_HINT: Final = "server.state_dir must be a directory that is open to the daemon's user"
NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_LOCK: Final = "lock"
_SETTLED: Final = ".settled"
_NAME: Final = re.compile(r"\d{20}-\d+")  # when it was opened, in nanoseconds, and by which process


class Lock:
    """A journal's lock, until it is released or its holder dies. A forked child would hold it too."""

    def __init__(self, path: Path, flags: int = 0) -> None:
        """Open it, not yet taken. Raises OSError."""
        self._file = os.open(path, os.O_RDWR | os.O_CLOEXEC | flags, 0o600)

    def take(self) -> bool:
        """Whether this process holds it now, and it still is the lock of a journal. Raises OSError."""
        try:
            owner = pidlock.take(self._file)
        except OSError as error:
            if error.errno not in NO_ROOM:
                raise
            owner = None  # it is locked: no more than the holder's name is missing, and shipping makes room
        return owner is None and os.fstat(self._file).st_nlink > 0

    def release(self) -> None:
        """Let it go; again is harmless."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.release()


def create(root: Path) -> tuple[Path, Lock]:
    """Make a directory for a journal, locked. Raises OSError."""
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    _sweep(root)
    name = f"{time.time_ns():020d}-{os.getpid()}"
    draft = root / f".{name}"
    draft.mkdir(mode=0o700)
    lock = Lock(draft / _LOCK, os.O_CREAT)
    lock.take()
    # It gets its name when it is locked: nobody ever takes a journal for a dead one that is just being made.
    return draft.rename(root / name), lock


def names(root: Path) -> list[str]:
    """The journals that there are, oldest first; damaged ones that were set aside are left out. Raises StoreError."""
    try:
        return sorted(path.name for path in root.iterdir() if _NAME.fullmatch(path.name))
    except FileNotFoundError:
        return []
    except OSError as error:
        raise _unusable("journals", root, error) from error


def take_over(directory: Path) -> Lock | None:
    """The lock of a journal whose owner is dead; None while it lives, or if the journal is gone. Raises StoreError."""
    try:
        lock = Lock(directory / _LOCK)
        if lock.take():
            return lock
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _unusable("journal", directory, error) from error
    lock.release()
    return None


def discard(directory: Path) -> None:
    """Delete a journal of which everything is in the ledger, in one step as others see it. Raises StoreError."""
    try:
        settled = directory.rename(directory.with_name(f".{directory.name}{_SETTLED}"))
    except FileNotFoundError:
        return
    except OSError as error:
        raise _unusable("journal", directory, error) from error
    shutil.rmtree(settled, ignore_errors=True)  # what is left of it, the next journal's opening sweeps away


def set_aside(directory: Path) -> Path:
    """Keep a journal that cannot be read to its end, for an operator to look at; its new path. Raises StoreError."""
    try:
        return directory.rename(directory.with_name(f"{directory.name}.damaged"))
    except OSError as error:
        raise _unusable("journal", directory, error) from error


def _sweep(root: Path) -> None:
    for settled in root.glob(f".*{_SETTLED}"):
        shutil.rmtree(settled, ignore_errors=True)


def reason(error: OSError) -> str:
    """Why it could not be done, in words."""
    return "not a directory" if isinstance(error, FileExistsError | NotADirectoryError) else f"{error.strerror}"


def _unusable(what: str, path: Path, error: OSError) -> StoreError:
    return StoreError(f"{what} {path} cannot be used ({reason(error)}): {STATE_DIR_HINT}")
