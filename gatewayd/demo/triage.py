"""What a letter is about, how urgent it is and how it sounds, with the words that say so."""

from dataclasses import asdict, dataclass
from typing import Final

from gatewayd.demo.entities import Entities, extract
from gatewayd.demo.letters import Letter
from gatewayd.demo.lexicon import MOST_READ, Lexicon, Verdict

CATEGORIES: Final = {
    "billing": {
        "invoice*": 3, "refund*": 4, "charge*": 3, "overcharge*": 4, "payment*": 3, "billing": 4, "receipt*": 3,
        "credit card": 3, "subscription*": 2, "paid": 2, "bank": 1, "money back": 4, "vat": 2,
    },
    "support": {
        "error*": 3, "bug*": 3, "crash*": 4, "not working": 4, "doesn't work": 4, "does not work": 4, "broken": 3,
        "help": 1, "issue*": 2, "problem*": 2, "password*": 3, "log in": 3, "login": 3, "fail*": 2, "timeout*": 3,
    },
    "sales": {
        "quote*": 3, "pricing": 3, "demo": 2, "interested in": 3, "purchase*": 2, "buy": 2, "enterprise": 2,
        "licence*": 2, "license*": 2, "upgrade*": 2, "trial": 3, "discount*": 2, "seats": 2,
    },
    "scheduling": {
        "meeting*": 3, "schedule*": 3, "reschedule*": 4, "calendar": 3, "appointment*": 3, "available": 1, "invite*": 2,
    },
    "feedback": {"feedback": 3, "suggest*": 3, "review": 2, "feature request*": 4, "love": 2, "improve*": 2},
    "spam": {
        "winner*": 4, "lottery": 5, "prize*": 4, "click here": 4, "act now": 4, "free money": 5, "inheritance": 4,
        "guaranteed": 2, "crypto*": 2, "unsubscribe": 1, "wire transfer": 2, "limited time": 3, "risk free": 3,
    },
}  # fmt: skip
_CATEGORY: Final = Lexicon(CATEGORIES, default="general")
_URGENCY: Final = Lexicon(
    {
        "high": {
            "urgent*": 4, "asap": 4, "immediately": 3, "emergency": 5, "right away": 3, "critical": 3, "outage": 4,
            "down": 1, "today": 1, "deadline": 2, "cannot wait": 3, "production": 2,
        },
        "low": {"no rush": 4, "whenever": 2, "no hurry": 4, "when you have time": 4, "fyi": 3, "newsletter": 2},
    },
    default="normal",
)  # fmt: skip
_SENTIMENT: Final = Lexicon(
    {
        "positive": {
            "thank*": 1, "great": 2, "love": 3, "excellent": 3, "happy": 2, "appreciate*": 2, "perfect*": 2,
        },
        "negative": {
            "angry": 3, "terrible": 3, "awful": 3, "disappoint*": 3, "frustrat*": 3, "unacceptable": 4, "worst": 3,
            "wrong": 1, "twice": 1, "never": 1, "complain*": 3, "useless": 3, "not happy": 4, "broken": 1,
        },
    },
    default="neutral",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Triage:
    category: Verdict
    urgency: Verdict
    sentiment: Verdict
    entities: Entities

    @property
    def document(self) -> dict[str, object]:
        return {
            "category": self.category.label,
            "confidence": self.category.confidence,
            "urgency": self.urgency.label,
            "sentiment": self.sentiment.label,
            "reasons": {
                "category": self.category.evidence,
                "urgency": self.urgency.evidence,
                "sentiment": self.sentiment.evidence,
            },
            "entities": asdict(self.entities),
        }


def triage(letter: Letter) -> Triage:
    body = letter.body
    return Triage(
        category=_CATEGORY.judge(body, title=letter.subject),
        urgency=_URGENCY.judge(body, title=letter.subject),
        sentiment=_SENTIMENT.judge(body, title=letter.subject),
        entities=extract(f"{letter.subject}\n{body[:MOST_READ]}"),
    )
