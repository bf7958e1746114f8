"""The writing end of a journal: a worker's intents and conclusions, in bounded room, never waiting for a disk."""

import errno
import logging
import shutil
from collections.abc import Mapping
from itertools import islice
from math import inf
from pathlib import Path
from typing import Final

from gatewayd.clock import Clock, SystemClock
from gatewayd.errors import StoreError, StoreUnavailable
from gatewayd.model import Ending, Hold
from gatewayd.stores.journal import frames
from gatewayd.stores.journal.directory import NO_ROOM, STATE_DIR_HINT, Lock, create, discard, reason
from gatewayd.stores.journal.frames import WORD, Position
from gatewayd.stores.journal.precedents import NONE, Precedents
from gatewayd.stores.journal.retention import Retention
from gatewayd.stores.journal.segment import FIRST, Segment, path_of, sync

logger = logging.getLogger(__name__)

SEGMENT_BYTES: Final = 4 << 20
MOST_BYTES: Final = 256 << 20
AT_REST: Final = 4
"""Segments that intents which stay open may keep; beyond them they are carried forward."""
CARRIED: Final = 64
"""Intents that are carried forward at a time."""
RETRY_SECONDS: Final = 0.1
"""How long a disk that refused a segment is not asked again."""
_SPARE: Final = 2  # segments that only carrying may use, so that a full journal can always be emptied
_SYSTEM_CLOCK: Final = SystemClock()
_LEAST_BYTES: Final = 4096


class JournalFull(StoreUnavailable):
    """The journal has no room for one more request; nothing was written."""


def open_journal(
    root: Path,
    *,
    segment_bytes: int = SEGMENT_BYTES,
    most_bytes: int = MOST_BYTES,
    clock: Clock = _SYSTEM_CLOCK,
) -> "Journal":
    """Make a journal of this process's own below `root`, on disk as far as its first segment.

    Raises StoreError if that cannot be done, ValueError for sizes that are too small to work with.
    """
    if segment_bytes < _LEAST_BYTES or most_bytes < (_SPARE + 2) * segment_bytes:
        raise ValueError(f"a journal has {_SPARE + 2} segments or more, of at least {_LEAST_BYTES} bytes")
    try:
        directory, lock = create(root)
        try:
            segment = Segment(directory, FIRST, segment_bytes)
        except OSError:
            shutil.rmtree(directory, ignore_errors=True)
            lock.release()
            raise
    except OSError as error:
        hint = f"make room for {segment_bytes} bytes" if error.errno in NO_ROOM else STATE_DIR_HINT
        raise StoreError(f"a journal cannot be made in {root} ({reason(error)}): {hint}") from error
    return Journal(directory, lock, segment, segment_bytes, most_bytes, clock)


