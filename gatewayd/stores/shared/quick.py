"""What nearly every take comes to: one bucket, keys that are where they were, under the paces asked for, and room.

`counters`, `table` and `gcra` do the same for whatever is asked, a step at a time; a test holds the two against each
other. Here it is one function over numbers, because it is on every request's way, under a lock.
"""

from collections.abc import Sequence
from fcntl import LOCK_EX, LOCK_UN, lockf
from typing import Any, Final

from gatewayd.model import Pace, Tally, Window
from gatewayd.stores.gcra import SECOND
from gatewayd.stores.shared.memory import BUCKET_BYTES, KEY_BYTES, MOMENTS, STATE_BYTES, STATES, TURNS, SharedMemory

_WORD: Final = 8
_STATE_WORDS: Final = STATE_BYTES // _WORD
_LARGEST: Final = 2**63 - 1  # a tat in its low word; one that needs the high one too goes the long way
_NOWHERE: Final = -1


class Mark:
    """Where a window's key was found in a memory, and the pace in numbers: what `Window.mark` keeps.

    Places are objects of Python's (`Any`), made once; the compiler would make one for each look into the memory.
    """

    __slots__ = ("bucket", "interval", "key", "memory", "moment", "place", "room", "states", "ticks", "turn")

    def __init__(self, memory: SharedMemory, bucket: int, key: bytes, slot: int, pace: Pace) -> None:
        base = bucket * BUCKET_BYTES
        state = (base + STATES) // _WORD + 2 * slot * _STATE_WORDS
        self.memory = memory
        self.bucket = bucket
        self.key = key
        self.place: Any = slice(base + slot * KEY_BYTES, base + (slot + 1) * KEY_BYTES)  # the key's bytes
        self.turn: Any = base + TURNS + slot  # a byte
        self.states: list[Any] = list(range(state, state + 2 * _STATE_WORDS))  # the words of both
        self.moment: Any = (base + MOMENTS) // _WORD + slot  # a double
        self.ticks = pace.ticks
        self.interval = pace.interval
        self.room = pace.room


def take_known(memory: SharedMemory, windows: Sequence[Window], now: int) -> list[Tally] | None:
    """A tally for each window, all taken; None if this is not the usual case, and then nothing was changed.

    `now` is in nanoseconds. Raises OSError if the bucket cannot be locked.
    """
    marks: list[Mark] = []
    bucket = _NOWHERE
    for window in windows:
        mark = window.mark
        if not isinstance(mark, Mark) or mark.memory is not memory or bucket not in (_NOWHERE, mark.bucket):
            return None
        bucket = mark.bucket
        marks.append(mark)
    if bucket == _NOWHERE:
        return None
    fd = memory.fd
    try:
        lockf(fd, LOCK_EX, 1, bucket)
        return _take(memory, marks, now)
    finally:
        lockf(fd, LOCK_UN, 1, bucket)


def _take(memory: SharedMemory, marks: list[Mark], now: int) -> list[Tally] | None:
    """Whoever calls has the bucket locked."""
    data, words, doubles = memory.bytes, memory.words, memory.doubles
    tats: list[int] = []
    others: list[int] = []
    tallies: list[Tally] = []
    for mark in marks:
        if data[mark.place] != mark.key:
            return None
        turn: int = data[mark.turn]
        ticks, states, state = mark.ticks, mark.states, turn * _STATE_WORDS
        high: int = words[states[state]]
        low: int = words[states[state + 1]]
        kept_in: int = words[states[state + 2]]
        if high or kept_in != ticks:
            return None
        begin = now if ticks == 1 else now * ticks
        interval = mark.interval
        backlog = low - begin + interval if low > begin else interval
        tat = begin + backlog
        if (left := mark.room - backlog) < 0 or tat > _LARGEST:
            return None
        tats.append(tat)
        others.append(1 - turn)
        tallies.append(Tally(True, left // interval, (backlog + ticks - 1) // ticks / SECOND, 0.0))
    moment = now / SECOND
    for index in range(len(marks)):
        mark, other = marks[index], others[index]
        states, state = mark.states, other * _STATE_WORDS
        words[states[state]] = 0
        words[states[state + 1]] = tats[index]
        words[states[state + 2]] = mark.ticks
        data[mark.turn] = other  # the one store that makes it so, as in `Table.write`
        doubles[mark.moment] = moment + tallies[index].resets_in
    return tallies
