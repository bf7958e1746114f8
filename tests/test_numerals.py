"""What is remembered of numbers is what would be written anew."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewayd.numerals import THOUSANDTHS, Milliseconds, microseconds, numeral


@given(st.integers())
def test_a_number_is_written_as_python_writes_it(number: int) -> None:
    assert [numeral(number), numeral(number)] == [str(number)] * 2


@pytest.mark.parametrize("number", [-1, 0, 1, 4_095, 4_096, 2**62, 2**63, 2**64])
def test_no_edge_of_what_is_remembered_is_seen(number: int) -> None:
    assert numeral(number) == str(number)


@given(st.one_of(st.integers(min_value=0, max_value=10**12), st.integers(min_value=4_095_000, max_value=4_097_000)))
def test_a_time_is_written_in_milliseconds_to_the_microsecond(number: int) -> None:
    whole, part = divmod(number, 1000)
    took = Milliseconds(b"took ")
    assert microseconds(number / 1e6) == number
    assert took.whole(number) + THOUSANDTHS[number % 1000] == took.text(number) == b"took %d.%03d" % (whole, part)


@pytest.mark.parametrize(("seconds", "number"), [(0.0, 0), (0.000_000_4, 0), (0.000_000_6, 1), (0.016_383, 16_383)])
def test_half_a_microsecond_is_rounded_up(seconds: float, number: int) -> None:
    assert microseconds(seconds) == number
