"""The `metrics` of a request → series of finite numbers, or the `Fault` that names the point at fault."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from typing import Final

from gatewayd.demo.fields import Fields, finite, invalid

FEWEST_POINTS: Final = 3
MOST_POINTS: Final = 5_000
MOST_METRICS: Final = 20
_MOST_NAME: Final = 100
_LARGEST: Final = 1e15
_SMALLEST: Final = 1e-100  # what is nearer to 0 is 0: squares of it would vanish


@dataclass(frozen=True, slots=True)
class Series:
    """A metric's points: `times` in the unit they were given in, strictly rising; their number when none were."""

    name: str
    times: tuple[float, ...]
    values: tuple[float, ...]


def read_metrics(fields: Fields) -> list[Series]:
    """`{"metrics": {name: [number or {"t", "v"}, …]}}`; raises `Fault` for anything else."""
    metrics = fields.values.get("metrics")
    if not isinstance(metrics, dict) or not 1 <= len(metrics) <= MOST_METRICS:
        raise invalid("metrics", f"must be an object of 1 to {MOST_METRICS} metrics, each a list of points")
    return [_series(number, name, points) for number, (name, points) in enumerate(metrics.items(), 1)]


def _series(number: int, name: str, points: object) -> Series:
    where = f"metrics, entry {number},"
    if not name.strip() or len(name) > _MOST_NAME:
        raise invalid(where, f"must have a name of 1 to {_MOST_NAME} characters")
    if not isinstance(points, list) or not FEWEST_POINTS <= len(points) <= MOST_POINTS:
        raise invalid(where, f"must be a list of {FEWEST_POINTS} to {MOST_POINTS} points")
    read = [_point(f"{where} point {index},", index, point) for index, point in enumerate(points)]
    if not all(earlier < later for (earlier, _), (later, _) in pairwise(read)):
        raise invalid(where, "must have times that rise from point to point")
    return Series(name, tuple(time for time, _ in read), tuple(value for _, value in read))


def _point(where: str, index: int, point: object) -> tuple[float, float]:
    if not isinstance(point, Mapping):
        return float(index), _value(where, point)
    return _time(where, point.get("t", index)), _value(where, point.get("v"))


def _value(where: str, value: object) -> float:
    number = finite(value, where, low=-_LARGEST, high=_LARGEST)
    return number if abs(number) >= _SMALLEST else 0.0


def _time(where: str, time: object) -> float:
    """A number, or an ISO 8601 date and time (UTC unless it says otherwise) as seconds since the epoch."""
    if not isinstance(time, str):
        return finite(time, f"{where} t", low=-_LARGEST, high=_LARGEST)
    try:
        moment = datetime.fromisoformat(time)
    except ValueError as error:
        raise invalid(f"{where} t", "must be a number or an ISO 8601 date and time") from error
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
