import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewayd.model import PERIOD_SECONDS, Rate, Tally
from gatewayd.stores import gcra
from gatewayd.stores.gcra import SECOND, Decision, full_at, nanoseconds, rescaled

rates = st.builds(
    Rate,
    limit=st.integers(1, 5_000),
    period=st.sampled_from(sorted(PERIOD_SECONDS)),
    burst=st.integers(0, 200),
)
NOW = 1_000 * SECOND


def judge(tat: int, now: int, rate: Rate, cost: int = 1) -> Decision:
    """In the ticks that are kept; in others that are exact too, it would come to the same."""
    decision, fine = gcra.judge(tat, now, rate.pace, cost), rate.fine
    common = fine.ticks // rate.pace.ticks
    assert gcra.judge(tat * common, now, fine, cost) == Decision(decision.tat * common, decision.tally)
    return decision


def peek(tat: int, now: int, rate: Rate, cost: int = 1) -> Tally:
    return gcra.peek(tat, now, rate.pace, cost)


def drained(rate: Rate, now: int = NOW) -> int:
    tat = 0
    for _ in range(rate.burst):
        tat = judge(tat, now, rate).tat
    return tat


def test_the_first_of_sixty_a_minute_leaves_fifty_nine_and_is_full_again_in_a_second() -> None:
    assert judge(0, NOW, Rate(60, "minute")).tally == Tally(True, 59, 1.0, 0.0)


def test_after_the_burst_the_next_waits_one_interval() -> None:
    rate = Rate(60, "minute", burst=20)
    decision = judge(drained(rate), NOW, rate)
    assert decision.tally == Tally(False, 0, 20.0, 1.0)
    assert decision.tat == drained(rate)


@pytest.mark.parametrize("rate", [Rate(7, "second"), Rate(3, "second"), Rate(7, "minute"), Rate(999, "hour")], ids=str)
def test_an_interval_that_is_no_whole_number_does_not_drift(rate: Rate) -> None:
    assert judge(drained(rate), NOW, rate).tally.resets_in == rate.seconds


def test_who_had_a_larger_burst_is_told_the_whole_time_until_the_next_fits_into_the_smaller_one() -> None:
    rate = Rate(60, "minute", burst=5)
    assert judge(drained(Rate(60, "minute")), NOW, rate).tally == Tally(False, 0, 60.0, 56.0)


def test_a_look_takes_nothing_and_tells_what_is_left() -> None:
    rate = Rate(60, "minute", burst=5)
    assert peek(0, NOW, rate) == Tally(True, 5, 0.0, 0.0)
    assert peek(judge(0, NOW, rate).tat, NOW + SECOND // 2, rate) == Tally(True, 4, 0.5, 0.0)


@given(rate=rates, now=st.integers(0, 10**18), since=st.integers(0, 10**13))
def test_a_lone_caller_who_waits_the_whole_seconds_told_is_admitted(rate: Rate, now: int, since: int) -> None:
    tat = drained(rate, now)
    refused = judge(tat, now + since, rate).tally
    if not refused.admitted:
        assert 0 < refused.retry_in <= rate.seconds
        assert judge(tat, now + since + math.ceil(refused.retry_in) * SECOND, rate).tally.admitted
        assert judge(tat, now + since + round(refused.retry_in * SECOND), rate).tally.admitted


@given(rate=rates, steps=st.lists(st.integers(0, 10**11), max_size=60))
def test_it_admits_exactly_what_a_leaky_bucket_of_fractions_admits(rate: Rate, steps: list[int]) -> None:
    tat, now, level = 0, NOW, Fraction(0)
    for step in steps:
        now += step
        level = max(Fraction(0), level - Fraction(step * rate.limit, rate.seconds * SECOND))
        decision = judge(tat, now, rate)
        tat = decision.tat
        assert decision.tally.admitted == (level + 1 <= rate.burst)
        level += decision.tally.admitted
        assert decision.tally.remaining == math.floor(rate.burst - level)
        resets_in = level * rate.seconds / rate.limit
        assert resets_in <= Fraction(round(decision.tally.resets_in * SECOND), SECOND) < resets_in + Fraction(1, SECOND)


@given(rate=rates, steps=st.lists(st.integers(0, 10**10), min_size=1, max_size=60))
def test_no_stretch_of_time_admits_more_than_the_burst_and_the_rate(rate: Rate, steps: list[int]) -> None:
    tat, now, admitted = 0, NOW, list[int]()
    for step in steps:
        now += step
        decision = judge(tat, now, rate)
        tat = decision.tat
        admitted += [now] * decision.tally.admitted
    for first, start in enumerate(admitted):
        for last in range(first, len(admitted)):
            elapsed = Fraction(admitted[last] - start, SECOND)
            assert last - first + 1 <= rate.burst + rate.limit * elapsed / rate.seconds


@given(rate=rates, other=rates, backlog=st.integers(0, 10**15))
def test_a_changed_limit_keeps_the_moment_at_which_the_bucket_is_full(rate: Rate, other: Rate, backlog: int) -> None:
    before, after = rate.pace.ticks, other.pace.ticks
    tat = NOW * before + backlog
    moved = full_at(rescaled(tat, before, after), after)
    assert 0 <= moved - full_at(tat, before) <= 1


def test_seconds_become_the_nearest_nanosecond() -> None:
    assert nanoseconds(1_001.1) == 1_001_100_000_000


@given(rate=rates, cost=st.integers(1, 9), steps=st.lists(st.integers(0, 10**11), max_size=40))
def test_who_counts_several_for_one_is_admitted_as_with_a_share_of_the_rate(
    rate: Rate, cost: int, steps: list[int]
) -> None:
    tat, now, level = 0, NOW, Fraction(0)
    for step in steps:
        now += step
        level = max(Fraction(0), level - Fraction(step * rate.limit, rate.seconds * SECOND))
        decision = judge(tat, now, rate, cost)
        tat = decision.tat
        assert decision.tally.admitted == (level + cost <= rate.burst)
        level += cost * decision.tally.admitted
        assert decision.tally.remaining == math.floor((rate.burst - level) / cost)
        assert peek(tat, now, rate, cost).remaining == decision.tally.remaining


@given(rate=rates)
def test_a_bucket_that_was_used_up_is_as_one_that_was_drained(rate: Rate) -> None:
    assert gcra.emptied(NOW, rate.pace) == drained(rate)
