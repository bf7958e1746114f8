"""Quantiles of what was only counted in buckets. Arithmetic only."""

from collections.abc import Sequence
from itertools import accumulate


def quantile(share: float, bounds: Sequence[float], counts: Sequence[float]) -> float | None:
    """The value that this share of all is at most, read off evenly within its bucket (as Prometheus does).

    `counts` has one more than `bounds`, for what is beyond the last bound, which is then the answer. None: no values.
    """
    sums = list(accumulate(counts))
    if not sums or not sums[-1]:
        return None
    rank = share * sums[-1]
    place = next(index for index, reached in enumerate(sums) if reached >= rank and reached)
    if place == len(bounds):
        return float(bounds[-1])
    low = bounds[place - 1] if place else 0.0
    before = sums[place] - counts[place]
    return low + (bounds[place] - low) * (rank - before) / counts[place]
