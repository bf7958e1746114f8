"""A talk with one customer: what was understood, what was answered, and when a human should take over."""

from collections import Counter
from dataclasses import dataclass

from gatewayd.demo.intents import ESCALATED_REPLY, INTENTS, LEXICON, UNKNOWN, UNKNOWN_REPLY
from gatewayd.demo.lexicon import Verdict
from gatewayd.demo.pages import plain
from gatewayd.demo.tickets import Desk, Ticket

_PATIENCE = 2


@dataclass(frozen=True, slots=True)
class Turn:
    """The answer to one message; `turn` counts from 1."""

    session: str
    turn: int
    verdict: Verdict
    reply: str
    action: str
    ticket: Ticket | None

    @property
    def document(self) -> dict[str, object]:
        return {
            "session": self.session,
            "turn": self.turn,
            "intent": self.verdict.label,
            "confidence": self.verdict.confidence,
            "reasons": self.verdict.evidence,
            "reply": self.reply,
            "suggested_action": self.action,
            "ticket": self.ticket.document if self.ticket else None,
        }


class Conversation:
    """The state of a session: what was asked how often, and for how long nothing was understood.

    A question that is asked a third time counts as one that was not resolved.
    """

    def __init__(self, session: str) -> None:
        self.session = session
        self._turns = 0
        self._not_understood = 0
        self._asked: Counter[str] = Counter()

    def answer(self, message: str, desk: Desk) -> Turn:
        verdict = LEXICON.judge(message)
        self._turns += 1
        self._asked[verdict.label] += 1
        self._not_understood = self._not_understood + 1 if verdict.label == UNKNOWN else 0
        if ticket := desk.mentioned(message):
            reply, action = (
                f"Ticket {ticket.id} is {ticket.status}, its priority {ticket.priority}.",
                "show_ticket",
            )
        else:
            reply, action, ticket = self._respond(verdict, message, desk)
        return Turn(self.session, self._turns, verdict, reply, action, ticket)

    def _respond(self, verdict: Verdict, message: str, desk: Desk) -> tuple[str, str, Ticket | None]:
        intent = INTENTS.get(verdict.label)
        if intent and intent.ticket:
            return intent.reply, intent.action, desk.open(_subject(message), message)
        if self._is_unresolved(verdict.label):
            self._asked.clear()
            self._not_understood = 0
            return ESCALATED_REPLY, "assign_to_human", desk.open(_subject(message), message, "high")
        return (intent.reply, intent.action, None) if intent else (UNKNOWN_REPLY, "ask_again", None)

    def _is_unresolved(self, label: str) -> bool:
        pleasantry = label in ("greeting", "thanks")
        return self._not_understood >= _PATIENCE or (self._asked[label] > _PATIENCE and not pleasantry)


def _subject(message: str) -> str:
    return plain(message)[:80]
