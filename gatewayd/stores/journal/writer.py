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
from gatewayd.errors import StoreError
from gatewayd.model import Ending, Hold, Outcome
from gatewayd.stores.journal import frames
from gatewayd.stores.journal.briefs import BRIEF_BYTES, NAME_BYTES, kind_of
from gatewayd.stores.journal.directory import NO_ROOM, STATE_DIR_HINT, Lock, create, discard, reason
from gatewayd.stores.journal.frames import WORD, Position, space
from gatewayd.stores.journal.opened import Opened
from gatewayd.stores.journal.precedents import NONE, Precedents
from gatewayd.stores.journal.retention import Retention
from gatewayd.stores.journal.segment import FIRST, Segment, path_of, sync
from gatewayd.stores.journal.supply import Supply
from gatewayd.stores.journal.troubles import Troubles

logger = logging.getLogger(__name__)

SEGMENT_BYTES: Final = 4 << 20
MOST_BYTES: Final = 256 << 20
AT_REST: Final = 4
"""Segments that intents which stay open may keep; beyond them they are carried forward."""
CARRIED: Final = 64
"""Intents that are carried forward at a time."""
_SPARE: Final = 2  # segments that only carrying may use, so that a full journal can always be emptied
_SYSTEM_CLOCK: Final = SystemClock()
_LEAST_BYTES: Final = 4096


_NOTED: Final = WORD + BRIEF_BYTES
"""The most that a brief takes: it may be the first of its frame."""


