"""Series of numbers as a worker counts them: by itself at first, and on the sheet when `settle` says so.

A store into shared memory costs as much as all the rest of it, and those who were served in one turn of the loop add to
the same series.
"""

import logging
from math import inf
from typing import Any, Final

logger = logging.getLogger(__name__)

_NO_BUCKET: Final = -1


class Series:
    """Numbers that nobody else writes. Mutable: it counts."""

    __slots__ = ("before", "numbers", "touched")

    def __init__(self, numbers: "memoryview[float]") -> None:
        self.numbers = numbers
        self.touched = False  # it counted what is not on the sheet
        self.before: Series | None = None  # the one that was touched before it, for its tab

    def write(self) -> None:
        """Onto the sheet."""


class Tab:
    """The series of one process that counted what is not on its sheet. Mutable: `settle` empties it."""

    __slots__ = ("_last",)

    def __init__(self) -> None:
        self._last: Series | None = None

    def note(self, series: Series) -> None:
        """It counted."""
        if not series.touched:
            series.touched = True
            series.before = self._last
            self._last = series

    def settle(self) -> None:
        """Everything that was counted is on the sheet then. Nothing is raised."""
        series = self._last
        self._last = None
        while series is not None:
            before = series.before
            series.before = None
            series.touched = False
            try:
                series.write()
            except Exception:
                logger.exception("what was counted could not be written")
            series = before


class Counter(Series):
    """A series of one number.

    The place is an object of Python's (`Any`), made once; the compiler would make one for each look into the memory.
    """

    __slots__ = ("_at", "_count")

    def __init__(self, numbers: "memoryview[float]", at: int) -> None:
        super().__init__(numbers)
        self._at: Any = at
        self._count: float = numbers[at]

    def add(self, number: float) -> None:
        self._count += number

    def write(self) -> None:
        self.numbers[self._at] = self._count


class Histogram(Series):
    """A series of a sum and the count of each bucket.

    What falls into the bucket of the one before it, as most do, is counted in `_run`, which is no object.
    """

    __slots__ = (
        "_above",
        "_bounds",
        "_bucket",
        "_counts",
        "_highest",
        "_lowest",
        "_places",
        "_run",
        "_sum",
        "_sum_at",
        "_up_to",
    )

    def __init__(self, numbers: "memoryview[float]", at: int, bounds: tuple[float, ...]) -> None:
        super().__init__(numbers)
        self._sum_at: Any = at
        self._sum: float = numbers[at]
        self._bounds: list[float] = [-inf, *[float(bound) for bound in bounds], inf]
        self._places: list[Any] = [at + 1 + bucket for bucket in range(len(bounds) + 1)]
        self._counts: list[Any] = [numbers[place] for place in self._places]  # without the run
        self._bucket = _NO_BUCKET
        self._above = self._up_to = 0.0  # the bucket's
        self._run = 0.0
        self._lowest, self._highest = len(bounds), 0  # of the buckets that are not on the sheet

    def observe(self, value: float) -> None:
        """The bucket is the one that `bisect_left` would find."""
        self._sum += value
        if self._above < value <= self._up_to:
            self._run += 1.0
        else:
            self._turn_to(value)

    def _turn_to(self, value: float) -> None:
        """Another bucket's turn: most values have one of the first."""
        self._end_run()
        bucket, bounds = 0, self._bounds
        while value > bounds[bucket + 1]:
            bucket += 1
        self._bucket, self._above, self._up_to = bucket, bounds[bucket], bounds[bucket + 1]
        self._run = 1.0

    def _end_run(self) -> None:
        if self._run:
            bucket = self._bucket
            self._counts[bucket] += self._run
            self._run = 0.0
            self._lowest, self._highest = min(self._lowest, bucket), max(self._highest, bucket)

    def write(self) -> None:
        self._end_run()
        numbers, places, counts = self.numbers, self._places, self._counts
        numbers[self._sum_at] = self._sum
        for bucket in range(self._lowest, self._highest + 1):
            numbers[places[bucket]] = counts[bucket]
        self._lowest, self._highest = len(counts) - 1, 0
