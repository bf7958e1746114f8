"""Metrics are read, or the point at fault is named."""

from typing import Any

import pytest

from gatewayd.demo.fields import Fault, Fields
from gatewayd.demo.measurements import read_metrics


def test_numbers_are_numbered_and_points_keep_their_times() -> None:
    metrics = {"a": [1, 2.5, 1e-300], "b": [{"t": 10, "v": 1}, {"t": 20, "v": 2}, {"t": 30.5, "v": 3}]}
    first, second = read_metrics(Fields({"metrics": metrics}))
    assert (first.name, first.times, first.values) == ("a", (0, 1, 2), (1, 2.5, 0))
    assert (second.times, second.values) == ((10, 20, 30.5), (1, 2, 3))


def test_dates_are_times() -> None:
    times = ["2025-11-24T16:00:00Z", "2025-11-24T16:00:01", "2025-11-24T18:00:02+02:00"]
    [series] = read_metrics(Fields({"metrics": {"a": [{"t": time, "v": 1} for time in times]}}))
    assert series.times == (1_764_000_000, 1_764_000_001, 1_764_000_002)


@pytest.mark.parametrize(
    ("metrics", "reason"),
    [
        pytest.param(None, "metrics must", id="none"),
        pytest.param([1, 2, 3], "metrics must", id="a list"),
        pytest.param({}, "metrics must", id="empty"),
        pytest.param({str(n): [1, 2, 3] for n in range(21)}, "metrics must", id="too many"),
        pytest.param({" ": [1, 2, 3]}, "entry 1, must have a name", id="no name"),
        pytest.param({"x" * 101: [1, 2, 3]}, "entry 1, must have a name", id="a long name"),
        pytest.param({"a": 5}, "entry 1, must be a list", id="a number"),
        pytest.param({"a": [1, 2]}, "entry 1, must be a list", id="too few points"),
        pytest.param({"a": [1] * 5_001}, "entry 1, must be a list", id="too many points"),
        pytest.param({"a": [1, 2, 3], "b": [1, "2", 3]}, "entry 2, point 1, must be a number", id="a text"),
        pytest.param({"a": [1, True, 3]}, "point 1, must be a number", id="a boolean"),
        pytest.param({"a": [1, None, 3]}, "point 1, must be a number", id="a null"),
        pytest.param({"a": [1, float("nan"), 3]}, "point 1, must be a number", id="NaN"),
        pytest.param({"a": [1, 10**400, 3]}, "point 1, must be a number", id="huge"),
        pytest.param({"a": [1, 1e16, 3]}, "point 1, must be a number", id="large"),
        pytest.param({"a": [{"t": 1}, 2, 3]}, "point 0, must be a number", id="no value"),
        pytest.param({"a": [{"t": None, "v": 1}, 2, 3]}, "point 0, t must be", id="time null"),
        pytest.param({"a": [{"t": "noon", "v": 1}, 2, 3]}, "point 0, t must be", id="time no date"),
        pytest.param({"a": [{"t": 2, "v": 1}, {"t": 2, "v": 1}, {"t": 3, "v": 1}]}, "times that rise", id="time twice"),
    ],
)
def test_what_is_no_series_is_named(metrics: Any, reason: str) -> None:
    with pytest.raises(Fault, match=reason) as raised:
        read_metrics(Fields({"metrics": metrics}))
    assert raised.value.status == 400
