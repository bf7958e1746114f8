"""Tickets and the desk that keeps a user's: each change makes a new ticket with one more line of history."""

import re
import secrets
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Final

from gatewayd.demo.api import rfc3339
from gatewayd.demo.fields import Fault
from gatewayd.demo.shelves import Shelf

STATUSES: Final = ("open", "pending", "resolved", "closed")
PRIORITIES: Final = ("low", "normal", "high", "urgent")
_MOST_EVENTS: Final = 50
_ID: Final = re.compile(r"\btck-[0-9a-f]{8}\b", re.I)


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a ticket; `at` is seconds since the epoch."""

    at: float
    what: str


@dataclass(frozen=True, slots=True)
class Ticket:
    id: str
    subject: str
    description: str
    status: str
    priority: str
    history: tuple[Event, ...]

    @property
    def document(self) -> dict[str, object]:
        history = [{"at": rfc3339(event.at), "what": event.what} for event in self.history]
        return {
            **asdict(self),
            "created_at": rfc3339(self.history[0].at),
            "updated_at": rfc3339(self.history[-1].at),
            "history": history,
        }


class Desk:
    """One user's tickets, the `most` newest of them."""

    def __init__(self, most: int, now: Callable[[], float]) -> None:
        self.shelf: Shelf[Ticket] = Shelf(most)
        self._now = now

    def open(self, subject: str, description: str, priority: str = "normal") -> Ticket:
        key = f"TCK-{secrets.token_hex(4).upper()}"
        ticket = Ticket(key, subject, description, "open", priority, (Event(self._now(), "opened"),))
        self.shelf.put(key, ticket)
        return ticket

    def get(self, key: str) -> Ticket:
        """Raises `Fault` 404 for a ticket that there is not, or that is somebody else's."""
        if (ticket := self.shelf.get(key.upper())) is None:
            raise Fault(404, "unknown_ticket", "there is no ticket of this id")
        return ticket

    def mentioned(self, text: str) -> Ticket | None:
        """The first of the user's tickets that a text names."""
        found = (self.shelf.get(match[0].upper()) for match in _ID.finditer(text))
        return next((ticket for ticket in found if ticket), None)

    def update(self, key: str, *, status: str, priority: str, comment: str) -> Ticket:
        """Changes what is not empty; raises `Fault`: 404 for no such ticket, 409 for one that is closed."""
        ticket = self.get(key)
        if ticket.status == "closed":
            raise Fault(409, "ticket_closed", "the ticket is closed: open a new one")
        changes = [
            *([f"status: {status}"] if status else []),
            *([f"priority: {priority}"] if priority else []),
            *([f"comment: {comment}"] if comment else []),
        ]
        events = (*ticket.history, *(Event(self._now(), change) for change in changes))
        changed = replace(
            ticket,
            status=status or ticket.status,
            priority=priority or ticket.priority,
            history=events if len(events) <= _MOST_EVENTS else (events[0], *events[1 - _MOST_EVENTS :]),
        )
        self.shelf.put(changed.id, changed)
        return changed
