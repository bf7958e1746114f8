"""The last minutes of counts, so that rates and shares can be told. Bounded: a minute of counts, five of rates."""

from collections import deque
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Final

from gatewayd.admin.counts import Counts

WINDOW: Final = 60.0
"""Seconds that "the last minute" has."""
STEP: Final = 5.0
STEPS: Final = 60
"""A series has so many points, each of so many seconds: five minutes."""
_SPACING: Final = 0.9  # seconds between two counts that are kept


class History:
    """Mutable: it is shown one count after the other."""

    def __init__(self) -> None:
        self._kept: deque[Counts] = deque()
        self._marks: deque[Counts] = deque(maxlen=STEPS + 1)

    def add(self, counts: Counts, uptime: float) -> None:
        """Remember it; the first one of a young daemon follows on its start, when nothing had been counted."""
        if not self._kept and uptime < WINDOW:
            self._keep(Counts(counts.at - max(uptime, _SPACING)))
        if not self._kept or counts.at - self._kept[-1].at >= _SPACING:
            self._keep(counts)

    def _keep(self, counts: Counts) -> None:
        self._kept.append(counts)
        while len(self._kept) > 1 and self._kept[1].at <= counts.at - WINDOW:
            self._kept.popleft()
        if not self._marks or counts.at - self._marks[-1].at >= STEP:
            self._marks.append(counts)

    def lately(self, counts: Counts, seconds: float = WINDOW) -> Counts:
        """What came on top in the last so many seconds before this count."""
        earlier = [each for each in self._kept if each.at <= counts.at - seconds]
        before = earlier[-1] if earlier else self._kept[0] if self._kept else counts
        return counts.since(before)

    def series(self) -> Mapping[str, Sequence[tuple[float, float]]]:
        """Requests and failures a second by route, oldest first, a point for each step."""
        marks = list(self._marks)
        names = {name for mark in marks for name in mark.routes}
        return {name: [_rates(before, after, name) for before, after in pairwise(marks)] for name in names}


def _rates(before: Counts, after: Counts, name: str) -> tuple[float, float]:
    took = max(after.at - before.at, _SPACING)
    new = after.of(name).since(before.of(name))
    return new.total / took, new.failed / took
