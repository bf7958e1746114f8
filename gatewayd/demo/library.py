"""One user's documents, bounded: the oldest make room for a new one. And the answer that is in them."""

import math
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Final

from gatewayd.demo.api import rfc3339
from gatewayd.demo.bm25 import Counted, Hit, Index, Passage, terms
from gatewayd.demo.passages import sentences, split

_MOST_SENTENCES: Final = 3
_SHORT_SENTENCE: Final = 8
_RELEVANT: Final = 0.4
_SNIPPET: Final = 240
NOTHING_FOUND: Final = "Nothing in the documents answers this question."


@dataclass(frozen=True, slots=True)
class Document:
    """An indexed file; `characters` is the length of its text, `uploaded_at` seconds since the epoch."""

    id: str
    title: str
    kind: str
    characters: int
    passages: int
    uploaded_at: float

    @property
    def document(self) -> dict[str, object]:
        return {**asdict(self), "uploaded_at": rfc3339(self.uploaded_at)}


@dataclass(frozen=True, slots=True)
class Source:
    """A passage that an answer may rest on; `number` is how the answer cites it."""

    number: int
    document: str
    title: str
    position: int
    score: float
    snippet: str


@dataclass(frozen=True, slots=True)
class Reply:
    answer: str
    sources: tuple[Source, ...]


def count_words(document: str, text: str) -> list[Counted]:
    """The passages of a text, ready to be added; slow for a long one, so not for the event loop."""
    return [Counted.of(Passage(document, position, passage)) for position, passage in enumerate(split(text))]


class Library:
    """At most so many documents and so many characters of them."""

    def __init__(self, *, most_documents: int, most_characters: int) -> None:
        self._most_documents = most_documents
        self._most_characters = most_characters
        self._documents: OrderedDict[str, Document] = OrderedDict()
        self._index = Index()

    def add(self, document: Document, passages: Sequence[Counted]) -> list[str]:
        """Adds a document and returns the ids of those that had to make room."""
        evicted = []
        while self._documents and self._is_full(document):
            evicted.append(next(iter(self._documents)))
            self.remove(evicted[-1])
        self._documents[document.id] = document
        self._index.add(passages)
        return evicted

    def _is_full(self, document: Document) -> bool:
        characters = document.characters + sum(each.characters for each in self._documents.values())
        return len(self._documents) >= self._most_documents or characters > self._most_characters

    def remove(self, document: str) -> bool:
        """False when there is no such document."""
        if self._documents.pop(document, None) is None:
            return False
        self._index.remove(document)
        return True

    def newest_first(self) -> list[Document]:
        return list(reversed(self._documents.values()))

    def reply(self, question: str, most: int) -> Reply:
        """The sentences that best match the question, each with the number of its source."""
        hits = self._index.search(question, most)
        sources = tuple(self._source(number, hit) for number, hit in enumerate(hits, 1))
        return Reply(self._extract(question, hits) or NOTHING_FOUND, sources)

    def _source(self, number: int, hit: Hit) -> Source:
        text = hit.passage.text
        snippet = text if len(text) <= _SNIPPET else text[:_SNIPPET].rsplit(" ", 1)[0] + " …"
        title = self._documents[hit.passage.document].title
        return Source(number, hit.passage.document, title, hit.passage.position, round(hit.score, 3), snippet)

    def _extract(self, question: str, hits: Sequence[Hit]) -> str:
        wanted = set(terms(question))
        rated = [
            (self._rating(wanted, sentence), -number, -order, sentence)
            for number, hit in enumerate(hits, 1)
            for order, sentence in enumerate(sentences(hit.passage.text))
        ]
        best = sorted(rated, reverse=True)[:_MOST_SENTENCES]
        best = [each for each in best if each[0] > 0 and each[0] >= best[0][0] * _RELEVANT]
        return " ".join(f"{sentence} [{-number}]" for _, number, _, sentence in best)

    def _rating(self, wanted: set[str], sentence: str) -> float:
        """How much the sentence says of what is asked, less for each word that it spends."""
        words = terms(sentence)
        told = sum(self._index.rarity(term) for term in wanted.intersection(words))
        return told / math.sqrt(_SHORT_SENTENCE + len(words))
