"""Quantiles read off buckets."""

from hypothesis import given
from hypothesis import strategies as st

from gatewayd.admin.quantiles import quantile

BOUNDS = (1.0, 2.0, 4.0)


def test_of_nothing_there_is_none() -> None:
    assert quantile(0.95, BOUNDS, (0, 0, 0, 0)) is None
    assert quantile(0.95, BOUNDS, ()) is None


def test_it_is_read_off_evenly_within_its_bucket() -> None:
    assert quantile(0.5, BOUNDS, (0, 10, 0, 0)) == 1.5
    assert quantile(0.95, BOUNDS, (95, 5, 0, 0)) == 1.0
    assert quantile(0.25, BOUNDS, (1, 1, 2, 0)) == 1.0
    assert quantile(1.0, BOUNDS, (1, 1, 2, 0)) == 4.0


def test_what_is_beyond_the_last_bound_is_that_bound() -> None:
    assert quantile(0.95, BOUNDS, (0, 0, 0, 3)) == 4.0


@given(st.lists(st.floats(0, 4), min_size=1), st.floats(0.01, 1))
def test_it_lies_in_the_bucket_of_the_value_that_it_stands_for(values: list[float], share: float) -> None:
    counts = [sum(low < value <= high for value in values) for low, high in ((-1, 1), (1, 2), (2, 4), (4, 9))]
    found = quantile(share, BOUNDS, counts)
    true = sorted(values)[max(0, -(-int(share * len(values) * 1e9) // int(1e9)) - 1)]
    low, high = next((low, high) for low, high in ((0, 1), (1, 2), (2, 4)) if true <= high)
    assert found is not None
    assert low <= found <= high
