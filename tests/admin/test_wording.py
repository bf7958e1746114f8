"""Figures as people read them."""

import pytest

from gatewayd.admin.wording import amount, lasting, moment, number, printable, rate, seconds, share


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (None, "–"),
        (0.00042, "0.42 ms"),
        (0.0042, "4.2 ms"),
        (0.042, "42 ms"),
        (1.25, "1.2 s"),
        (119, "119.0 s"),
        (150, "2 min"),
    ],
)
def test_durations(value: float | None, said: str) -> None:
    assert seconds(value) == said


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (None, "–"),
        (0, "0 %"),
        (0.0004, "< 0.1 %"),
        (0.012, "1.2 %"),
        (0.02, "2 %"),
        (0.5, "50 %"),
        (0.999, "> 99 %"),
        (1, "100 %"),
    ],
)
def test_no_share_of_something_looks_like_nothing_or_all(value: float | None, said: str) -> None:
    assert share(value) == said


@pytest.mark.parametrize(("value", "said"), [(None, "–"), (0, "0"), (0.25, "0.25"), (12.34, "12.3"), (1234.5, "1,234")])
def test_rates(value: float | None, said: str) -> None:
    assert rate(value) == said


def test_numbers_and_amounts() -> None:
    assert (number(None), number(1234567)) == ("–", "1,234,567")
    assert (amount(1, "request"), amount(0, "request"), amount(1204, "unit")) == (
        "1 request",
        "0 requests",
        "1,204 units",
    )


@pytest.mark.parametrize(
    ("value", "said"), [(-1, "0 s"), (59.9, "59 s"), (60, "1 min"), (7500, "2 h 5 min"), (97_200, "1 d 3 h")]
)
def test_how_long(value: float, said: str) -> None:
    assert lasting(value) == said


def test_moments_are_to_the_second_and_what_never_was_has_none() -> None:
    assert moment(1_764_000_000.9) == "2025-11-24T16:00:00Z"
    assert moment(0.0) is None


def test_what_a_caller_chose_does_nothing_to_a_terminal() -> None:
    assert printable("ann\x1b[2J\n\x07ä") == "ann�[2J��ä"
