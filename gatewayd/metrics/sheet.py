"""Where a process counts: memory that its parent sees too, so that what it counted is there after any death of it.

No file and no lock: one process writes, and a number is one store. Whoever takes the place of a dead one goes on on
its sheet. Nothing of it is on a disk, so a daemon that died leaves nothing behind for the next one to trip over.
"""

import logging
import mmap
import os
from typing import Any, Final
from weakref import finalize

import orjson

from gatewayd.metrics.families import Labels

logger = logging.getLogger(__name__)

NUMBERS: Final = 65_536
"""Room for numbers. A route takes some 50, and one for each method and status that it was seen with."""
NAMES: Final = 2**20
"""Bytes for what the numbers are called."""
_WORD: Final = 8
_SPARE: Final = 64  # numbers that nobody reads, for series that found no room: more than any of them is wide


class Sheet:
    """Numbers in series, each with a name and labels. Mutable by nature; pages are taken when they are written."""

    def __init__(self, *, numbers: int = NUMBERS, names: int = NAMES, fd: int | None = None) -> None:
        """`fd` is another sheet's memory, of the same sizes; the two are one sheet then. -1 is memory of no other's."""
        size = (1 + numbers) * _WORD + names
        if fd is None:
            fd = os.memfd_create("gatewayd-sheet", os.MFD_CLOEXEC)
            os.ftruncate(fd, size)
        self.sizes = {"numbers": numbers, "names": names}
        self.fd = fd
        if fd >= 0:
            finalize(self, os.close, fd)
        self._memory = mmap.mmap(fd, size)  # shared with children, gone with the last of us
        view = memoryview(self._memory)
        self._used = view[:_WORD].cast("q")  # bytes of names that are whole
        self.numbers = view[_WORD : (1 + numbers) * _WORD].cast("d")
        self._names = view[(1 + numbers) * _WORD :]
        self._full = False
        self._known: list[tuple[str, Labels, int, int]] = []
        self._read = 0
        self._end = _SPARE

    def series(self) -> dict[tuple[str, Labels], int]:
        """Where each begins, of those that there are."""
        return {(name, labels): at for name, labels, at, _ in self._entries()}

    def add(self, name: str, labels: Labels, width: int = 1) -> int:
        """Where a new series of `width` numbers begins, all of them 0. Without room, where nobody looks."""
        line = orjson.dumps([name, labels, width]) + b"\n"
        begin = self._used[0]
        self._entries()
        at = self._end
        if begin + len(line) > len(self._names) or at + width > len(self.numbers):
            self._say_full()
            return 0
        self._names[begin : begin + len(line)] = line
        self._used[0] = begin + len(line)  # one store: who reads sees all of the line or nothing
        return at

    @property
    def full(self) -> bool:
        """Whether a series found no room, so that others will find none."""
        return self._full

    def samples(self) -> dict[str, Any]:
        """All of it as plain lists: a series of one number is a counter, a wider one a histogram, its sum first."""
        counters: dict[str, list[Any]] = {}
        histograms: dict[str, list[Any]] = {}
        for name, labels, at, width in self._entries():
            if width == 1:
                counters.setdefault(name, []).append([labels, int(self.numbers[at])])
            else:
                histograms.setdefault(name, []).append([labels, self.numbers[at : at + width].tolist()])
        return {"counters": counters, "histograms": histograms}

    def _entries(self) -> list[tuple[str, Labels, int, int]]:
        """Names, labels, places and widths; what was read once is not read again."""
        used = self._used[0]
        for line in bytes(self._names[self._read : used]).splitlines():
            name, labels, width = orjson.loads(line)
            self._known.append((name, tuple(labels), self._end, width))
            self._end += width
        self._read = used
        return self._known

    def _say_full(self) -> None:
        if not self._full:
            logger.error("there is no room for more metrics: series that are new are not counted")
        self._full = True
