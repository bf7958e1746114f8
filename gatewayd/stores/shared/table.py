"""A hash table of fixed size in shared memory: a number for each key, which no killed process can spoil.

A process may be killed between any two machine instructions, and the next one goes on with what it finds. So:

- A slot has two states and a byte that says whose turn it is. A write fills the other state and then changes the
  byte, which cannot happen by halves: until then the key has its old number, from then on its new one, never none.
- A new key's slot is taken over in three steps: the old key is blanked, the state written, the new key written. A
  key that is written by half is found by nobody, and its slot is taken over like any other, in its turn.
- A number of one word that stays one, under the same limit, may be written over in place: one store of eight bytes
  at a multiple of eight, which cannot happen by halves either (`quick` does so).
- The moments say which slot to take over. A number's moment is written before its turn comes, and may be written a
  second ahead: a slot may be kept too long, but never is one taken over whose number counts.

Nobody reads a slot without the lock of its bucket, and the kernel frees a dead process's lock only after the last
thing it wrote, so nothing depends on the order in which processors see each other's writes.
"""

import struct
from typing import Final

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

NO_KEY: Final = bytes(KEY_BYTES)
ABSENT: Final = -1
WORD: Final = 2**64 - 1
_STATE: Final = struct.Struct("=QQQ")
_MOMENTS: Final = struct.Struct(f"{SLOTS}d")
# At hand by names that the compiler need not look up.
_unpack_state: Final = _STATE.unpack_from
_pack_state: Final = _STATE.pack_into
_TRIED: Final = 8  # slots; to look at all of them costs ten times as much
_KEYS_END: Final = SLOTS * KEY_BYTES


class Table:
    """Whoever calls has the bucket locked. Numbers are below 2¹²⁸, limits below 2⁶⁴, both not negative."""

    def __init__(self, memory: SharedMemory) -> None:
        self._memory = memory
        self._bytes = memory.bytes
        self._doubles = memory.doubles

    def knows(self, bucket: int, beginning: bytes) -> bool:
        """Whether there may be keys that begin so; False is certain. All keys of a caller begin alike."""
        base = bucket * BUCKET_BYTES
        return beginning in self._bytes[base : base + _KEYS_END]

    def look(self, bucket: int, key: bytes) -> tuple[int, int, int]:
        """The slot of the key, its number and its limit; ABSENT, 0, 0 if it has none.

        A match across two neighbouring keys is as unlikely as two keys that are the same.
        """
        base = bucket * BUCKET_BYTES
        at = self._bytes[base : base + _KEYS_END].find(key)
        if at < 0:
            return ABSENT, 0, 0
        slot = at // KEY_BYTES
        turn = self._bytes[base + TURNS + slot]
        high, low, limit = _unpack_state(self._bytes, base + STATES + (2 * slot + turn) * STATE_BYTES)
        return slot, high << 64 | low, limit

    def write(self, bucket: int, slot: int, number: int, limit: int, moment: float) -> None:
        """Give the slot's key a new number, which is worth nothing any more from `moment` on."""
        self._memory.unsettle(bucket)
        base = bucket * BUCKET_BYTES
        other = 1 - self._bytes[base + TURNS + slot]
        at = base + STATES + (2 * slot + other) * STATE_BYTES
        _pack_state(self._bytes, at, number >> 64, number & WORD, limit)
        self._doubles[(base + MOMENTS) // 8 + slot] = moment
        self._bytes[base + TURNS + slot] = other

    def add(self, bucket: int, key: bytes, number: int, limit: int, moment: float, now: float = 0.0) -> None:
        """Give a key that is absent a number, in a slot that is worth nothing at `now`: an empty one's moment is 0.

        A few are looked at, beginning where the key says, which is anywhere; if none of them is, it is the slot of all
        whose moment comes first.
        """
        self._memory.unsettle(bucket)
        slot = self._worthless(bucket, key, now)
        at = bucket * BUCKET_BYTES + slot * KEY_BYTES
        self._bytes[at : at + KEY_BYTES] = NO_KEY
        self.write(bucket, slot, number, limit, moment)
        self._bytes[at : at + KEY_BYTES] = key

    def _worthless(self, bucket: int, key: bytes, now: float) -> int:
        doubles, first = self._doubles, (bucket * BUCKET_BYTES + MOMENTS) // 8
        for place in range(key[0], key[0] + _TRIED):
            if doubles[first + place % SLOTS] <= now:
                return place % SLOTS
        moments = _MOMENTS.unpack_from(self._bytes, bucket * BUCKET_BYTES + MOMENTS)
        return moments.index(min(moments))
