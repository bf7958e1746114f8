"""Holds and records check themselves, and belong to the month in which their request began."""

from collections.abc import Callable

import pytest

from gatewayd import records
from gatewayd.records import Account, Hold, Outcome, UsageRecord, account_shared

AT = 1_764_000_000.0


def hold(units: int = 1, limit: int = 1, cost: int = 1) -> Hold:
    return Hold("id", "ann", "free", "email", "email", "api_calls", units, limit, cost, AT)


def record(quantity: int) -> UsageRecord:
    return UsageRecord("id", "ann", "free", "e", "e", "u", quantity, Outcome.DELIVERED, 200, 0.0, 0.0, 0, 0)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        pytest.param(lambda: hold(units=-1), "not negative", id="negative units"),
        pytest.param(lambda: hold(limit=-1), "not negative", id="a negative limit"),
        pytest.param(lambda: hold(cost=-1), "not negative", id="a negative cost"),
        pytest.param(lambda: record(-1), "not negative", id="a negative quantity"),
    ],
)
def test_an_invalid_noun_cannot_be_made(make: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_a_hold_belongs_to_the_month_it_began_in() -> None:
    assert hold().period == "2025-11"
    assert hold().account == Account("ann", "api_calls", "2025-11")


def test_a_record_says_what_its_hold_said_and_how_it_ended() -> None:
    made = hold().record(quantity=3, outcome=Outcome.FAILED, status=502, ended_at=AT + 1, bytes_in=7, bytes_out=9)
    expected = UsageRecord("id", "ann", "free", "email", "email", "api_calls", 3, Outcome.FAILED, 502, AT, AT + 1, 7, 9)
    assert made == expected


def test_a_clock_that_stepped_back_ends_a_record_at_its_start() -> None:
    assert hold().record(quantity=1, outcome=Outcome.DELIVERED, status=200, ended_at=AT - 60).ended_at == AT


def test_a_users_records_share_one_account_until_its_unit_or_month_is_another() -> None:
    named = [("ann", "api_calls", "2025-11"), ("ann", "tokens", "2025-11"), ("ann", "tokens", "2025-12")]
    assert account_shared(*named[0]) is account_shared(*named[0])
    assert [account_shared(*each) for each in [*named, *named]] == [Account(*each) for each in [*named, *named]]
    for number in range(2 * records._ACCOUNTS_KEPT + 2):
        account_shared(f"user-{number}", "api_calls", "2025-11")
    assert len(records._accounts) <= records._ACCOUNTS_KEPT