class Journal:
    """Mutable: it is the memory of what is open. Owned by one thread; `flush` alone may be called by another.

    Segments are numbered, contiguous, and deleted from the oldest on, so that a reader that starts anew at the oldest
    finds the intent of every conclusion that is not in the ledger yet. Intents that stay open are written again
    further on. What an intent has in common with an earlier one of its segment it says by that one's place.
    """

    def __init__(
        self, directory: Path, lock: Lock, segment: Segment, segment_bytes: int, most_bytes: int, clock: Clock
    ) -> None:
        """Use `open_journal`."""
        self.name = directory.name
        self._directory = directory
        self._lock = lock
        self._segment = segment
        self._segment_bytes = segment_bytes
        self._limit = segment_bytes - WORD  # the last word says that the next segment goes on
        # Together less than a segment: a new one always takes an intent, and all conclusions that are to come.
        self._longest = segment_bytes >> 2
        self._most_reserved = segment_bytes >> 1
        self._most = most_bytes // segment_bytes
        self._at_rest = min(AT_REST, self._most - _SPARE - 1)
        self._retention = Retention(directory)
        self._precedents = Precedents()
        # Oldest first, by the segment that has the (latest) intent; with the space that the conclusion will need.
        self._open: dict[str, tuple[Hold, int, int]] = {}
        self._reserved = 0
        self._flushed = FIRST - 1
        self._trouble = ""
        self._clock = clock
        self._retry_at = -inf
        self._failure: tuple[object, ...] = ()

    @property
    def position(self) -> Position:
        """Where the next frame goes; everything before it can be read by other processes now."""
        return self._segment.position

    def __len__(self) -> int:
        """How many holds are open."""
        return len(self._open)

    def open_holds(self) -> Mapping[str, Hold]:
        """A copy: the holds that were not concluded, by id."""
        return {hold_id: hold for hold_id, (hold, _, _) in self._open.items()}

    def intend(self, hold: Hold) -> None:
        """Write that a request is about to reach its agent, and set room aside for its conclusion.

        Raises JournalFull, or ValueError for a hold that could not be read back or is open already; then nothing
        was written.
        """
        if hold.id in self._open:
            raise ValueError(f"hold {hold.id[:64]} is open already")
        precedent = self._precedents.place_for(hold)
        payload = frames.intent_like(hold, precedent) if precedent else self._whole(hold)
        size = (len(payload) + WORD + 7) & -8  # `frames.space`, made without a call: every request's intent asks
        space = frames.conclusion_space(hold.id)
        reserved = self._reserved + space
        if reserved > self._most_reserved or self._segment.offset + size + reserved > self._limit:
            whole = self._whole(hold)  # a new segment has nothing to refer to
            self._make_room(reserved)
            precedent, payload = NONE, whole
        segment = self._segment
        if not precedent:
            self._precedents.add(hold, segment.offset)
        segment.append(payload)
        self._reserved = reserved
        self._open[hold.id] = hold, segment.number, space

    def conclude(self, hold_id: str, ending: Ending | None) -> None:
        """Write how the request ended; None: it reached no agent. Of a hold that is not open, nothing is written.

        There always is room. Raises ValueError for numbers beyond 64 bits; then the hold is still open.
        """
        if (opened := self._open.get(hold_id)) is None:
            return
        payload = frames.conclusion(hold_id, ending)
        segment = self._segment
        segment.append(payload)
        _, begun, reserved = opened
        del self._open[hold_id]
        self._reserved -= reserved
        if begun < segment.number:
            self._retention.concluded(begun, segment.number)

    def shipped(self, position: Position) -> None:
        """Everything before the position is in the ledger: delete the segments that nobody needs any more.

        Raises ValueError for a position where nothing was written yet.
        """
        if position > self.position:
            raise ValueError(f"nothing was written at {position} yet")
        self._retention.ship(position, self.position)
        self._carry()
        self._retention.delete(next((number for _, number, _ in self._open.values()), self._segment.number))

    def flush(self) -> None:
        """Wait until what was appended before the call survives power loss too. Raises StoreError.

        One thread at a time, which need not be the owner's.
        """
        last = self._segment.number
        try:
            for number in range(max(self._flushed, FIRST), last + 1):
                sync(path_of(self._directory, number))
            if last > self._flushed:  # new files: their names must survive as well
                for directory in (self._directory, *islice(self._directory.parents, 2)):
                    sync(directory)
        except OSError as error:
            hint = "its disk fails or was taken away"
            raise StoreError(f"journal {self._directory} cannot be flushed ({error.strerror}): {hint}") from error
        self._flushed = last

    def close(self) -> None:
        """Delete the journal if nothing is open and all of it was shipped; else leave it to a successor."""
        settled = not self._open and self._retention.shipped == self.position
        self._segment.close()
        try:
            if settled:
                discard(self._directory)
        except StoreError as error:
            logger.warning("%s", error)
        finally:
            self._lock.release()

    def _whole(self, hold: Hold) -> bytes:
        payload = frames.intent(hold)
        if frames.space(len(payload)) > self._longest:
            raise ValueError(f"hold {hold.id[:64]} is too long for a journal")
        return payload

    def _make_room(self, reserved: int) -> None:
        """Go on in a new segment. Raises JournalFull if there is none to be had; nothing was changed then."""
        if reserved > self._most_reserved:
            raise self._refusal("too many requests are open at once")
        try:
            self._turn_over(self._most - _SPARE)
        except OSError as error:
            raise self._refusal(reason(error)) from error
        if self._trouble:
            self._trouble = ""
            logger.warning("journal %s takes requests again", self._directory)

    def _turn_over(self, most: int) -> None:
        """Raises OSError: there is no room on the disk, or not within this many segments."""
        number = self._segment.number + 1
        if number - self._retention.oldest >= most:
            raise OSError(errno.ENOSPC, f"{most} segments wait for the ledger")
        segment = self._allocate(number)
        self._segment.finish()
        self._segment = segment
        self._precedents.clear()

    def _allocate(self, number: int) -> Segment:
        """Ask the disk, but not for every request while it refuses: that costs a hundred times the request's entry."""
        if self._clock.monotonic() < self._retry_at:
            raise OSError(*self._failure)
        try:
            return Segment(self._directory, number, self._segment_bytes)
        except OSError as error:
            self._failure = error.args
            self._retry_at = self._clock.monotonic() + RETRY_SECONDS
            raise

    def _refusal(self, trouble: str) -> JournalFull:
        if trouble != self._trouble:
            self._trouble = trouble
            logger.error(
                "journal %s takes no requests (%s): they get 503 until there is room", self._directory, trouble
            )
        return JournalFull()

    def _carry(self) -> None:
        """Write intents again that keep the oldest segment, if only they do and segments are many."""
        oldest = self._retention.oldest
        if self._segment.number - oldest < self._at_rest or oldest >= self._retention.shipped.segment:
            return
        for hold, number, _ in list(islice(self._open.values(), CARRIED)):
            if number != oldest or not self._write_again(hold):
                break

    def _write_again(self, hold: Hold) -> bool:
        payload = frames.intent(hold)
        try:
            if self._segment.offset + frames.space(len(payload)) + self._reserved > self._limit:
                self._turn_over(self._most)
        except OSError:
            return False
        self._segment.append(payload)
        _, _, space = self._open.pop(hold.id)
        self._open[hold.id] = hold, self._segment.number, space
        return True
