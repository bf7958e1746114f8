"""Which segments of a journal are still needed, and the deleting of those that are not."""

import logging
from pathlib import Path
from typing import Final

from gatewayd.stores.journal.frames import Position
from gatewayd.stores.journal.segment import FIRST, START, path_of

logger = logging.getLogger(__name__)

DELETED: Final = 4
"""Segments that are deleted at a time: each costs the event loop about a millisecond."""


class Retention:
    """Mutable: the memory of what the ledger has, and of what a reader that starts anew would miss.

    A segment is needed until the ledger has all of it, no intent in it is open, and the ledger has the conclusions of
    those that were: without its intent, a conclusion says nothing.
    """

    def __init__(self, directory: Path) -> None:
        self.oldest = FIRST
        self.shipped = Position(FIRST, START)
        self._directory = directory
        self._reaches: dict[int, int] = {}  # by segment, the oldest one that has an intent concluded in it
        self._failing = False

    def concluded(self, begun: int, ended: int) -> None:
        """An intent of segment `begun` was concluded in segment `ended`."""
        if begun < ended:
            self._reaches[ended] = min(begun, self._reaches.get(ended, begun))

    def ship(self, position: Position, end: Position) -> None:
        """The ledger has everything before the position; the journal ends at `end`."""
        self.shipped = max(self.shipped, position)
        everything = self.shipped == end
        done = [number for number in self._reaches if everything or number < self.shipped.segment]
        for number in done:
            del self._reaches[number]

    def delete(self, oldest_open: int) -> None:
        """Delete what is not needed, from the oldest on; `oldest_open` is the first segment with an open intent."""
        needed = min(self.shipped.segment, oldest_open, *self._reaches.values())
        try:
            for number in range(self.oldest, min(needed, self.oldest + DELETED)):
                path_of(self._directory, number).unlink(missing_ok=True)
                self.oldest = number + 1
                self._failing = False
        except OSError as error:
            if not self._failing:
                self._failing = True
                logger.warning("journal %s: a segment cannot be deleted (%s)", self._directory, error.strerror)
