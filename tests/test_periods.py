"""Every moment lies in one month, and is written so that it stays there."""

from datetime import UTC, datetime
from math import floor, nextafter

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from gatewayd.periods import BillingPeriod, month_at, rfc3339


@pytest.mark.parametrize(
    ("name", "message"),
    [("2026-13", "unconverted data remains"), ("2026-1", "written as 2026-11"), ("all", "all")],
    ids=["no month", "a month of one digit", "no date"],
)
def test_what_is_no_month_is_refused(name: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        BillingPeriod.named(name)


@given(st.datetimes(datetime(1970, 1, 2), datetime(2099, 12, 30), timezones=st.just(UTC)))  # noqa: DTZ001
def test_every_moment_lies_in_the_month_that_is_named_for_it(moment: datetime) -> None:
    period = BillingPeriod.at(moment.timestamp())
    assert period.starts_at <= moment.timestamp() < period.ends_at
    assert period.name == month_at(moment.timestamp()) == f"{moment:%Y-%m}"
    assert BillingPeriod.at(period.ends_at).starts_at == period.ends_at


@given(st.lists(st.sampled_from([-65, -64, -1, 0, 1, 63, 64, 65, 128, 1_764_000_000, 1_764_000_064]), min_size=1))
def test_a_second_is_written_as_it_is_whichever_were_written_before(seconds: list[int]) -> None:
    for utc in seconds:
        assert rfc3339(float(utc)) == f"{datetime.fromtimestamp(utc, UTC):%Y-%m-%dT%H:%M:%S}.000Z"


@given(st.lists(st.sampled_from(["2025-11", "2025-12", "2026-01"]), min_size=1))
def test_the_edges_of_a_month_are_its_own_whichever_month_was_asked_for_before(names: list[str]) -> None:
    for name in names:
        period = BillingPeriod.named(name)
        assert [month_at(period.starts_at), month_at(nextafter(period.ends_at, 0.0))] == [name, name]


@pytest.mark.parametrize(
    ("name", "resets_at"),
    [("2025-12", "2026-01-01T00:00:00Z"), ("2026-11", "2026-12-01T00:00:00Z"), ("2028-02", "2028-03-01T00:00:00Z")],
)
def test_a_period_resets_at_the_first_moment_of_the_next_month(name: str, resets_at: str) -> None:
    assert BillingPeriod.named(name).resets_at == resets_at


@pytest.mark.parametrize(
    ("utc", "text"),
    [
        (0.0, "1970-01-01T00:00:00.000Z"),
        (1_764_000_000.0, "2025-11-24T16:00:00.000Z"),
        (1_764_000_000.0129, "2025-11-24T16:00:00.012Z"),
        (1_764_547_199.9999, "2025-11-30T23:59:59.999Z"),
        (-0.25, "1969-12-31T23:59:59.750Z"),
    ],
)
def test_a_moment_is_written_in_milliseconds_cut_and_not_rounded(utc: float, text: str) -> None:
    assert rfc3339(utc) == text


def test_the_last_moment_of_a_month_is_written_in_that_month() -> None:
    ends = BillingPeriod.named("2026-11").ends_at
    assert rfc3339(nextafter(ends, 0)) == "2026-11-30T23:59:59.999Z"
    assert rfc3339(ends) == "2026-12-01T00:00:00.000Z"


@given(st.integers(0, 4_000_000_000), st.integers(0, 999))
def test_a_moment_that_was_written_with_milliseconds_is_written_with_the_same(second: int, millisecond: int) -> None:
    moment = float(f"{second}.{millisecond:03d}")
    assert rfc3339(moment).endswith(f".{millisecond:03d}Z")


@given(st.one_of(st.floats(-1e11, 2e11), st.floats(0.0, 4e9), st.integers(0, 10**15).map(lambda each: each / 1e6)))
def test_a_moment_is_written_with_the_millisecond_that_rounding_to_microseconds_says(moment: float) -> None:
    second = floor(moment)
    millisecond = min(round((moment - second) * 1e6) // 1000, 999)
    assume(-62_135_596_800 <= second < 253_402_300_800)
    assert rfc3339(moment) == f"{datetime.fromtimestamp(second, UTC):%Y-%m-%dT%H:%M:%S}.{millisecond:03d}Z"
