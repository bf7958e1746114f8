"""A piece of memory that a daemon's processes share by inheriting it over fork, with a lock for each part of it."""

import fcntl
import mmap
import os
import secrets
from collections.abc import Mapping, Sequence
from typing import Any, Final

from gatewayd.errors import StoreError

# The parts of a bucket, in bytes, after the keys. A table is nothing but buckets, each with room for SLOTS keys.
SLOTS: Final = 64
KEY_BYTES: Final = 24
STATE_BYTES: Final = 24
MOMENTS: Final = SLOTS * KEY_BYTES
TURNS: Final = MOMENTS + SLOTS * 8
STATES: Final = TURNS + SLOTS
BUCKET_BYTES: Final = STATES + SLOTS * 2 * STATE_BYTES

NOTES: Final = 7
"""Words that processes leave for each other, behind the buckets; all 0 at first."""

CAPACITY: Final = 131_072
SECRET_BYTES: Final = 32


def size_of(buckets: int) -> int:
    """In bytes, with the notes."""
    return buckets * BUCKET_BYTES + NOTES * 8


class SharedMemory:
    """Zeroed at first, of one size for ever, gone with the last process that inherited it.

    Locks are the kernel's (fcntl(2), one byte of the file stands for a bucket), which frees those of a process that
    dies. They are held against other processes, not against other threads: one thread of a process takes them, and
    keeps them for microseconds, since who waits for one does nothing else.

    A process that is the only one to use the memory may `keep` all buckets. Then it locks none of them, and what it
    saw in a bucket holds for as long as `settled` has the same object there: nobody else writes, and it has neither
    moved a key of the bucket nor given one another limit. Where it is None, nothing holds without the lock. `latest`
    is who took last in a bucket, if that has the numbers that it left there.
    """

    def __init__(self, fd: int, buckets: int, secret: bytes = b"") -> None:
        self.buckets = buckets
        self.secret = secret or secrets.token_bytes(SECRET_BYTES)
        self.bytes = mmap.mmap(fd, size_of(buckets))
        self._view = memoryview(self.bytes)
        self.doubles = self._view.cast("d")
        self.words = self._view.cast("Q")
        self.notes = self.doubles[-NOTES:]
        self.fd = fd
        self.kept = False
        self.settled: list[object | None] = [None] * buckets
        self.latest: list[object | None] = [None] * buckets

    def handed_over(self) -> dict[str, Any]:
        """What it takes to have the same table in another program: `fd`, `buckets`, and the secret in hex."""
        return {"fd": self.fd, "buckets": self.buckets, "secret": self.secret.hex()}

    @classmethod
    def taken_over(cls, parts: Mapping[str, Any]) -> "SharedMemory":
        """The table that another program of this process had; an older one may have had fewer notes."""
        os.posix_fallocate(parts["fd"], 0, size_of(parts["buckets"]))
        return cls(parts["fd"], parts["buckets"], bytes.fromhex(parts["secret"]))

    @classmethod
    def create(cls, capacity: int = CAPACITY) -> "SharedMemory":
        """Room for `capacity` keys, rounded up to whole buckets. Raises StoreError if there is no such memory."""
        if capacity < 1:
            raise ValueError("a capacity must be at least 1")
        buckets = -(-capacity // SLOTS)
        fd = os.memfd_create("gatewayd-counters", os.MFD_CLOEXEC)
        try:
            # Set aside now: memory that is found missing at the first use of a page is a SIGBUS.
            os.posix_fallocate(fd, 0, size_of(buckets))
            return cls(fd, buckets)
        except OSError as error:
            os.close(fd)
            size = -(-size_of(buckets) // 2**20)
            raise StoreError(f"counters.url: memory: needs {size} MiB of shared memory: {error.strerror}") from error

    def keep(self) -> bool:
        """Have all buckets until `share`, the end of this process at the latest, if nobody else has any of them now.

        Others wait for as long as that: see to it that there are none. Never waits; whether it has them.
        """
        if not self.kept:
            try:
                fcntl.lockf(self.fd, fcntl.LOCK_EX | fcntl.LOCK_NB, self.buckets, 0)
            except OSError:
                return False
            self.kept = True
            self.settled = [object() for _ in range(self.buckets)]
        return True

    def share(self) -> None:
        """Let others have the buckets, as it was before `keep`. Raises OSError."""
        self.kept = False
        self.settled = [None] * self.buckets
        fcntl.lockf(self.fd, fcntl.LOCK_UN, self.buckets, 0)

    def unsettle(self, bucket: int) -> None:
        """What was seen there may be different from now on; whoever calls has the bucket locked."""
        if self.settled[bucket] is not None:
            self.settled[bucket] = object()

    def lock(self, buckets: Sequence[int]) -> None:
        """Wait until no other process has any of these buckets. They are in ascending order, so none waits in a ring.

        Raises OSError; what was locked then is freed by `unlock` of the same.
        """
        for bucket in buckets:
            if not self.kept or bucket >= self.buckets:
                fcntl.lockf(self.fd, fcntl.LOCK_EX, 1, bucket)

    def unlock(self, buckets: Sequence[int]) -> None:
        """Let others have the buckets; those that are not locked stay so, and those that are kept stay kept."""
        for bucket in buckets:
            if not self.kept or bucket >= self.buckets:
                fcntl.lockf(self.fd, fcntl.LOCK_UN, 1, bucket)

    def close(self) -> None:
        """Give this process's share of it back; a repeat is harmless."""
        if self.fd < 0:
            return
        self.notes.release()
        self.doubles.release()
        self.words.release()
        self._view.release()
        self.bytes.close()
        os.close(self.fd)
        self.fd = -1
        self.kept = False
        self.settled = [None] * self.buckets
