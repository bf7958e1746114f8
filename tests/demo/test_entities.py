"""The facts that a text names."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatewayd.demo.entities import Amount, extract


@pytest.mark.parametrize(
    ("text", "dates"),
    [
        pytest.param("on 2026-03-01.", ("2026-03-01",), id="ISO"),
        pytest.param("1 March 2026", ("2026-03-01",), id="day first"),
        pytest.param("the 2nd of it: 2nd Sept. 2026", ("2026-09-02",), id="ordinal and short month"),
        pytest.param("March 1st, 2026", ("2026-03-01",), id="month first"),
        pytest.param("May 5, 2026 and 2025-01-02", ("2026-05-05", "2025-01-02"), id="in order"),
        pytest.param("2026-02-30 and 31 June 2026", (), id="days that are not"),
        pytest.param("0000-01-01", (), id="a year that is not"),
        pytest.param("12026-03-01 2026-03-011", (), id="longer numbers"),
        pytest.param("2026-03-01 2026-03-01", ("2026-03-01",), id="twice"),
        pytest.param("7 Marching 2026", (), id="a word that begins like a month"),
    ],
)
def test_dates(text: str, dates: tuple[str, ...]) -> None:
    assert extract(text).dates == dates


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        pytest.param("$5", Amount("$5", "USD", 500), id="whole"),
        pytest.param("€ 1.234,50", Amount("€ 1.234,50", "EUR", 123450), id="continental"),
        pytest.param("GBP 1,234.50", Amount("GBP 1,234.50", "GBP", 123450), id="English"),
        pytest.param("49.90 EUR", Amount("49.90 EUR", "EUR", 4990), id="currency after"),
        pytest.param("1,000 $", Amount("1,000 $", "USD", 100000), id="thousands"),
    ],
)
def test_amounts_are_whole_numbers_of_the_smallest_unit(text: str, amount: Amount) -> None:
    assert extract(text).amounts == (amount,)


@pytest.mark.parametrize("text", ["5 apples", "USDA 5", "1.5"])
def test_a_number_without_a_currency_is_no_amount(text: str) -> None:
    assert extract(text).amounts == ()


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        pytest.param("order 48213", ("48213",), id="order"),
        pytest.param("Invoice no. inv-2044", ("INV-2044",), id="invoice"),
        pytest.param("ticket: #777 and #777", ("777",), id="once"),
        pytest.param("order in 2026", (), id="another word between"),
        pytest.param("&#8212;", (), id="an HTML character"),
    ],
)
def test_order_numbers(text: str, numbers: tuple[str, ...]) -> None:
    assert extract(text).order_numbers == numbers


def test_email_addresses_are_found_once_in_lower_case() -> None:
    assert extract("Ada@Example.org, ada@example.org. b+c@d-e.co.uk; @x no@dot").emails == (
        "ada@example.org",
        "b+c@d-e.co.uk",
    )


def test_no_more_than_twenty_of_a_kind_are_listed() -> None:
    assert len(extract(" ".join(f"#{1000 + number}" for number in range(50))).order_numbers) == 20


@settings(deadline=None)
@given(st.text(alphabet="0123456789-.,$€ marchEUR@#order:\n", max_size=200))
def test_any_text_can_be_searched(text: str) -> None:
    found = extract(text)
    assert all(amount.minor_units >= 0 for amount in found.amounts)


@pytest.mark.timeout(10)
@pytest.mark.parametrize("piece", ["a", "1", "1.", "1,234", "order ", " ", "@a.", "#", "a@", "march 1 ", "€"])
def test_long_runs_do_not_make_the_search_slow(piece: str) -> None:
    extract(piece * 20_000)
