"""A classifier that can be read: each label has weighted terms, and a verdict names the terms that decided it."""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Final

MOST_READ: Final = 20_000
_MOST_REPEATS: Final = 3


@dataclass(frozen=True, slots=True)
class Evidence:
    """A term that was found: how often it counted, and what it added to its label."""

    term: str
    count: int
    points: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """The label with most points. `confidence`, 0 to 1, is its share of all points, less when there are few."""

    label: str
    confidence: float
    reasons: tuple[Evidence, ...]

    @property
    def evidence(self) -> list[dict[str, object]]:
        return [asdict(reason) for reason in self.reasons]


@dataclass(frozen=True, slots=True)
class _Term:
    text: str
    weight: float
    pattern: re.Pattern[str]


class Lexicon:
    """Labels with weighted terms; a term may be a phrase, and `refund*` is any word that begins so."""

    def __init__(self, labels: Mapping[str, Mapping[str, float]], default: str) -> None:
        self._labels = {label: _terms(weights) for label, weights in labels.items()}
        self._default = default

    def judge(self, text: str, *, title: str = "") -> Verdict:
        """The verdict on a text, of which the first 20,000 characters are read; words of the title count twice."""
        prepared = _prepare(f"{title}\n{title}\n{text[:MOST_READ]}")
        found = {label: _evidence(terms, prepared) for label, terms in self._labels.items()}
        scores = {label: sum(each.points for each in reasons) for label, reasons in found.items()}
        best = max(scores, key=lambda label: scores[label])
        if not scores[best]:
            return Verdict(self._default, 0.0, ())
        confidence = scores[best] / (sum(scores.values()) + 1)
        return Verdict(best, round(confidence, 3), found[best])


def _terms(weights: Mapping[str, float]) -> tuple[_Term, ...]:
    return tuple(_Term(text, weight, _pattern(text)) for text, weight in weights.items())


def _pattern(term: str) -> re.Pattern[str]:
    words = re.escape(term).replace(r"\*", r"\w*").replace(r"\ ", r"\s+")
    return re.compile(rf"(?<!\w){words}(?!\w)")


def _prepare(text: str) -> str:
    return text.casefold().replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")


def _evidence(terms: tuple[_Term, ...], text: str) -> tuple[Evidence, ...]:
    counted = [(term, min(_MOST_REPEATS, len(term.pattern.findall(text)))) for term in terms]
    found = [Evidence(term.text, count, count * term.weight) for term, count in counted if count]
    return tuple(sorted(found, key=lambda each: -each.points))
