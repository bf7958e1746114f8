"""The reading end of a journal: its entries in order, from another process, while it is written or afterwards."""

import os
from pathlib import Path
from typing import Final

from gatewayd.errors import StoreError
from gatewayd.model import Hold
from gatewayd.stores.journal import segment
from gatewayd.stores.journal.briefs import INTENT, briefs, ending_of, is_intent
from gatewayd.stores.journal.directory import Lock, discard, names, set_aside, take_over
from gatewayd.stores.journal.frames import (
    MAGIC,
    NEXT,
    READABLE,
    WORD,
    Conclusion,
    Entry,
    Intent,
    Position,
    decode,
    frame_at,
    hold_like,
    length_of,
    likeness,
    space,
    word_at,
)
from gatewayd.stores.journal.precedents import MOST

__all__ = ["Conclusion", "Entry", "Intent", "JournalReader", "Lock", "discard", "names", "set_aside", "take_over"]

_CHUNK: Final = 64 << 10
_GLANCE: Final = 4 << 10
"""What is looked at first: a journal that is followed has hardly more, and who wants units waits for the look."""


class JournalReader:
    """Reads with `pread`: a file that somebody cuts off meanwhile is an end and not a signal.

    An entry may come again after a restart, an intent also while it is open. A conclusion whose intent did not come
    before it is in the ledger already.
    """

    def __init__(self, directory: Path, start: Position | None = None) -> None:
        """Start at a position that a reader of this journal had, or at the first segment that still exists."""
        self._directory = directory
        self._file = -1
        self._chunk = _GLANCE
        self._said: dict[int, Hold] = {}  # by the place of the intent that said it in full; emptied when it is full
        self.position = start or Position(segment.FIRST, segment.START)

    def read(self, most: int = 4096, until: Position | None = None) -> list[Entry]:
        """The entries from the position on, `most` at best, none at or after `until`; nothing if none is complete yet.

        What was written together comes together, so that there may be some more.

        Raises StoreError.
        """
        entries: list[Entry] = []
        try:
            while len(entries) < most and (self._file >= 0 or self._open()):
                if until is not None and self.position >= until:
                    break
                found, ended = self._take(most - len(entries), until)
                entries += found
                if ended or (not found and not self._turn_over()):
                    break
        except OSError as error:
            raise self._unreadable(error) from error
        return entries

    def damage(self) -> str | None:
        """What a dead journal holds that `read` did not reach, in words; None if it just ends. Raises StoreError.

        An append that its process did not live to finish is no damage: nothing was done on its strength.
        """
        try:
            return self._damage()
        except OSError as error:
            raise self._unreadable(error) from error

    def close(self) -> None:
        """Let the file go; again is harmless."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _path(self, further: int = 0) -> Path:
        return segment.path_of(self._directory, self.position.segment + further)

    def _open(self) -> bool:
        """Open the segment of the position, or the oldest after it: a segment is deleted when all of it was read."""
        self._said.clear()
        numbers = [each for each in segment.numbers(self._directory) if each >= self.position.segment]
        if not numbers:
            return False
        if numbers[0] > self.position.segment:
            self.position = Position(numbers[0], segment.START)
        try:
            self._file = os.open(self._path(), os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:  # deleted between the two looks
            return False
        if os.pread(self._file, len(MAGIC), 0) in READABLE:
            return True
        self.close()
        return False

    def _take(self, most: int, until: Position | None) -> tuple[list[Entry], bool]:
        """The entries of one look into the file, and whether it was seen that nothing is written behind them."""
        at = self.position.offset
        data = os.pread(self._file, self._chunk, at)
        if (whole := space(length_of(word_at(data, 0)))) > self._chunk:
            data = os.pread(self._file, min(whole, os.fstat(self._file).st_size), at)
        if until is not None and until.segment == self.position.segment:
            data = data[: until.offset - at]
        entries, end = self._entries(data, at, most)
        self.position = Position(self.position.segment, at + end)
        ended = end + WORD <= len(data) and not word_at(data, end)
        self._chunk = _GLANCE if ended else _CHUNK
        return entries, ended

    def _entries(self, data: bytes, at: int, most: int) -> tuple[list[Entry], int]:
        """Those that can be read of what begins at `at`, as `read` has them, and the place just after the last."""
        entries: list[Entry] = []
        end = 0
        while len(entries) < most and (payload := frame_at(data, end)) is not None:
            try:
                if payload[0] & INTENT:
                    entries += self._briefs(payload)
                else:
                    entries.append(self._entry(payload, at + end))
            except ValueError:
                break
            end += space(len(payload))
        return entries, end

    def _entry(self, payload: bytes, at: int) -> Entry:
        """Raises ValueError if this version did not write it."""
        if (like := likeness(payload)) is not None:
            said = self._said.get(like.place)
            return Intent(like.to(said if said is not None else self._look_back(like.place)))
        entry = decode(payload)
        if isinstance(entry, Intent):
            self._remember(entry.hold, at)
        return entry

    def _briefs(self, payload: bytes) -> list[Entry]:
        """Raises ValueError if this version did not write it."""
        entries: list[Entry] = []
        for kind, first, second, third, moment, name in briefs(payload):
            if is_intent(kind):
                said = self._said.get(first)
                other = said if said is not None else self._look_back(first)
                entries.append(Intent(hold_like(other, name.decode(), moment)))
            else:
                entries.append(Conclusion(name.decode(), ending_of(kind, first, second, third, moment)))
        return entries

    def _look_back(self, place: int) -> Hold:
        """What an intent says that this reader has not read, or not kept. Raises ValueError if there is none."""
        length = length_of(word_at(os.pread(self._file, WORD, place), 0))
        payload = frame_at(os.pread(self._file, WORD + min(length, os.fstat(self._file).st_size), place), 0)
        entry = decode(payload) if payload is not None else None
        if isinstance(entry, Intent):
            self._remember(entry.hold, place)
            return entry.hold
        raise ValueError(f"no intent stands at byte {place}")

    def _remember(self, hold: Hold, place: int) -> None:
        if len(self._said) >= MOST:  # as many as a writer refers to
            self._said.clear()
        self._said[place] = hold

    def _turn_over(self) -> bool:
        """Whether the journal goes on in a next segment."""
        ended = word_at(os.pread(self._file, WORD, self.position.offset), 0) == NEXT
        if not ended or not self._path(1).exists():
            return False
        self.close()
        self.position = Position(self.position.segment + 1, segment.START)
        return True

    def _damage(self) -> str | None:
        if self._file < 0:
            self._open()
        path, at = self._path(), self.position.offset
        data = path.read_bytes() if path.exists() else bytes(at + WORD)
        head = word_at(data, at)
        if data.startswith(bytes(len(MAGIC))) and not _written(data):
            return self._entries_later()
        if not data.startswith(READABLE):
            return f"{path}: this version of gatewayd cannot read it"
        if len(data) < at + WORD:
            return f"{path}: it is cut off at byte {len(data)}"
        if head == NEXT:
            return f"{self._path(1)}: it is missing"
        if head:
            return f"{path}: the entry at byte {at} is damaged"
        if (found := _frame_after(data, at)) is not None:
            return f"{path}: nothing can be read from byte {at} to {found}, where entries go on"
        return self._entries_later()

    def _entries_later(self) -> str | None:
        numbers = [each for each in segment.numbers(self._directory) if each > self.position.segment]
        paths = [segment.path_of(self._directory, number) for number in numbers]
        found = [path for path in paths if _written(path.read_bytes())]
        return f"{self._path()}: it ends at byte {self.position.offset}, but {found[0]} has entries" if found else None

    def _unreadable(self, error: OSError) -> StoreError:
        hint = "it must be open to the daemon's user, and its disk sound"
        return StoreError(f"journal {self._path()} cannot be read ({error.strerror}): {hint}")


def _written(data: bytes) -> bool:
    """Whether anything stands in a segment apart from what it is made with."""
    return bool(data[segment.START :].strip(b"\x00"))


def _frame_after(data: bytes, at: int) -> int | None:
    written = len(data.rstrip(b"\x00"))
    return next((each for each in range(at, written, WORD) if frame_at(data, each) is not None), None)
