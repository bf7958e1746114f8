"""The statistics are right, and finite for every series that may be given."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatewayd.demo.series import MOST_SCORE, change_point, correlation, robust_scores, trend

VALUES = st.lists(
    st.floats(-1e15, 1e15).map(lambda value: value if abs(value) >= 1e-100 else 0.0), min_size=3, max_size=30
)


def test_an_outlier_does_not_hide_itself() -> None:
    scores = robust_scores([10, 11, 9, 10, 100, 10, 11, 9])
    assert max(map(abs, scores[:4])) < 2
    assert scores[4] == pytest.approx((100 - 10) / (1 * 1.4826))


def test_where_most_values_are_equal_the_mean_deviation_counts() -> None:
    scores = robust_scores([5, 5, 5, 5, 9])
    assert scores == [0, 0, 0, 0, pytest.approx(4 / (0.8 * 1.2533))]


def test_a_constant_series_is_not_unusual() -> None:
    values = [0.1] * 10
    assert robust_scores(values) == [0.0] * 10
    assert trend(range(10), values).direction == "flat"
    assert change_point(values) is None


@pytest.mark.parametrize(
    ("values", "direction", "slope"),
    [
        pytest.param([1, 3, 5, 7], "rising", 2, id="rising"),
        pytest.param([7, 5, 3, 1], "falling", -2, id="falling"),
        pytest.param([1, 5, 1, 5, 1], "flat", 0, id="back and forth"),
    ],
)
def test_a_trend_is_the_least_squares_line(values: list[float], direction: str, slope: float) -> None:
    found = trend(range(len(values)), values)
    assert found.direction == direction
    assert found.slope_per_step == pytest.approx(slope)
    assert found.change == pytest.approx(slope * (len(values) - 1))


def test_a_trend_follows_the_times() -> None:
    assert trend([0, 10, 100], [0, 1, 10]).r_squared == pytest.approx(1)
    assert trend([0, 1, 2], [0, 1, 10]).r_squared < 0.9


def test_a_new_level_is_found_where_it_begins() -> None:
    found = change_point([1, 2, 1, 2, 1, 2, 9, 8, 9, 8, 9, 8])
    assert found is not None
    assert (found.index, found.before, found.after) == (6, 1.5, 8.5)
    assert found.confidence > 1


@pytest.mark.parametrize(
    "values", [[1, 2] * 10, [1] * 10 + [50] + [1] * 10], ids=["back and forth", "a single outlier"]
)
def test_what_returns_is_no_new_level(values: list[float]) -> None:
    assert change_point(values) is None


def test_correlation_is_pearsons() -> None:
    assert correlation([1, 2, 3], [2, 4, 6]) == pytest.approx(1)
    assert correlation([1, 2, 3], [6, 4, 2]) == pytest.approx(-1)
    assert correlation([1, 2, 3], [5, 5, 5]) == 0


@settings(deadline=None)
@given(VALUES)
def test_every_figure_is_finite(values: list[float]) -> None:
    found, change = trend(range(len(values)), values), change_point(values)
    figures = [
        *robust_scores(values),
        found.slope_per_step,
        found.change,
        found.r_squared,
        correlation(values, values),
    ]
    if change:
        assert 0 < change.index < len(values)
        figures += [change.before, change.after, change.confidence]
    assert all(map(math.isfinite, figures))
    assert max(map(abs, robust_scores(values))) <= MOST_SCORE


@settings(deadline=None)
@given(VALUES, st.lists(st.floats(-1e15, 1e15), min_size=30, max_size=30, unique=True))
def test_any_rising_times_do(values: list[float], times: list[float]) -> None:
    found = trend(sorted(times)[: len(values)], values)
    assert all(map(math.isfinite, (found.slope_per_step, found.change, found.r_squared)))
