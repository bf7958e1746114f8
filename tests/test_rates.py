"""Rates check themselves, and what is made of them stays as it was made."""

import math
import pickle
from collections.abc import Callable
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewayd.rates import PERIOD_SECONDS, Rate, Tally, Window


@pytest.mark.parametrize(
    ("make", "message"),
    [
        pytest.param(lambda: Rate(0, "minute"), "at least 1", id="a limit of 0"),
        pytest.param(lambda: Rate(1, "week"), "second, minute, hour, day", id="an unknown period"),
        pytest.param(lambda: Rate(1, "day", -1), "at least 1", id="a negative burst"),
    ],
)
def test_an_invalid_rate_cannot_be_made(make: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_a_rate_without_a_burst_lets_its_limit_through_at_once() -> None:
    assert (Rate(60, "minute").burst, Rate(60, "minute", 20).burst, Rate(5, "day").seconds) == (60, 20, 86400)


def test_a_rate_is_handed_to_other_processes_as_it_is() -> None:
    for rate in (Rate(5, "minute"), Rate(60, "minute", 20)):
        handed = pickle.loads(pickle.dumps(rate))
        assert (handed, handed.pace, handed.fine) == (rate, rate.pace, rate.fine)


@given(limit=st.integers(1, 10**12), period=st.sampled_from(sorted(PERIOD_SECONDS)), burst=st.integers(1, 10**6))
def test_a_pace_is_the_rate_in_the_longest_ticks_that_are_exact(limit: int, period: str, burst: int) -> None:
    rate = Rate(limit, period, burst)
    for pace in (rate.pace, rate.fine):
        assert Fraction(pace.interval, pace.ticks) == Fraction(rate.seconds * 10**9, limit)
        assert pace.room == burst * pace.interval
    assert (rate.fine.ticks, math.gcd(rate.pace.ticks, rate.pace.interval)) == (limit, 1)


def test_a_window_and_a_tally_say_what_they_were_made_of_and_equal_their_likes() -> None:
    rate = Rate(5, "minute")
    assert Window("key", "name", rate) == Window(key="key", name="name", rate=rate)
    assert len({Window("key", "name", rate), Window("key", "name", rate), Window("other", "name", rate)}) == 2
    said = "Tally(admitted=True, remaining=4, resets_in=12.0, retry_in=0.0)"
    assert repr(Tally(True, 4, 12.0, 0.0)) == said
