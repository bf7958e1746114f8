"""What is remembered of numbers is what would be written anew."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewayd.numerals import milliseconds, numeral


@given(st.integers())
def test_a_number_is_written_as_python_writes_it(number: int) -> None:
    assert [numeral(number), numeral(number)] == [str(number)] * 2


@pytest.mark.parametrize("number", [-1, 0, 1, 4_095, 4_096, 2**62, 2**63, 2**64])
def test_no_edge_of_what_is_remembered_is_seen(number: int) -> None:
    assert numeral(number) == str(number)


@given(st.integers(min_value=0, max_value=10**12))
def test_a_time_is_written_in_milliseconds_to_the_microsecond(microseconds: int) -> None:
    whole, part = divmod(microseconds, 1000)
    assert [milliseconds(microseconds / 1e6), milliseconds(microseconds / 1e6)] == [f"{whole}.{part:03d}"] * 2


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0, "0.000"), (0.000_000_4, "0.000"), (0.000_000_6, "0.001"), (0.016_383, "16.383"), (0.016_384, "16.384")],
)
def test_half_a_microsecond_is_rounded_up(seconds: float, text: str) -> None:
    assert milliseconds(seconds) == text
