"""The directory that a daemon keeps its things in: made, writable, and one daemon's alone."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from gatewayd import pidlock
from gatewayd.errors import StartError

_CHILDRENS_PATIENCE: Final = 5.0
_PAUSE: Final = 0.01


@contextmanager
def occupied(path: Path, lock: int | None = None) -> Iterator[int]:
    """Make the directory, for this user alone, and keep other daemons out of it for the length of a `with`.

    Raises StartError if it cannot be written or another daemon is in it. The kernel opens it again when its holder
    dies, however it dies. `lock` is one that this process holds already; gives the one that it holds.
    """
    mine = lock is not None
    lock = lock if lock is not None else _open_lock(path)
    try:
        if not mine:
            _take(lock, path)
        yield lock
    finally:
        os.close(lock)


def _open_lock(path: Path) -> int:
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        return os.open(path / "gatewayd.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        isnt = isinstance(error, FileExistsError | NotADirectoryError)
        reason = "it is not a directory" if isnt else error.strerror
        raise StartError(f"server.state_dir: cannot write to {path}: {reason}") from None


def _take(lock: int, path: Path) -> None:
    if (owner := _owner(lock)) is not None:
        hint = "stop that one, or name another server.state_dir"
        raise StartError(f"another gatewayd (process {owner}) runs in {path}: {hint}")


def _owner(lock: int) -> str | None:
    """Who has it, if not we. Children of one that was killed have it for the moment that they take to end."""
    deadline = time.monotonic() + _CHILDRENS_PATIENCE
    while (owner := pidlock.take(lock)) is not None and _is_dead(owner) and time.monotonic() < deadline:
        os.lseek(lock, 0, os.SEEK_SET)
        time.sleep(_PAUSE)
    return owner


def _is_dead(pid: str) -> bool:
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except (ValueError, OSError):
        pass
    return False
