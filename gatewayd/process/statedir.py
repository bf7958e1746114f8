"""The directory that a daemon keeps its things in: made, writable, and one daemon's alone."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gatewayd import pidlock
from gatewayd.errors import StartError


@contextmanager
def occupied(path: Path) -> Iterator[None]:
    """Make the directory, for this user alone, and keep other daemons out of it for the length of a `with`.

    Raises StartError if it cannot be written or another daemon is in it. The kernel opens it again when its holder
    dies, however it dies.
    """
    lock = _open_lock(path)
    try:
        _take(lock, path)
        yield
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
    if (owner := pidlock.take(lock)) is not None:
        hint = "stop that one, or name another server.state_dir"
        raise StartError(f"another gatewayd (process {owner}) runs in {path}: {hint}")
