"""One file of a journal: of fixed size, on disk as a whole before the first byte is written."""

import mmap
import os
from contextlib import suppress
from pathlib import Path
from typing import Any, Final
from zlib import crc32

from gatewayd.stores.journal import briefs
from gatewayd.stores.journal.briefs import BRIEF_BYTES, INTENT
from gatewayd.stores.journal.frames import MAGIC, NEXT, WORD, Position

FIRST: Final = 1
START: Final = len(MAGIC)
"""Where a segment's first frame stands."""
_SUFFIX: Final = ".seg"
LONGEST: Final = 64 * BRIEF_BYTES
"""A frame of briefs has no more than that: who reads sees it as a whole at a first look."""
# Under names that nobody assigns to again, which the compiler need not look up.
_crc32: Final[Any] = crc32
_note: Final[Any] = briefs.note
_note_intent: Final[Any] = briefs.note_intent


def path_of(directory: Path, number: int) -> Path:
    return directory / f"{number:06d}{_SUFFIX}"


def numbers(directory: Path) -> list[int]:
    """The segments that there are, in order. Raises OSError."""
    return sorted(int(path.stem) for path in directory.iterdir() if path.suffix == _SUFFIX and path.stem.isdecimal())


def allocate(directory: Path, number: int, size: int) -> None:
    """Make an empty segment; it is there as a whole, or not at all. Raises OSError: the disk is full, say."""
    path = path_of(directory, number)
    draft = path.with_suffix(".new")
    try:
        file = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            # A page that finds no block on the disk when it is first touched would be the process's end (SIGBUS).
            os.posix_fallocate(file, 0, size)
            os.pwrite(file, MAGIC, 0)
        finally:
            os.close(file)
        draft.rename(path)
    except OSError:
        with suppress(OSError):
            draft.unlink()
        raise


def sync(path: Path) -> None:
    """Wait until it survives power loss; one that is gone was in the ledger. Raises OSError.

    Its pages are the kernel's, whoever wrote them, so that any descriptor will do.
    """
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        os.fdatasync(file)
    finally:
        os.close(file)


class Segment:
    """A segment that is being written, through memory that it shares with its readers.

    What was appended is the kernel's, so it survives the process, however that ends; what was noted, once it is sealed.
    `offset` is where the next frame begins, `end` where the next thing is written: briefs behind `offset` are a frame
    that is open, and nobody's yet.
    """

    __slots__ = ("_map", "_words", "end", "number", "offset")

    def __init__(self, directory: Path, number: int, size: int) -> None:
        """Allocate it and be its only writer. Raises OSError."""
        allocate(directory, number, size)
        with path_of(directory, number).open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), size)
        self._words = memoryview(self._map)[: size & -WORD].cast("Q")
        self.number = number
        self.offset = START
        self.end = START

    @property
    def position(self) -> Position:
        return Position(self.number, self.offset)

    def append(self, payload: bytes) -> None:
        """Write a frame, behind the one that is open; the caller knows that there is room."""
        if self.end != self.offset:
            self.seal()
        at = self.offset
        length = len(payload)
        end = at + WORD + length
        self._map[at + WORD : end] = payload
        self._store_word(at, payload)
        self.offset = self.end = (end + 7) & -8

    def note(self, kind: int, first: int, second: int, third: int, moment: float, name: bytes) -> None:
        """Write a brief, which is to be sealed; the caller knows that there is room for it, and for a word."""
        at = self._place()
        _note(self._map, at, kind, first, second, third, moment, name)
        self.end = at + BRIEF_BYTES

    def note_intent(self, place: int, moment: float, name: bytes) -> None:
        """As `note`, of an intent like the one at the place."""
        at = self._place()
        _note_intent(self._map, at, INTENT, place, moment, name)
        self.end = at + BRIEF_BYTES

    def _place(self) -> int:
        """Where the next brief goes: behind the last one, or behind the word of a new frame."""
        at = self.end
        if at == self.offset:
            return at + WORD
        if at - self.offset <= LONGEST:
            return at
        self.seal()
        return self.end + WORD

    def seal(self) -> None:
        """Let all that was noted be appended; again is harmless."""
        begin, end = self.offset, self.end
        if begin != end:
            self._store_word(begin, self._map[begin + WORD : end])
            self.offset = end

    def _store_word(self, at: int, payload: bytes) -> None:
        """Make it a frame (`frames.word`). Last, and one store: a process killed before it has appended nothing."""
        crc: Any = _crc32(payload)  # an object of Python's, whose numbers of 64 bits are faster than the compiler's
        self._words[at >> 3] = crc << 32 | len(payload)

    def finish(self) -> None:
        """Say that the next segment goes on from here, and write no more."""
        self.seal()
        self._words[self.offset >> 3] = NEXT
        self.close()

    def close(self) -> None:
        """Write no more."""
        self.seal()
        self._words.release()
        self._map.close()
