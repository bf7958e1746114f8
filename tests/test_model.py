"""The nouns check themselves."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewayd.model import Balance, BillingPeriod, Hold, Outcome, Rate, UsageRecord


def hold(units: int = 1, limit: int = 1, cost: int = 1) -> Hold:
    return Hold("id", "ann", "free", "email", "email", "api_calls", units, limit, cost, 1_764_000_000.0)


def record(quantity: int) -> UsageRecord:
    return UsageRecord("id", "ann", "free", "e", "e", "u", quantity, Outcome.DELIVERED, 200, 0.0, 0.0, 0, 0)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        pytest.param(lambda: Rate(0, "minute"), "at least 1", id="a limit of 0"),
        pytest.param(lambda: Rate(1, "week"), "second, minute, hour, day", id="an unknown period"),
        pytest.param(lambda: Rate(1, "day", -1), "at least 1", id="a negative burst"),
        pytest.param(lambda: hold(units=-1), "not negative", id="negative units"),
        pytest.param(lambda: hold(limit=-1), "not negative", id="a negative limit"),
        pytest.param(lambda: hold(cost=-1), "not negative", id="a negative cost"),
        pytest.param(lambda: record(-1), "not negative", id="a negative quantity"),
        pytest.param(lambda: BillingPeriod.named("2026-13"), "unconverted data remains", id="no month"),
        pytest.param(lambda: BillingPeriod.named("2026-1"), "written as 2026-11", id="a month of one digit"),
        pytest.param(lambda: BillingPeriod.named("all"), "all", id="no date"),
    ],
)
def test_an_invalid_noun_cannot_be_made(make: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_a_rate_without_a_burst_lets_its_limit_through_at_once() -> None:
    assert (Rate(60, "minute").burst, Rate(60, "minute", 20).burst, Rate(5, "day").seconds) == (60, 20, 86400)


@given(st.datetimes(datetime(1970, 1, 2), datetime(2099, 12, 30), timezones=st.just(UTC)))  # noqa: DTZ001
def test_every_moment_lies_in_the_month_that_is_named_for_it(moment: datetime) -> None:
    period = BillingPeriod.at(moment.timestamp())
    assert period.starts_at <= moment.timestamp() < period.ends_at
    assert period.name == f"{moment:%Y-%m}"
    assert BillingPeriod.at(period.ends_at).starts_at == period.ends_at


@pytest.mark.parametrize(
    ("name", "resets_at"),
    [("2025-12", "2026-01-01T00:00:00Z"), ("2026-11", "2026-12-01T00:00:00Z"), ("2028-02", "2028-03-01T00:00:00Z")],
)
def test_a_period_resets_at_the_first_moment_of_the_next_month(name: str, resets_at: str) -> None:
    assert BillingPeriod.named(name).resets_at == resets_at


def test_a_hold_belongs_to_the_month_it_began_in() -> None:
    assert hold().period == "2025-11"


@pytest.mark.parametrize(
    ("limit", "held", "spent", "remaining"),
    [(10, 2, 3, 5), (10, 0, 12, 0), (10, 10, 0, 0), (0, 5, 5, None)],
    ids=["some left", "overspent", "all held", "not limited"],
)
def test_what_remains_is_what_can_still_be_held(limit: int, held: int, spent: int, remaining: int | None) -> None:
    assert Balance("ann", "u", "2025-11", limit, held, spent).remaining == remaining
