"""Ranking by BM25 (Robertson and Zaragoza, 2009): rare words count, long passages do not win by length."""

import heapq
import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

_K1: Final = 1.5
_B: Final = 0.75
_COMMON: Final = """
a an and are as at be been but by can could did do does for from had has have how i if in into is it its may me my
no not of on or our shall should so than that the their them then there these they this to was we were what when
where which who whom why will with would you your
"""
_STOP_WORDS: Final = frozenset(_COMMON.split())
_ENDINGS: Final = (("ies", "y"), ("ing", ""), ("ed", ""), ("es", "e"), ("s", ""))


def terms(text: str) -> list[str]:
    """The words that carry meaning, in lower case and without the commonest English endings."""
    return [_stem(word) for word in re.findall(r"\w+", text.casefold()) if word not in _STOP_WORDS]


def _stem(word: str) -> str:
    for ending, replacement in _ENDINGS:
        if word.endswith(ending) and len(word) > len(ending) + 2 and not word.endswith("ss"):
            return word[: -len(ending)] + replacement
    return word


@dataclass(frozen=True, slots=True, order=True)
class Passage:
    """A passage of a document; `position` counts from 0."""

    document: str
    position: int
    text: str

    @property
    def key(self) -> tuple[str, int]:
        return self.document, self.position


@dataclass(frozen=True, slots=True)
class Hit:
    passage: Passage
    score: float


@dataclass(frozen=True, slots=True)
class Counted:
    """A passage with its words counted, which is the slow part of adding it."""

    passage: Passage
    counts: Counter[str]

    @classmethod
    def of(cls, passage: Passage) -> "Counted":
        return cls(passage, Counter(terms(passage.text)))


class Index:
    """An inverted index in memory; it holds what its owner adds, so the owner bounds it."""

    def __init__(self) -> None:
        self._passages: dict[tuple[str, int], Counted] = {}
        self._postings: defaultdict[str, dict[tuple[str, int], int]] = defaultdict(dict)
        self._length = 0

    def __len__(self) -> int:
        return len(self._passages)

    def add(self, passages: Iterable[Counted]) -> None:
        for counted in passages:
            self._passages[counted.passage.key] = counted
            self._length += counted.counts.total()
            for term, count in counted.counts.items():
                self._postings[term][counted.passage.key] = count

    def remove(self, document: str) -> None:
        for key in [key for key in self._passages if key[0] == document]:
            counted = self._passages.pop(key)
            self._length -= counted.counts.total()
            for term in counted.counts:
                del self._postings[term][key]
                if not self._postings[term]:
                    del self._postings[term]

    def rarity(self, term: str) -> float:
        """How much a word tells (idf), never negative; 0 for a word that is nowhere."""
        if not (holders := len(self._postings.get(term, ()))):
            return 0.0
        return math.log(1 + (len(self) - holders + 0.5) / (holders + 0.5))

    def search(self, query: str, most: int) -> list[Hit]:
        """The `most` best passages, best first; those without any word of the query are left out."""
        scores: defaultdict[tuple[str, int], float] = defaultdict(float)
        for term in set(terms(query)):
            for key, count in self._postings.get(term, {}).items():
                scores[key] += self.rarity(term) * self._weight(key, count)
        best = heapq.nsmallest(most, scores, key=lambda key: (-scores[key], key))
        return [Hit(self._passages[key].passage, scores[key]) for key in best]

    def _weight(self, key: tuple[str, int], count: int) -> float:
        average = self._length / len(self)
        length = self._passages[key].counts.total() / average
        return count * (_K1 + 1) / (count + _K1 * (1 - _B + _B * length))
