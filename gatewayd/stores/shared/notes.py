"""What the workers of a daemon leave in their shared memory for those who are made after them."""

from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import blake2b
from struct import Struct
from typing import Final, NamedTuple

from gatewayd.stores.shared.memory import SharedMemory

_LAYOUT: Final = Struct("=4d16s8s")  # NOTES words


class Noted(NamedTuple):
    """What is known of a server of counters. Times are monotonic seconds.

    `daemons` is 0 and `epoch` (at most 16 bytes) empty until anybody heard anything; `shared_until` is when the last of
    the others was given up, if there were any. `floor_since`: what the server does not know was used up then, at worst;
    `mirror_since`: what others took before then is unknown here too.
    """

    daemons: int = 0
    shared_until: float | None = None
    floor_since: float | None = None
    mirror_since: float | None = None
    epoch: str = ""


class SharedNotes:
    """Of a daemon that counts at `url`: a worker that is made while nobody else can say goes by them.

    Raises OSError if the memory cannot be locked.
    """

    def __init__(self, memory: SharedMemory, url: str) -> None:
        self._memory = memory
        self._server = blake2b(url.encode(), key=memory.secret, digest_size=8).digest()

    def noted(self) -> Noted:
        """What was noted last. Of another server only how many daemons there are: there, all begins anew."""
        with self._alone():
            daemons, shared, floor, mirror, epoch, server = _LAYOUT.unpack_from(self._memory.notes)
        if server != self._server:
            return Noted(int(daemons))
        return Noted(int(daemons), shared or None, floor or None, mirror or None, epoch.rstrip(b"\0").decode())

    def note(self, noted: Noted) -> None:
        """Leave it for workers to come."""
        daemons, *times, epoch = noted
        numbers = (daemons, *(time or 0.0 for time in times))
        with self._alone():
            _LAYOUT.pack_into(self._memory.notes, 0, *numbers, epoch.encode(), self._server)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Nobody sees half of a note. The lock is that of a bucket behind the last."""
        notes = [self._memory.buckets]
        self._memory.lock(notes)
        try:
            yield
        finally:
            self._memory.unlock(notes)
