"""What nearly every take comes to: one bucket, keys that are where they were, under the paces asked for, and room.

`counters`, `table` and `gcra` do the same for whatever is asked, a step at a time; a test holds the two against each
other. Here it is a few functions over numbers, because it is on every request's way, under a lock.

A process that keeps the memory for itself needs neither the lock nor a look at the keys: what it saw in a bucket holds
until that is unsettled, and the numbers are those that it wrote, unless another caller of its own took in the bucket
since. They are written into the memory with each take all the same: whoever comes after a death goes on from there.
"""

from fcntl import LOCK_EX, LOCK_UN, lockf
from functools import lru_cache
from struct import Struct
from typing import Any, Final

from gatewayd.model import Bundle, Pace, Window
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
_LOW: Final = 1  # of a state's words the one that has the number, where that is of one word
_AHEAD: Final = 1.0  # seconds that a moment is written ahead, so that it need not be with each take
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
    `number` is the place of the number that counts, and `tat` that number, as they were seen last. `until` is the
    moment (see `table`) that is written there, or an earlier one.
    """

    __slots__ = (
        "base",
        "bucket",
        "interval",
        "key",
        "memory",
        "moment",
        "number",
        "numbers",
        "room",
        "slot",
        "tat",
        "ticks",
        "until",
    )

    def __init__(self, memory: SharedMemory, bucket: int, key: bytes, slot: int, pace: Pace) -> None:
        base = bucket * BUCKET_BYTES
        low = (base + STATES) // _WORD + slot * 2 * _STATE_WORDS + _LOW
        self.memory = memory
        self.bucket = bucket
        self.key = key
        self.slot = slot
        self.base: Any = base
        self.numbers: tuple[Any, ...] = (low, low + _STATE_WORDS)  # words, of which one is whose turn it is
        self.number: Any = low
        self.moment: Any = (base + MOMENTS) // _WORD + slot  # a double
        self.ticks = pace.ticks
        self.interval = pace.interval
        self.room = pace.room
        self.tat = 0
        self.until = 0.0


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
        parts += [(STATES + slot * 2 * STATE_BYTES, f"{2 * _STATE_WORDS}Q", 2 * STATE_BYTES) for slot in order]
        layout, end = ["="], 0
        for at, code, size in parts:
            layout.append(f"{at - end}x{code}")
            end = at + size
        count = len(slots)
        self.slots = list(slots)
        self.fields: list[int] = []
        for rank in map(order.index, slots):
            self.fields += [rank, count + rank, 2 * count + rank * 2 * _STATE_WORDS]
        self.unpack: Any = Struct("".join(layout)).unpack_from


@lru_cache(_ROWS_KEPT)
def row_of(slots: tuple[int, ...]) -> Row:
    """Made once, however many callers have their keys in slots of these numbers."""
    return Row(slots)


class Sight:
    """Some windows' marks in one bucket, in their order: what `Bundle.mark` keeps.

    `settled` is the bucket's object in the memory (`SharedMemory.settled`) of the moment when they were last found
    where they say.
    """

    __slots__ = ("bucket", "marks", "memory", "row", "settled")

    def __init__(self, marks: list[Mark], row: Row) -> None:
        self.memory = marks[0].memory
        self.bucket = marks[0].bucket
        self.marks = marks
        self.row = row
        self.settled: object | None = None


def take_known(memory: SharedMemory, bundle: Bundle, now: int) -> bool:
    """Take from all of the windows, which say what they have then; False if this is not the usual case.

    Then nothing was changed. `now` is in nanoseconds. Raises OSError if the bucket cannot be locked.
    """
    sight = bundle.mark
    if not isinstance(sight, Sight) or sight.memory is not memory:
        sight = _sight(memory, bundle.each)
        if sight is None:
            return False
        bundle.mark = sight
    settled = memory.settled[sight.bucket]
    if settled is not None and settled is sight.settled:
        return _take_settled(memory, sight, bundle, now)
    done = _take_locked(memory, sight, bundle, now) if settled is None else _take_found(memory, sight, bundle, now)
    if done:
        sight.settled = settled
    else:
        bundle.mark = None  # its windows may have other marks by the next time
    return done


def _sight(memory: SharedMemory, windows: tuple[Window, ...]) -> Sight | None:
    """None unless all have been found in one bucket of this memory, no two of them in one slot."""
    marks: list[Mark] = []
    for window in windows:
        mark = window.mark
        if not isinstance(mark, Mark) or mark.memory is not memory or (marks and mark.bucket != marks[0].bucket):
            return None
        marks.append(mark)
    slots = tuple([mark.slot for mark in marks])
    return Sight(marks, row_of(slots)) if slots and len({*slots}) == len(slots) else None


def _take_locked(memory: SharedMemory, sight: Sight, bundle: Bundle, now: int) -> bool:
    fd, bucket = memory.fd, sight.bucket
    try:
        _lockf(fd, _EXCLUSIVE, 1, bucket)
        return _take_found(memory, sight, bundle, now)
    finally:
        _lockf(fd, _FREE, 1, bucket)


def _take_found(memory: SharedMemory, sight: Sight, bundle: Bundle, now: int) -> bool:
    """Whoever calls has the bucket locked."""
    row, marks = sight.row, sight.marks
    found: tuple[Any, ...] = row.unpack(memory.bytes, marks[0].base)
    fields, field = row.fields, 0
    for mark in marks:
        key: bytes = found[fields[field]]
        turn: int = found[fields[field + 1]]
        state = fields[field + 2] + turn * _STATE_WORDS
        field += 3
        high: int = found[state]
        kept_in: int = found[state + 2]
        if key != mark.key or high != 0 or kept_in != mark.ticks:
            return False
        mark.tat = found[state + _LOW]
        mark.number = mark.numbers[turn]
        mark.until = 0.0
    return _take(memory, sight, bundle.each, now)


def _take_settled(memory: SharedMemory, sight: Sight, bundle: Bundle, now: int) -> bool:
    """Whoever calls has kept the memory since the marks were found, and nothing has moved in the bucket."""
    if memory.latest[sight.bucket] is not sight:
        words = memory.words
        for mark in sight.marks:
            mark.tat = words[mark.number]
    return _take(memory, sight, bundle.each, now)


def _take(memory: SharedMemory, sight: Sight, windows: tuple[Window, ...], now: int) -> bool:
    """From the numbers that the marks have, if each has room for one more."""
    for index, mark in enumerate(sight.marks):
        ticks, interval, tat = mark.ticks, mark.interval, mark.tat
        begin = now if ticks == 1 else now * ticks
        tat = tat + interval if tat > begin else begin + interval
        backlog = tat - begin
        left = mark.room - backlog
        if left < 0 or tat > _LARGEST:
            memory.latest[sight.bucket] = None
            return False
        mark.tat = tat
        window = windows[index]
        window.remaining = left // interval
        window.refilled_in = backlog if ticks == 1 else (backlog + ticks - 1) // ticks
    _keep(memory, sight.marks, windows, now / SECOND)
    memory.latest[sight.bucket] = sight
    return True


def _keep(memory: SharedMemory, marks: list[Mark], windows: tuple[Window, ...], now: float) -> None:
    """Written over in place: each number is of one word already, under the same limit."""
    words = memory.words
    for index, mark in enumerate(marks):
        moment = now + windows[index].refilled_in / SECOND
        if moment > mark.until:  # before the number, as in `Table.write`: nobody takes the slot over
            memory.doubles[mark.moment] = mark.until = moment + _AHEAD
        words[mark.number] = mark.tat  # the one store that makes it so
