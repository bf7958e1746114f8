"""Use by day, agent and unit, added up as records come."""

import pytest

from gatewayd.admin.totals import Totals, by_agent, by_day
from gatewayd.stores.reading import Used
from tests.admin.ledgers import Shelf, used


def test_steps_add_up_to_all_records_each_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gatewayd.admin.totals.AT_ONCE", 3)
    shelf, totals = Shelf(), Totals()
    shelf.used = [used(quantity=number, failed=number % 2) for number in range(10)]
    steps = 0
    while not (totals.complete and steps):
        totals.step(shelf)
        steps += 1
    assert steps == 4
    assert totals.of("2025-11") == [Used("2025-11-24", "email", "api_calls", 10, 5, 45)]
    shelf.used.append(used("2025-12-01", "rag"))
    totals.step(shelf)
    assert totals.periods() == ["2025-12", "2025-11"]
    assert totals.of("2025-12") == [Used("2025-12-01", "rag", "api_calls", 1, 0, 1)]


def test_a_ledger_that_became_shorter_is_another_one() -> None:
    shelf, totals = Shelf(), Totals()
    shelf.used = [used()] * 5
    totals.step(shelf)
    shelf.used = [used(agent="rag")] * 2
    totals.step(shelf)
    assert not totals.complete
    totals.step(shelf)
    assert totals.of("2025-11") == [Used("2025-11-24", "rag", "api_calls", 2, 0, 2)]


def test_two_years_are_remembered() -> None:
    shelf, totals = Shelf(), Totals()
    shelf.used = [used(f"{year}-{month:02}-01") for year in (2022, 2023, 2024) for month in range(1, 13)]
    totals.step(shelf)
    assert (len(totals.periods()), totals.periods()[-1]) == (24, "2023-01")
    assert totals.of("2022-12") == []


def test_by_agent_the_most_used_is_first_and_by_day_the_newest() -> None:
    rows = [used("2025-11-01", "a", 1), used("2025-11-02", "a", 2), used("2025-11-02", "b", 9, failed=1)]
    assert by_agent(rows) == [Used("", "b", "api_calls", 1, 1, 9), Used("", "a", "api_calls", 2, 0, 3)]
    assert by_day(rows) == [
        Used("2025-11-02", "", "api_calls", 2, 1, 11),
        Used("2025-11-01", "", "api_calls", 1, 0, 1),
    ]