def open_journal(
    root: Path,
    *,
    segment_bytes: int = SEGMENT_BYTES,
    most_bytes: int = MOST_BYTES,
    clock: Clock = _SYSTEM_CLOCK,
    gathers: bool = False,
) -> "Journal":
    """Make a journal of this process's own below `root`, on disk as far as its first segment.

    With `gathers`, entries may wait for `Journal.seal`, which costs as much for many as for one.

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
    return Journal(directory, lock, segment, segment_bytes, most_bytes, clock, gathers)


class Journal:
    """Mutable: it is the memory of what is open. Owned by one thread; `flush` alone may be called by another.

    Segments are numbered, contiguous, and deleted from the oldest on, so that a reader that starts anew at the oldest
    finds the intent of every conclusion that is not in the ledger yet. Intents that stay open are written again
    further on. What an intent has in common with an earlier one of its segment it says by that one's place.

    Where it gathers, whoever does a thing on the strength of an entry calls `seal` before: a process that is killed
    earlier has written nothing of it.
    """

    def __init__(
        self,
        directory: Path,
        lock: Lock,
        segment: Segment,
        segment_bytes: int,
        most_bytes: int,
        clock: Clock,
        gathers: bool,
    ) -> None:
        """Use `open_journal`."""
        self.name = directory.name
        self._directory = directory
        self._lock = lock
        self._segment = segment
        self._limit = segment_bytes - WORD  # the last word says that the next segment goes on
        # Together less than a segment: a new one always takes an intent, and all conclusions that are to come.
        self._longest = segment_bytes >> 2
        self._most_reserved = segment_bytes >> 1
        self._most = most_bytes // segment_bytes
        self._at_rest = min(AT_REST, self._most - _SPARE - 1)
        self._supply = Supply(directory, segment_bytes, clock)
        self._retention = Retention(directory)
        self._precedents = Precedents()
        self._open: dict[str, Opened] = {}  # oldest first, by the segment that has the (latest) intent
        self._gathers = gathers
        self._reserved = 0
        self._flushed = FIRST - 1
        self._troubles = Troubles(directory)

    @property
    def position(self) -> Position:
        """Where the next frame goes; everything before it, and nothing else, can be read by other processes now."""
        return self._segment.position

    def __len__(self) -> int:
        """How many holds are open."""
        return len(self._open)

    def open_holds(self) -> Mapping[str, Hold]:
        """A copy: the holds that were not concluded, by id."""
        return {hold_id: opened.hold for hold_id, opened in self._open.items()}

    def opened(self, hold_id: str) -> Opened | None:
        """The hold of this id, while it is open."""
        return self._open.get(hold_id)

    @property
    def is_sealed(self) -> bool:
        """Whether nothing waits for `seal`."""
        segment = self._segment
        return segment.end == segment.offset

    def seal(self) -> None:
        """Everything that was written survives this process from now on, and can be read by others."""
        self._segment.seal()

    def intend(self, hold: Hold, beside: object = None) -> None:
        """Write that a request is about to reach its agent, and set room aside for its conclusion.

        Raises JournalFull, or ValueError for a hold that could not be read back or is open already; then nothing
        was written.
        """
        opened = Opened(hold, beside)
        if self._open.setdefault(hold.id, opened) is not opened:
            raise ValueError(f"hold {hold.id[:64]} is open already")
        try:
            self._write(opened)
        except BaseException:
            del self._open[hold.id]
            raise

    def _write(self, opened: Opened) -> None:
        hold, reserved = opened.hold, self._reserved + opened.space
        segment, precedent = self._segment, self._precedents.place_for(hold)
        is_brief = precedent and len(opened.name) == NAME_BYTES and -inf < hold.started_at < inf
        if is_brief and reserved <= self._most_reserved and segment.end + _NOTED + reserved <= self._limit:
            segment.note_intent(precedent, hold.started_at, opened.name)
            if not self._gathers:
                segment.seal()
            self._reserved = reserved
            opened.segment = segment.number
        else:
            self._write_alone(opened, precedent)

    def _write_alone(self, opened: Opened, precedent: int) -> None:
        """In a frame of its own, since it says more than a brief could, or in a new segment."""
        hold, reserved = opened.hold, self._reserved + opened.space
        payload = frames.intent_like(hold, precedent) if precedent else self._whole(hold)
        if reserved > self._most_reserved or self._segment.end + space(len(payload)) + reserved > self._limit:
            whole = self._whole(hold)  # a new segment has nothing to refer to
            self._make_room(reserved)
            precedent, payload = NONE, whole
        segment = self._segment
        segment.seal()
        if not precedent:
            self._precedents.add(hold, segment.offset)
        segment.append(payload)
        self._reserved = reserved
        opened.segment = segment.number

    def conclude(self, hold_id: str, ending: Ending | None) -> None:
        """Write how the request ended; None: it reached no agent. Of a hold that is not open, nothing is written.

        There always is room. Raises ValueError for numbers beyond 64 bits; then the hold is still open.
        """
        if (opened := self._open.get(hold_id)) is None:
            return
        if ending is None:
            self.drop(opened)
            return
        quantity, drawn, outcome, status = ending.quantity, ending.drawn, ending.outcome, ending.status
        self.end(opened, quantity, drawn, outcome, status, ending.ended_at, ending.bytes_in, ending.bytes_out)

    def end(
        self,
        opened: Opened,
        quantity: int,
        drawn: int,
        outcome: Outcome,
        status: int,
        ended_at: float,
        bytes_in: int,
        bytes_out: int,
    ) -> None:
        """As `conclude`, of a hold that is open, by what an Ending has: every request would make one for this."""
        is_short = len(opened.name) == NAME_BYTES
        kind = kind_of(quantity, drawn, outcome, status, bytes_in, bytes_out) if is_short else 0
        if kind:
            self._segment.note(kind, quantity, bytes_in, bytes_out, ended_at, opened.name)
            if not self._gathers:
                self._segment.seal()
        else:
            ending = Ending(quantity, drawn, outcome, status, ended_at, bytes_in, bytes_out)
            self._segment.append(frames.conclusion(opened.hold.id, ending))
        self._close(opened)

    def drop(self, opened: Opened) -> None:
        """As `conclude`, of a hold that is open and reached no agent."""
        self._segment.append(frames.conclusion(opened.hold.id, None))
        self._close(opened)

    def _close(self, opened: Opened) -> None:
        del self._open[opened.hold.id]
        self._reserved -= opened.space
        if opened.segment < self._segment.number:
            self._retention.concluded(opened.segment, self._segment.number)

    def shipped(self, position: Position) -> None:
        """Everything before the position is in the ledger: delete the segments that nobody needs any more.

        Raises ValueError for a position where nothing was written yet.
        """
        self.seal()  # what waits may conclude an intent of a segment that would be deleted else
        if position > self.position:
            raise ValueError(f"nothing was written at {position} yet")
        self._retention.ship(position, self.position)
        self._carry()
        self._retention.delete(next((opened.segment for opened in self._open.values()), self._segment.number))

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
        self._segment.close()
        settled = not self._open and self._retention.shipped == self.position
        try:
            if settled:
                discard(self._directory)
        except StoreError as error:
            logger.warning("%s", error)
        finally:
            self._lock.release()

    def _whole(self, hold: Hold) -> bytes:
        payload = frames.intent(hold)
        if space(len(payload)) > self._longest:
            raise ValueError(f"hold {hold.id[:64]} is too long for a journal")
        return payload

    def _make_room(self, reserved: int) -> None:
        """Go on in a new segment. Raises JournalFull if there is none to be had; nothing was changed then."""
        if reserved > self._most_reserved:
            raise self._troubles.refusal("too many requests are open at once")
        try:
            self._turn_over(self._most - _SPARE)
        except OSError as error:
            raise self._troubles.refusal(reason(error)) from error
        self._troubles.are_over()

    def _turn_over(self, most: int) -> None:
        """Raises OSError: there is no room on the disk, or not within this many segments."""
        number = self._segment.number + 1
        if number - self._retention.oldest >= most:
            raise OSError(errno.ENOSPC, f"{most} segments wait for the ledger")
        segment = self._supply.segment(number)
        self._segment.finish()
        self._segment = segment
        self._precedents.clear()

    def _carry(self) -> None:
        """Write intents again that keep the oldest segment, if only they do and segments are many."""
        oldest = self._retention.oldest
        if self._segment.number - oldest < self._at_rest or oldest >= self._retention.shipped.segment:
            return
        for opened in list(islice(self._open.values(), CARRIED)):
            if opened.segment != oldest or not self._write_again(opened):
                break

    def _write_again(self, opened: Opened) -> bool:
        hold = opened.hold
        payload = frames.intent(hold)
        try:
            if self._segment.end + space(len(payload)) + self._reserved > self._limit:
                self._turn_over(self._most)
        except OSError:
            return False
        self._segment.append(payload)
        del self._open[hold.id]  # to be the newest
        self._open[hold.id] = opened
        opened.segment = self._segment.number
        return True
