"""Statistics of a series of numbers that a few wild values do not upset: outliers, trend, change, correlation."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from statistics import fmean, median
from typing import Final

MOST_SCORE: Final = 1e6
# Scale a median and a mean deviation to the standard deviation of a normal distribution (Iglewicz and Hoaglin, 1993).
_MEDIAN_TO_SIGMA: Final = 1.4826
_MEAN_TO_SIGMA: Final = 1.2533
# The 5 % point of the largest excursion of a Brownian bridge: chance alone rarely goes further.
_CUSUM_LIMIT: Final = 1.358
_CLEAR_FIT: Final = 0.5


@dataclass(frozen=True, slots=True)
class Trend:
    """The least-squares line: its rise per step and over the whole series, and the share of variance it explains."""

    slope_per_step: float
    change: float
    r_squared: float
    direction: str


@dataclass(frozen=True, slots=True)
class ChangePoint:
    """From `index` on the level is another; `confidence` is the excursion of the sums over its 5 % limit."""

    index: int
    before: float
    after: float
    confidence: float


def robust_scores(values: Sequence[float]) -> list[float]:
    """How many standard deviations each value lies from the median, within ±1,000,000.

    The deviation is the median one (MAD), or the mean one where more than half of the values are equal.
    """
    middle = median(values)
    deviations = [abs(value - middle) for value in values]
    sigma = median(deviations) * _MEDIAN_TO_SIGMA or fmean(deviations) * _MEAN_TO_SIGMA
    if not sigma:
        return [0.0] * len(values)
    return [max(-MOST_SCORE, min(MOST_SCORE, (value - middle) / sigma)) for value in values]


def trend(times: Sequence[float], values: Sequence[float]) -> Trend:
    """The line through the points; `times` rise strictly. A poor fit, or none, is `flat`."""
    if min(values) == max(values):
        return Trend(0.0, 0.0, 0.0, "flat")
    span = times[-1] - times[0]
    places = [(time - times[0]) / span for time in times]
    change = _covariance(places, values) / _covariance(places, places)
    r_squared = min(1.0, correlation(places, values) ** 2)
    direction = "flat" if r_squared < _CLEAR_FIT else "rising" if change > 0 else "falling"
    return Trend(change / (len(values) - 1), change, r_squared, direction)


def change_point(values: Sequence[float]) -> ChangePoint | None:
    """Where the cumulated distance from the mean is largest, if chance would rarely take it so far."""
    if min(values) == max(values):
        return None
    mean = fmean(values)
    sums = list(accumulate(value - mean for value in values))[:-1]
    last = max(range(len(sums)), key=lambda place: abs(sums[place]))
    sigma = math.sqrt(_covariance(values, values) / len(values))
    excursion = abs(sums[last]) / (sigma * math.sqrt(len(values)))
    if excursion <= _CUSUM_LIMIT:
        return None
    return ChangePoint(last + 1, fmean(values[: last + 1]), fmean(values[last + 1 :]), excursion / _CUSUM_LIMIT)


def correlation(left: Sequence[float], right: Sequence[float]) -> float:
    """Pearson's coefficient, -1 to 1; 0 when one of the two does not vary."""
    spread = math.sqrt(_covariance(left, left)) * math.sqrt(_covariance(right, right))
    return max(-1.0, min(1.0, _covariance(left, right) / spread)) if spread else 0.0


def _covariance(left: Sequence[float], right: Sequence[float]) -> float:
    """The sum of the products of both deviations, not divided by their number."""
    left_mean, right_mean = fmean(left), fmean(right)
    return math.fsum((a - left_mean) * (b - right_mean) for a, b in zip(left, right, strict=True))
