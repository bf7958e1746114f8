"""Where a journal's next segment comes from: a disk, which may have no room for it."""

from math import inf
from pathlib import Path
from typing import Final

from gatewayd.clock import Clock
from gatewayd.stores.journal.segment import Segment

RETRY_SECONDS: Final = 0.1
"""How long a disk that refused a segment is not asked again."""


class Supply:
    """Of a journal's directory. Mutable: it remembers how it was refused last."""

    def __init__(self, directory: Path, size: int, clock: Clock) -> None:
        self._directory = directory
        self._size = size
        self._clock = clock
        self._retry_at = -inf
        self._failure: tuple[object, ...] = ()

    def segment(self, number: int) -> Segment:
        """A new one. Raises OSError.

        The disk is not asked for every request while it refuses: that costs a hundred times the request's entry.
        """
        if self._clock.monotonic() < self._retry_at:
            raise OSError(*self._failure)
        try:
            return Segment(self._directory, number, self._size)
        except OSError as error:
            self._failure = error.args
            self._retry_at = self._clock.monotonic() + RETRY_SECONDS
            raise
