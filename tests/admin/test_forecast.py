"""Where a month ends if it goes on as it has so far."""

from hypothesis import given
from hypothesis import strategies as st

from gatewayd.admin.forecast import forecast
from gatewayd.model import Balance, BillingPeriod

MONTH = BillingPeriod.named("2025-11")
DAY = 86_400


def balance(spent: int, limit: int = 0, period: str = "2025-11") -> Balance:
    return Balance("ann", "api_calls", period, limit, 0, spent)


def test_half_a_month_makes_twice_as_much() -> None:
    found = forecast(balance(50, 80), MONTH.starts_at + 15 * DAY)
    assert found is not None
    assert found.units == 100
    assert found.used_up_at == MONTH.starts_at + 24 * DAY


def test_who_stays_below_the_limit_does_not_meet_it() -> None:
    found = forecast(balance(50, 100), MONTH.starts_at + 15 * DAY)
    assert found is not None
    assert found.used_up_at == 0
    unlimited = forecast(balance(50), MONTH.starts_at + 15 * DAY)
    assert unlimited is not None
    assert unlimited.used_up_at == 0


def test_the_first_day_tells_nothing_nor_does_another_month_nor_nothing_spent() -> None:
    assert forecast(balance(5), MONTH.starts_at + DAY - 1) is None
    assert forecast(balance(5), MONTH.starts_at + DAY) is not None
    assert forecast(balance(5), MONTH.ends_at) is None
    assert forecast(balance(5, period="2025-10"), MONTH.starts_at + 15 * DAY) is None
    assert forecast(balance(0), MONTH.starts_at + 15 * DAY) is None


@given(st.integers(1, 10**15), st.integers(DAY, 30 * DAY - 1), st.integers(0, 10**15))
def test_it_is_never_less_than_what_is_spent_and_never_more_than_a_unit_too_much(
    spent: int, elapsed: int, limit: int
) -> None:
    found = forecast(balance(spent, limit), MONTH.starts_at + elapsed)
    assert found is not None
    assert spent <= found.units
    assert 0 <= found.units * elapsed - spent * 30 * DAY < elapsed
    assert bool(found.used_up_at) is (0 < limit < found.units)
    if found.used_up_at:
        assert MONTH.starts_at <= found.used_up_at <= MONTH.ends_at
