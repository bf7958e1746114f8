"""A conversation knows when a human should take over."""

import pytest

from gatewayd.demo.conversations import Conversation
from gatewayd.demo.tickets import Desk


@pytest.fixture
def desk() -> Desk:
    return Desk(10, lambda: 0.0)


@pytest.fixture
def conversation() -> Conversation:
    return Conversation("s")


def test_a_question_is_answered_with_its_reasons(conversation: Conversation, desk: Desk) -> None:
    document = conversation.answer("Where is my refund?", desk).document
    assert (document["session"], document["turn"], document["intent"]) == ("s", 1, "billing")
    assert document["suggested_action"] == "open_billing_review"
    assert document["reasons"] == [{"term": "refund*", "count": 1, "points": 5}]
    assert document["ticket"] is None


def test_a_ticket_is_opened_when_it_is_asked_for(conversation: Conversation, desk: Desk) -> None:
    turn = conversation.answer("Please open\na ticket " + "x" * 200, desk)
    assert turn.ticket is not None
    assert desk.get(turn.ticket.id) == turn.ticket
    assert len(turn.ticket.subject) == 80
    assert turn.document["ticket"] == turn.ticket.document


def test_twice_not_understood_opens_a_ticket(conversation: Conversation, desk: Desk) -> None:
    first, second, third = (conversation.answer("colourless green ideas", desk) for _ in range(3))
    assert (first.ticket, first.action) == (None, "ask_again")
    assert second.ticket is not None
    assert (second.ticket.priority, second.action) == ("high", "assign_to_human")
    assert third.ticket is None


def test_what_is_understood_in_between_begins_anew(conversation: Conversation, desk: Desk) -> None:
    messages = ["colourless ideas", "refund", "colourless ideas"]
    assert [conversation.answer(message, desk).ticket for message in messages] == [None, None, None]


def test_a_question_asked_a_third_time_was_not_resolved(conversation: Conversation, desk: Desk) -> None:
    tickets = [conversation.answer("refund", desk).ticket for _ in range(4)]
    assert [ticket is not None for ticket in tickets] == [False, False, True, False]


def test_greetings_are_never_unresolved(conversation: Conversation, desk: Desk) -> None:
    assert all(conversation.answer("hello", desk).ticket is None for _ in range(5))


def test_a_ticket_that_is_named_is_shown(conversation: Conversation, desk: Desk) -> None:
    ticket = desk.open("Late", "")
    turn = conversation.answer(f"What about {ticket.id}?", desk)
    assert (turn.ticket, turn.action) == (ticket, "show_ticket")
    assert turn.reply == f"Ticket {ticket.id} is open, its priority normal."
