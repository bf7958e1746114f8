"""Counters in this process's own memory (`memory:`): exact, bounded, gone with the process."""

import heapq
from collections.abc import Sequence
from typing import Final

from gatewayd.clock import Clock
from gatewayd.errors import StoreUnavailable
from gatewayd.model import Tally, Window
from gatewayd.stores import gcra

CAPACITY: Final = 131_072
EVICTION_STEPS: Final = 8


class MemoryCounters:
    """One number a key, for at most `capacity` keys; mutable because counting is what it does.

    When the table is full, a new key takes the place of one whose bucket has refilled (which loses nothing),
    or else of the one found nearest to full. That one's caller starts again with a full bucket, so it may be
    let through sooner than its rate says, by no more than what was still refilling. A flood of new callers,
    each seen once, is nearest to full itself and so displaces itself, not the busy.

    The search looks at no more than `EVICTION_STEPS` keys: the heap holds every key once, by the time at
    which it was full when last looked at, and a key that was used since goes back by its present time.
    """

    def __init__(self, clock: Clock, *, capacity: int = CAPACITY) -> None:
        if capacity < 1:
            raise ValueError("a capacity must be at least 1")
        self._clock = clock
        self._capacity = capacity
        self._kept: dict[str, tuple[int, int]] = {}
        self._by_full: list[tuple[int, str]] = []
        self._closed = False

    def __len__(self) -> int:
        """The keys kept at present."""
        return len(self._kept)

    async def take(self, windows: Sequence[Window]) -> Sequence[Tally]:
        """As `Counters.take`, for windows of distinct keys; never awaits, so nothing comes between."""
        if self._closed:
            raise StoreUnavailable("The counters are closed.")
        now = gcra.nanoseconds(self._clock.monotonic())
        tats = [self._tat(window) for window in windows]
        judged = [gcra.judge(tat, now, window.rate) for tat, window in zip(tats, windows, strict=True)]
        if all(decision.tally.admitted for decision in judged):
            for window, decision in zip(windows, judged, strict=True):
                self._keep(window, decision.tat)
            return [decision.tally for decision in judged]
        return [
            gcra.peek(tat, now, window.rate) if decision.tally.admitted else decision.tally
            for tat, window, decision in zip(tats, windows, judged, strict=True)
        ]

    async def close(self) -> None:
        self._closed = True
        self._kept.clear()
        self._by_full.clear()

    def _tat(self, window: Window) -> int:
        tat, limit = self._kept.get(window.key, (0, window.rate.limit))
        return tat if limit == window.rate.limit else gcra.rescaled(tat, limit, window.rate.limit)

    def _keep(self, window: Window, tat: int) -> None:
        if window.key not in self._kept:
            if len(self._kept) >= self._capacity:
                self._evict()
            heapq.heappush(self._by_full, (gcra.full_at(tat, window.rate.limit), window.key))
        self._kept[window.key] = (tat, window.rate.limit)

    def _evict(self) -> None:
        looked_at: list[tuple[int, str]] = []
        while self._by_full and len(looked_at) < EVICTION_STEPS:
            seen, key = heapq.heappop(self._by_full)
            looked_at.append((gcra.full_at(*self._kept[key]), key))
            if looked_at[-1][0] <= seen:
                break
        nearest = min(looked_at)
        looked_at.remove(nearest)
        del self._kept[nearest[1]]
        for item in looked_at:
            heapq.heappush(self._by_full, item)
