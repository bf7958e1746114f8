"""Rate limits counted in shared memory: exact over all processes, bounded, untouched by the death of any of them."""

from collections.abc import Sequence
from functools import lru_cache
from hashlib import blake2b
from typing import Final

from gatewayd.clock import Clock
from gatewayd.errors import StoreUnavailable
from gatewayd.model import Bundle, Pace, Tally, Window
from gatewayd.stores import gcra
from gatewayd.stores.shared.memory import SharedMemory
from gatewayd.stores.shared.quick import Mark, take_known
from gatewayd.stores.shared.table import ABSENT, Table

CALLER_BYTES: Final = 16
NAME_BYTES: Final = 8
NAMES_KEPT: Final = 1_024

Place = tuple[int, bytes]  # a bucket, and the key in it
Judged = tuple[int, bytes, int, int, Pace, gcra.Decision]  # a place, its slot and number, and what becomes of it


class SharedCounters:
    """One number a key (GCRA). Keys that begin alike up to their last brace are in one bucket, under one lock.

    When a bucket is full, a new key takes the place of one that has refilled (which loses nothing), or else of the one
    nearest to full. That one's caller starts again with a full bucket, so it may be let through sooner than its rate
    says, by no more than what was still refilling. A flood of new callers, each seen once, is nearest to full itself
    and so displaces itself, not the busy.

    Every process makes its own of the memory that it inherited, and uses it from one thread.
    """

    def __init__(self, memory: SharedMemory, clock: Clock) -> None:
        self._memory = memory
        self._clock = clock
        self._table = Table(memory)
        # Keyed, so that nobody can choose names that meet in one bucket or count as one.
        self._caller = blake2b(key=memory.secret, digest_size=CALLER_BYTES + 8)
        self._name = lru_cache(NAMES_KEPT)(self._digest_of_name)
        self._closed = False

    async def take(self, windows: Sequence[Window]) -> Sequence[Tally]:
        """As `Counters.take`, for windows of distinct keys."""
        return self.judge(windows)

    def take_in_passing(self, bundle: Bundle, now: float) -> bool:
        """As `Counters.take_in_passing`: of windows that were found before, and have not moved since."""
        if self._closed:
            raise StoreUnavailable("The counters are closed.")
        try:
            return take_known(self._memory, bundle, gcra.nanoseconds(now))
        except OSError as error:
            raise _unavailable(error) from error

    def take_at_once(self, windows: Sequence[Window], now: float) -> Sequence[Tally] | None:
        """As `take`; it never waits for anybody."""
        return self._take(windows, gcra.nanoseconds(now), 1, None)

    def judge(self, windows: Sequence[Window], *, cost: int = 1, empty_since: float | None = None) -> Sequence[Tally]:
        """As `take`; who owns an nth of every limit counts n for one.

        `empty_since` (monotonic seconds): what every bucket held then counts as used up, and as refilling since.
        """
        return self._take(windows, gcra.nanoseconds(self._clock.monotonic()), cost, empty_since)

    def _take(self, windows: Sequence[Window], now: int, cost: int, empty_since: float | None) -> Sequence[Tally]:
        if self._closed:
            raise StoreUnavailable("The counters are closed.")
        try:
            return self._judge_alone(windows, now, cost, empty_since)
        except OSError as error:
            raise _unavailable(error) from error

    async def close(self) -> None:
        """The memory stays: it is its creator's, and others may count there."""
        self._closed = True

    def _places(self, windows: Sequence[Window]) -> list[Place]:
        """Of each its own; those of one caller are hashed once. Not remembered: windows have marks for that."""
        places: list[Place] = []
        whose, bucket, digest = "", 0, b""
        for window in windows:
            key = window.key
            end = key.rfind("}") + 1 or len(key)
            if key[:end] != whose or not places:
                whose = key[:end]
                caller = self._caller.copy()
                caller.update(whose.encode("utf-8", "surrogatepass"))
                both = caller.digest()
                bucket = int.from_bytes(both[CALLER_BYTES:], "big") % self._memory.buckets
                digest = both[:CALLER_BYTES]
            places.append((bucket, digest + self._name(key[end:])))
        return places

    def _digest_of_name(self, name: str) -> bytes:
        return blake2b(name.encode("utf-8", "surrogatepass"), key=self._memory.secret, digest_size=NAME_BYTES).digest()

    def _judge_alone(
        self, windows: Sequence[Window], now: int, cost: int, empty_since: float | None
    ) -> Sequence[Tally]:
        """With all their buckets locked."""
        places = self._places(windows)
        buckets = sorted({bucket for bucket, _ in places})
        try:
            self._memory.lock(buckets)
            return self._judge(windows, places, now, cost, empty_since)
        finally:
            self._memory.unlock(buckets)

    def _judge(
        self, windows: Sequence[Window], places: Sequence[Place], now: int, cost: int, empty_since: float | None
    ) -> Sequence[Tally]:
        since = None if empty_since is None else gcra.nanoseconds(empty_since)
        judged, admitted = [], True
        whose, known = b"", True
        for window, (bucket, key) in zip(windows, places, strict=True):
            pace = window.rate.pace
            if key[:CALLER_BYTES] != whose:
                whose = key[:CALLER_BYTES]
                known = self._table.knows(bucket, whose)  # of a caller who is new none is there: one search, not each
            slot, tat, ticks = self._table.look(bucket, key) if known else (ABSENT, 0, 0)
            if slot != ABSENT:
                window.mark = Mark(self._memory, bucket, key, slot, pace)
                tat = gcra.rescaled(tat, ticks, pace.ticks)
            if since is not None:
                tat = max(tat, gcra.emptied(since, pace))
            decision = gcra.judge(tat, now, pace, cost)
            admitted = admitted and decision.tally.admitted
            judged.append((bucket, key, slot, tat, pace, decision))
        if admitted:
            self._keep(judged, now / gcra.SECOND)
            return [each[-1].tally for each in judged]
        return [
            gcra.peek(tat, now, pace, cost) if tally.admitted else tally for _, _, _, tat, pace, (_, tally) in judged
        ]

    def _keep(self, judged: Sequence[Judged], now: float) -> None:
        absent = []
        for bucket, key, slot, _, pace, (tat, tally) in judged:
            if slot == ABSENT:
                absent.append((bucket, key, tat, pace.ticks, now + tally.resets_in))
            else:
                self._table.write(bucket, slot, tat, pace.ticks, now + tally.resets_in)
        # Last, for they may take over one of the slots that were just found.
        for bucket, key, tat, ticks, moment in absent:
            self._table.add(bucket, key, tat, ticks, moment, now)


def _unavailable(error: OSError) -> StoreUnavailable:
    return StoreUnavailable(f"The counters cannot be locked: {error.strerror}.")
