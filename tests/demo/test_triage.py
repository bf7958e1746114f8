"""Letters are sorted by what they say."""

import pytest

from gatewayd.demo.letters import Letter
from gatewayd.demo.triage import CATEGORIES, triage


def letter(body: str, subject: str = "") -> Letter:
    return Letter(sender="a@example.org", sender_name="", subject=subject, body=body)


@pytest.mark.parametrize(
    ("body", "category"),
    [
        pytest.param("Please refund the payment of invoice 12345.", "billing", id="billing"),
        pytest.param("The app crashes with an error after login.", "support", id="support"),
        pytest.param("We are interested in a trial for 40 seats.", "sales", id="sales"),
        pytest.param("Can we reschedule the meeting?", "scheduling", id="scheduling"),
        pytest.param("I suggest a feature request: dark mode.", "feedback", id="feedback"),
        pytest.param("You are the winner of the lottery, click here!", "spam", id="spam"),
        pytest.param("The weather is fine.", "general", id="general"),
    ],
)
def test_a_letter_has_a_category(body: str, category: str) -> None:
    assert triage(letter(body)).category.label == category
    assert category in (*CATEGORIES, "general")


@pytest.mark.parametrize(("body", "urgency"), [("ASAP!", "high"), ("no rush", "low"), ("hello", "normal")])
def test_a_letter_has_an_urgency(body: str, urgency: str) -> None:
    assert triage(letter(body)).urgency.label == urgency


@pytest.mark.parametrize(
    ("body", "sentiment"), [("I love it", "positive"), ("I’m NOT happy", "negative"), ("hello", "neutral")]
)
def test_a_letter_has_a_sentiment(body: str, sentiment: str) -> None:
    assert triage(letter(body)).sentiment.label == sentiment


def test_the_report_gives_its_reasons() -> None:
    document = triage(letter("It is urgent.", subject="Refund of $5")).document
    assert document["category"] == "billing"
    assert document["reasons"] == {
        "category": [{"term": "refund*", "count": 2, "points": 8}],
        "urgency": [{"term": "urgent*", "count": 1, "points": 4}],
        "sentiment": [],
    }
    assert document["entities"] == {
        "dates": (),
        "amounts": ({"text": "$5", "currency": "USD", "minor_units": 500},),
        "order_numbers": (),
        "emails": (),
    }
