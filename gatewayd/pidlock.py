"""A file that one process holds for its life, and that names it to those who come later."""

import fcntl
import os


def take(lock: int) -> str | None:
    """Lock the open file for this process; the process that has it instead, if one has.

    The kernel frees it when its holder dies, however it dies.
    """
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return os.read(lock, 20).decode("ascii", "replace").strip()
    os.ftruncate(lock, 0)
    os.write(lock, f"{os.getpid()}\n".encode("ascii"))
    return None
