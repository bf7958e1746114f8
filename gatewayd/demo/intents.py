"""What a customer wants, what to say to it, and what the agent's host should do next."""

from dataclasses import dataclass
from typing import Final

from gatewayd.demo.lexicon import Lexicon


@dataclass(frozen=True, slots=True)
class Intent:
    """The words that mean it, the reply, and the action that is suggested; `ticket` opens one at once."""

    words: dict[str, float]
    reply: str
    action: str
    ticket: bool = False


INTENTS: Final = {
    "human": Intent(
        {"open a ticket": 6, "ticket": 3, "human": 4, "real person": 5, "agent": 1, "speak to": 3, "talk to": 3,
         "somebody": 1, "someone": 1, "complain*": 3},
        "I have opened a ticket for you; a colleague takes over from here.",
        "assign_to_human", ticket=True,
    ),
    "outage": Intent(
        {"outage": 5, "is down": 4, "down": 1, "unavailable": 4, "not working": 3, "502": 4, "503": 4, "504": 4,
         "error*": 3, "crash*": 3, "bug*": 3, "broken": 3},
        "That should not happen. Please send the request id of a failing call; the status page has known incidents.",
        "check_status_page",
    ),
    "access": Intent(
        {"password*": 5, "log in": 4, "login": 4, "sign in": 4, "locked": 3, "reset": 3, "token*": 3, "two-factor": 4,
         "401": 3},
        "You can reset your password on the sign-in page; a token that expired must be asked for anew.",
        "send_reset_link",
    ),
    "billing": Intent(
        {"invoice*": 4, "refund*": 5, "charge*": 3, "payment*": 3, "bill": 3, "billing": 4, "receipt*": 3, "price*": 2,
         "paid": 2, "overcharge*": 4},
        "I can see to that: please name the invoice or the day, and it is checked against the usage records.",
        "open_billing_review",
    ),
    "quota": Intent(
        {"quota*": 5, "limit*": 3, "rate limit*": 4, "429": 4, "402": 4, "usage": 3, "plan": 2, "upgrade*": 3},
        "GET /gateway/v1/usage shows what is spent and when it resets; a larger plan is in force within seconds.",
        "show_usage",
    ),
    "cancellation": Intent(
        {"cancel*": 5, "close my account": 6, "delete my account": 6, "unsubscribe": 4, "terminate": 3},
        "I am sorry to see you go. A cancellation takes effect at the end of the month that is paid for.",
        "confirm_cancellation",
    ),
    "delivery": Intent(
        {"deliver*": 4, "shipping": 4, "shipped": 4, "shipment*": 4, "package*": 3, "tracking": 4, "where is my": 3,
         "order*": 2},
        "Orders leave the workshop within two working days; the tracking number is in the confirmation.",
        "look_up_order",
    ),
    "thanks": Intent({"thank*": 4, "cheers": 3, "solved": 3, "works now": 4}, "You are welcome.", "close_conversation"),
    "greeting": Intent(
        {"hello": 2, "hi": 2, "hey": 2, "good morning": 3, "good evening": 3},
        "Hello! What can I do for you?", "wait_for_question",
    ),
}  # fmt: skip
UNKNOWN: Final = "unknown"
UNKNOWN_REPLY: Final = "I am not sure that I understand. Could you say it in other words?"
ESCALATED_REPLY: Final = "I cannot solve this, so I have opened a ticket; a colleague will answer you."
LEXICON: Final = Lexicon({name: intent.words for name, intent in INTENTS.items()}, default=UNKNOWN)
