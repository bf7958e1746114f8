"""The draft of an answer to a letter, from the facts that triage found in it."""

import re
from dataclasses import dataclass
from typing import Final

from gatewayd.demo.letters import Letter
from gatewayd.demo.triage import Triage

TONES: Final = ("neutral", "friendly", "formal")
_GREETING: Final = {"neutral": "Hello {name},", "friendly": "Hi {name},", "formal": "Dear {name},"}
_CLOSING: Final = {"neutral": "Kind regards", "friendly": "All the best", "formal": "Yours sincerely"}
_THANKS: Final = {
    "neutral": "thank you for your message.",
    "friendly": "thanks so much for writing to us!",
    "formal": "we thank you for your correspondence.",
}
_NEXT_STEP: Final = {
    "billing": "Our billing team is checking {account} and will confirm the outcome in writing.",
    "support": "An engineer is looking into {order}what you describe; steps that repeat it would help us.",
    "sales": "We will send you an offer that fits; please tell us how many people will use it.",
    "scheduling": "We have noted your request{day} and will confirm a time.",
    "feedback": "We have passed it on to the people who build the product.",
    "spam": "We do not act on unsolicited offers.",
    "general": "Somebody who knows the matter will answer you.",
}
_URGENT: Final = "As it is urgent, it goes to the front of the queue."
_SORRY: Final = "We are sorry for the trouble that this has caused you."


@dataclass(frozen=True, slots=True)
class Draft:
    """An answer: `headers` are fit to send (RFC 5322 section 3.6.4), `send` says whether one should be sent."""

    headers: dict[str, str]
    body: str
    send: bool


def draft_reply(letter: Letter, findings: Triage, tone: str) -> Draft:
    """Drafts in one of `TONES`. Spam and automatic mail get a draft that should not be sent (RFC 3834 section 2)."""
    return Draft(
        headers=_headers(letter),
        body=_body(letter, findings, tone),
        send=findings.category.label != "spam" and not letter.automatic,
    )


def _headers(letter: Letter) -> dict[str, str]:
    thread = (*letter.references, letter.message_id) if letter.message_id else ()
    headers = {
        "To": letter.sender,
        "Subject": _subject(letter.subject),
        "In-Reply-To": letter.message_id,
        "References": " ".join(dict.fromkeys(thread)),
        "Auto-Submitted": "auto-generated",
    }
    return {name: value for name, value in headers.items() if value}


def _subject(subject: str) -> str:
    return subject if re.match(r"re:", subject, re.I) else f"Re: {subject}".strip()


def _body(letter: Letter, findings: Triage, tone: str) -> str:
    sentences = [_THANKS[tone]]
    if findings.sentiment.label == "negative":
        sentences.append(_SORRY)
    sentences.append(_next_step(findings))
    if findings.urgency.label == "high":
        sentences.append(_URGENT)
    greeting = _GREETING[tone].format(name=letter.sender_name or "there")
    return f"{greeting}\n\n{' '.join(sentences)}\n\n{_CLOSING[tone]}\n"


def _next_step(findings: Triage) -> str:
    facts = findings.entities
    order = f"order {facts.order_numbers[0]}" if facts.order_numbers else ""
    amount = f"the amount of {facts.amounts[0].text}" if facts.amounts else ""
    return _NEXT_STEP[findings.category.label].format(
        account=" and ".join(filter(None, (order, amount))) or "your account",
        order=f"{order}, " if order else "",
        day=f" for {facts.dates[0]}" if facts.dates else "",
    )
