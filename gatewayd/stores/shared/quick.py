"""What nearly every take comes to: one bucket, keys that are known under the limits that are asked for, and room.

`counters`, `table` and `gcra` do the same for whatever is asked, a step at a time; a test holds the two against each
other. Here it is one function without a call, because it is on every request's way, under a lock.
"""

import struct
from collections.abc import Sequence
from typing import Final

from gatewayd.model import Tally, Window
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

_STATE: Final = struct.Struct("=QQQ")
_KEYS_END: Final = SLOTS * KEY_BYTES
_WORD: Final = 2**64 - 1


def take_known(
    memory: SharedMemory, windows: Sequence[Window], places: list[tuple[int, bytes]], now: int
) -> list[Tally] | None:
    """A tally for each window, all taken; None if this is not the usual case, and then nothing was changed.

    Whoever calls has the bucket of the first place locked. `now` is in nanoseconds.
    """
    data = memory.bytes
    bucket = places[0][0]
    base = bucket * BUCKET_BYTES
    keys = data[base : base + _KEYS_END]
    found: list[tuple[int, int, int, int, float]] = []
    tallies: list[Tally] = []
    for window in windows:
        place, key = places[len(found)]
        if place != bucket or (at := keys.find(key)) < 0:
            return None
        slot = at // KEY_BYTES
        turn: int = data[base + TURNS + slot]
        high: int
        low: int
        limit: int
        high, low, limit = _STATE.unpack_from(data, base + STATES + (2 * slot + turn) * STATE_BYTES)
        rate = window.rate
        if limit != rate.limit:
            return None
        begin = now * limit
        backlog = (high << 64 | low) - begin
        interval = rate.interval
        backlog = interval if backlog < 0 else backlog + interval
        if (left := rate.room - backlog) < 0:
            return None
        resets_in = -(-backlog // limit) / SECOND
        found.append((slot, 1 - turn, begin + backlog, limit, resets_in))
        tallies.append(Tally(True, left // interval, resets_in, 0.0))
    moment, moments = now / SECOND, (base + MOMENTS) // 8
    for slot, other, tat, limit, resets_in in found:
        _STATE.pack_into(data, base + STATES + (2 * slot + other) * STATE_BYTES, tat >> 64, tat & _WORD, limit)
        data[base + TURNS + slot] = other  # the one store that makes it so, as in `Table.write`
        memory.doubles[moments + slot] = moment + resets_in
    return tallies
