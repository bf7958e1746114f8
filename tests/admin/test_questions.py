"""Questions about usage, and their answers as documents."""

from collections.abc import AsyncIterator

import pytest

from gatewayd.admin.questions import UsageQuestion, UsageQuestions
from gatewayd.admin.usage import UsageDesk
from tests.admin.ledgers import Shelf, standing, used
from tests.clocks import ManualClock


@pytest.fixture
def shelf() -> Shelf:
    shelf = Shelf()
    shelf.rows = [standing("ann"), standing("bob", 2)]
    shelf.used = [used(), used("2025-11-25", "rag", 4, 1)]
    return shelf


@pytest.fixture
async def questions(shelf: Shelf, clock: ManualClock) -> AsyncIterator[UsageQuestions]:
    desk = UsageDesk(shelf.open, clock)
    yield UsageQuestions(desk)
    await desk.close()


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, UsageQuestion("2025-11")),
        ({"period": "2025-10", "user": "a b", "page": "3"}, UsageQuestion("2025-10", "a b", 3)),
        ({"period": "2025-13", "page": "-1"}, UsageQuestion("2025-11")),
        ({"period": "'; DROP TABLE", "page": "²"}, UsageQuestion("2025-11")),
        ({"page": "9" * 500}, UsageQuestion("2025-11")),
    ],
)
def test_what_makes_no_sense_is_what_it_is_without(query: dict[str, str], expected: UsageQuestion) -> None:
    assert UsageQuestion.asked(query, "2025-11") == expected


def test_a_question_is_asked_again_by_its_address() -> None:
    question = UsageQuestion("2025-10", "a&b")
    assert UsageQuestion.asked(question.query(), "2025-11") == question
    assert UsageQuestion("2025-10").query() == {"period": "2025-10"}


async def test_a_month_is_told_by_user_agent_and_day(questions: UsageQuestions) -> None:
    found = await questions.usage(UsageQuestion("2025-11"))
    assert [(each["user"], each["spent"], each["share"]) for each in found["users"]] == [
        ("ann", 5, 0.5),
        ("bob", 2, 0.2),
    ]
    assert [(each["agent"], each["calls"], each["quantity"]) for each in found["agents"]] == [
        ("rag", 1, 4),
        ("email", 1, 1),
    ]
    assert [(each["day"], each["failed"]) for each in found["days"]] == [("2025-11-25", 1), ("2025-11-24", 0)]
    assert (found["count"], found["complete"], found["periods"], found["fault"]) == (2, True, ["2025-11"], None)


async def test_a_forecast_is_told_as_it_was_made(questions: UsageQuestions) -> None:
    [ann, _] = (await questions.usage(UsageQuestion("2025-11")))["users"]
    assert (ann["forecast"], ann["used_up_at"]) == (7, None)


async def test_a_ledger_that_cannot_be_read_is_a_fault_in_words(questions: UsageQuestions, shelf: Shelf) -> None:
    shelf.away = True
    month, user = await questions.usage(UsageQuestion("2025-11")), await questions.usage_of(UsageQuestion("2025-11"))
    assert month["fault"] == user["fault"] == "ledger x cannot be used"
    assert month["users"] == month["agents"] == month["days"] == user["users"] == []


@pytest.mark.parametrize(
    ("by", "columns", "rows"),
    [("user", "user", 2), ("agent", "agent", 2), ("day", "day", 2), ("user-day", "day", 2)],
)
async def test_a_whole_table_has_every_row(questions: UsageQuestions, by: str, columns: str, rows: int) -> None:
    names, found = await questions.everything(UsageQuestion("2025-11", "ann" if by == "user-day" else ""), by)
    every = list(found)
    assert columns in names
    assert len(every) == rows
    assert all(set(names) <= set(row) for row in every)
