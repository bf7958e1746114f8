"""Drafts answer what was asked, and stay in the thread."""

from dataclasses import replace

import pytest

from gatewayd.demo.letters import Letter
from gatewayd.demo.replies import TONES, Draft, draft_reply
from gatewayd.demo.triage import CATEGORIES, triage

LETTER = Letter("ada@example.org", "Ada", "Order 48213", "Please refund $5.", message_id="<2@x>", references=("<1@x>",))


def draft(letter: Letter, tone: str = "neutral") -> Draft:
    return draft_reply(letter, triage(letter), tone)


def test_an_answer_stays_in_its_thread() -> None:
    assert draft(LETTER).headers == {
        "To": "ada@example.org",
        "Subject": "Re: Order 48213",
        "In-Reply-To": "<2@x>",
        "References": "<1@x> <2@x>",
        "Auto-Submitted": "auto-generated",
    }


def test_an_answer_to_a_message_without_an_id_names_no_thread() -> None:
    headers = draft(replace(LETTER, message_id="")).headers
    assert "In-Reply-To" not in headers
    assert "References" not in headers


@pytest.mark.parametrize(
    ("subject", "answer"), [("Re: a", "Re: a"), ("RE:a", "RE:a"), ("Read", "Re: Read"), ("", "Re:")]
)
def test_re_is_written_once(subject: str, answer: str) -> None:
    assert draft(replace(LETTER, subject=subject)).headers["Subject"] == answer


@pytest.mark.parametrize("tone", TONES)
def test_each_tone_greets_by_name(tone: str) -> None:
    assert draft(LETTER, tone).body.splitlines()[0].endswith(" Ada,")


def test_who_gives_no_name_is_greeted_all_the_same() -> None:
    assert draft(replace(LETTER, sender_name="")).body.startswith("Hello there,")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        pytest.param("Please refund $5.", "order 48213 and the amount of $5 and will", id="billing"),
        pytest.param("The app crashes.", "looking into order 48213, what", id="support"),
        pytest.param("Let us meet: a meeting on 2026-03-01?", "request for 2026-03-01 and will", id="scheduling"),
        pytest.param("It is urgent.", "front of the queue", id="urgent"),
        pytest.param("This is unacceptable.", "sorry for the trouble", id="angry"),
    ],
)
def test_a_draft_names_the_facts(body: str, said: str) -> None:
    assert said in draft(replace(LETTER, body=body)).body


@pytest.mark.parametrize("category", [*CATEGORIES, "general"])
def test_every_category_has_an_answer_without_facts(category: str) -> None:
    words = next(iter(CATEGORIES.get(category, {"hello": 1}))).replace("*", "")
    text = draft(replace(LETTER, subject="", body=words)).body
    assert "{" not in text
    assert "  " not in text


@pytest.mark.parametrize(
    ("letter", "send"),
    [
        pytest.param(LETTER, True, id="a question"),
        pytest.param(replace(LETTER, body="lottery winner, click here"), False, id="spam"),
        pytest.param(replace(LETTER, automatic=True), False, id="automatic mail"),
    ],
)
def test_what_should_not_be_answered_is_not_sent(letter: Letter, send: bool) -> None:
    assert draft(letter).send is send
