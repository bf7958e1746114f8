"""What nearly every take comes to: one bucket, keys that are where they were, under the paces asked for, and room.

`counters`, `table` and `gcra` do the same for whatever is asked, a step at a time; a test holds the two against each
other. Here it is one function over numbers, because it is on every request's way, under a lock.
"""

from collections.abc import Sequence
from fcntl import LOCK_EX, LOCK_UN, lockf
from functools import lru_cache
from struct import Struct
from typing import Any, Final

from gatewayd.model import Pace, Tally, Window
from gatewayd.stores.gcra import SECOND
from gatewayd.stores.shared.memory import (
    BUCKET_BYTES,
    KEY_BYTES,
    MOMENTS,
    SLOTS,
    STATE_BYTES,
    STATES,
    TURNS,
    SharedMemory,
)

_WORD: Final = 8
_STATE_WORDS: Final = STATE_BYTES // _WORD
_SLOT_WORDS: Final = 2 * _STATE_WORDS
# A tat below this is a small number of the compiler's. What is larger goes the long way, 146 years after the start.
_LARGEST: Final = 2**62 - 1
_ROWS_KEPT: Final = SLOTS * SLOTS  # as many as two windows have, each some 600 bytes
# Under names of this module that nobody assigns to again, which the compiler need not look up.
_lockf: Final[Any] = lockf
_EXCLUSIVE: Final[Any] = LOCK_EX
_FREE: Final[Any] = LOCK_UN


class Mark:
    """Where a window's key was found in a memory, and the pace in numbers: what `Window.mark` keeps.

    Places are objects of Python's (`Any`), made once; the compiler would make one for each look into the memory.
    `row` is of the windows that were last taken from together, where this was the first of them.
    """

    __slots__ = (
        "base",
        "bucket",
        "interval",
        "key",
        "memory",
        "moment",
        "room",
        "row",
        "slot",
        "states",
        "ticks",
        "turn",
    )

    def __init__(self, memory: SharedMemory, bucket: int, key: bytes, slot: int, pace: Pace) -> None:
        base = bucket * BUCKET_BYTES
        state = (base + STATES) // _WORD + slot * _SLOT_WORDS
        self.memory = memory
        self.bucket: Any = bucket
        self.key = key
        self.slot = slot
        self.base: Any = base
        self.turn: Any = base + TURNS + slot  # a byte
        self.states: tuple[Any, ...] = tuple(range(state, state + _SLOT_WORDS))  # the words of both
        self.moment: Any = (base + MOMENTS) // _WORD + slot  # a double
        self.ticks = pace.ticks
        self.interval = pace.interval
        self.room = pace.room
        self.row: Row | None = None


class Row:
    """Some slots of a bucket, to be read by one look: of each its key, whose turn it is, and the words of both states.

    `fields` says where among them those of the nth slot are: its key, its turn, the first of its words.
    """

    __slots__ = ("fields", "slots", "unpack")

    def __init__(self, slots: tuple[int, ...]) -> None:
        """Of distinct slots, in any order."""
        order = sorted(slots)
        parts = [(slot * KEY_BYTES, f"{KEY_BYTES}s", KEY_BYTES) for slot in order]
        parts += [(TURNS + slot, "B", 1) for slot in order]
        parts += [(STATES + slot * 2 * STATE_BYTES, f"{_SLOT_WORDS}Q", 2 * STATE_BYTES) for slot in order]
        layout, end = ["="], 0
        for at, code, size in parts:
            layout.append(f"{at - end}x{code}")
            end = at + size
        count = len(slots)
        self.slots = list(slots)
        self.fields: list[int] = []
        for rank in map(order.index, slots):
            self.fields += [rank, count + rank, 2 * count + rank * _SLOT_WORDS]
        self.unpack: Any = Struct("".join(layout)).unpack_from


@lru_cache(_ROWS_KEPT)
def row_of(slots: tuple[int, ...]) -> Row:
    """Made once, however many callers have their keys in slots of these numbers."""
    return Row(slots)


def take_known(memory: SharedMemory, windows: Sequence[Window], now: int) -> list[Tally] | None:
    """A tally for each window, all taken; None if this is not the usual case, and then nothing was changed.

    `now` is in nanoseconds. Raises OSError if the bucket cannot be locked.
    """
    marks: list[Mark] = []
    for window in windows:
        mark = window.mark
        if not isinstance(mark, Mark) or mark.memory is not memory or (marks and mark.base != marks[0].base):
            return None
        marks.append(mark)
    if not marks or (row := _row(marks)) is None:
        return None
    fd, bucket = memory.fd, marks[0].bucket
    try:
        _lockf(fd, _EXCLUSIVE, 1, bucket)
        return _take(memory, marks, row, now)
    finally:
        _lockf(fd, _FREE, 1, bucket)


def _row(marks: list[Mark]) -> Row | None:
    """The one in which these are; None if two of them are the same."""
    first = marks[0]
    row = first.row
    if row is None or not _are(marks, row):
        slots = tuple([mark.slot for mark in marks])
        if len({*slots}) < len(slots):
            return None
        row = first.row = row_of(slots)
    return row


def _are(marks: list[Mark], row: Row) -> bool:
    slots = row.slots
    return len(slots) == len(marks) and all(mark.slot == slots[index] for index, mark in enumerate(marks))


def _take(memory: SharedMemory, marks: list[Mark], row: Row, now: int) -> list[Tally] | None:
    """Whoever calls has the bucket locked."""
    found: tuple[Any, ...] = row.unpack(memory.bytes, marks[0].base)
    fields, field = row.fields, 0
    tats: list[int] = []
    tallies: list[Tally] = []
    for mark in marks:
        key: bytes = found[fields[field]]
        turn: int = found[fields[field + 1]]
        state = fields[field + 2] + turn * _STATE_WORDS
        field += 3
        high: int = found[state]
        low: int = found[state + 1]
        kept_in: int = found[state + 2]
        ticks = mark.ticks
        if key != mark.key or high != 0 or kept_in != ticks:
            return None
        begin = now if ticks == 1 else now * ticks
        interval = mark.interval
        backlog = low - begin + interval if low > begin else interval
        tat = begin + backlog
        if (left := mark.room - backlog) < 0 or tat > _LARGEST:
            return None
        tats.append(tat)
        tallies.append(Tally(True, left // interval, (backlog + ticks - 1) // ticks / SECOND, 0.0))
    _keep(memory, marks, row, found, tats, tallies, now / SECOND)
    return tallies


def _keep(
    memory: SharedMemory,
    marks: list[Mark],
    row: Row,
    found: tuple[Any, ...],
    tats: list[int],
    tallies: list[Tally],
    now: float,
) -> None:
    """Of the state whose turn comes, words are written that are not `found` there as they are to be."""
    data, words, doubles, fields = memory.bytes, memory.words, memory.doubles, row.fields
    for index, mark in enumerate(marks):
        turn: int = found[fields[3 * index + 1]]
        other = 1 - turn
        at = other * _STATE_WORDS
        state = fields[3 * index + 2] + at
        high: int = found[state]
        kept_in: int = found[state + 2]
        places = mark.states
        if high != 0:
            words[places[at]] = 0
        words[places[at + 1]] = tats[index]
        if kept_in != mark.ticks:
            words[places[at + 2]] = mark.ticks
        doubles[mark.moment] = now + tallies[index].resets_in  # before, as in `Table.write`: nobody takes the slot over
        data[mark.turn] = other  # the one store that makes it so
