"""Tickets change by adding history; a closed one stays as it is."""

import pytest

from gatewayd.demo.fields import Fault
from gatewayd.demo.tickets import Desk
from tests.clocks import ManualClock


@pytest.fixture
def desk(clock: ManualClock) -> Desk:
    return Desk(3, clock.utc)


def test_a_ticket_opens_with_its_history(desk: Desk) -> None:
    document = desk.open("Late", "It is late.", "high").document
    assert (document["status"], document["priority"], document["subject"]) == ("open", "high", "Late")
    assert document["history"] == [{"at": "2025-11-24T16:00:00Z", "what": "opened"}]


def test_a_change_is_told_by_the_history(desk: Desk, clock: ManualClock) -> None:
    key = desk.open("Late", "").id
    clock.advance(60)
    document = desk.update(key.lower(), status="pending", priority="urgent", comment="on it").document
    assert document["history"] == [
        {"at": "2025-11-24T16:00:00Z", "what": "opened"},
        {"at": "2025-11-24T16:01:00Z", "what": "status: pending"},
        {"at": "2025-11-24T16:01:00Z", "what": "priority: urgent"},
        {"at": "2025-11-24T16:01:00Z", "what": "comment: on it"},
    ]
    assert (document["created_at"], document["updated_at"]) == (
        "2025-11-24T16:00:00Z",
        "2025-11-24T16:01:00Z",
    )
    assert desk.get(key).status == "pending"


def test_a_closed_ticket_stays_closed(desk: Desk) -> None:
    key = desk.open("Late", "").id
    desk.update(key, status="closed", priority="", comment="")
    with pytest.raises(Fault) as raised:
        desk.update(key, status="open", priority="", comment="")
    assert raised.value.status == 409


def test_a_long_history_keeps_its_beginning_and_its_end(desk: Desk) -> None:
    key = desk.open("Late", "").id
    for number in range(80):
        ticket = desk.update(key, status="", priority="", comment=str(number))
    assert len(ticket.history) == 50
    assert (ticket.history[0].what, ticket.history[-1].what) == ("opened", "comment: 79")


def test_only_the_newest_tickets_are_kept(desk: Desk) -> None:
    first = desk.open("one", "").id
    for subject in ("two", "three", "four"):
        desk.open(subject, "")
    with pytest.raises(Fault) as raised:
        desk.get(first)
    assert raised.value.status == 404


def test_a_ticket_is_found_by_being_named(desk: Desk) -> None:
    ticket = desk.open("Late", "")
    assert desk.mentioned(f"What about TCK-00000000 and {ticket.id.lower()}?") == ticket
    assert desk.mentioned("What about TCK-00000000?") is None
