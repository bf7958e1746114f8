"""What each method returns: the members that callers rely on; all others are in `extra`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Generic, TypeVar

from gatewayd_sdk._core.answers import Answer
from gatewayd_sdk._core.headers import Headers
from gatewayd_sdk._core.records import Record, Result, Told

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessedEmail(Result):
    """A letter that was read: what it is about (`category`), how urgent, how it sounds."""

    id: str
    category: str
    urgency: str
    sentiment: str
    subject: str
    sender: str = field(metadata={"key": "from"})
    received_at: datetime
    confidence: float


@dataclass(frozen=True, slots=True, kw_only=True)
class EmailReply(Result):
    """The draft of an answer to a letter; its texts are in `extra` as the agent words them."""

    id: str
    category: str
    tone: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EmailSummary(Record):
    id: str
    received_at: datetime
    sender: str = field(metadata={"key": "from"})
    subject: str
    category: str
    urgency: str
    preview: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EmailPage(Result):
    """Part of the history, newest first; `next_cursor` asks for the part after it."""

    items: tuple[EmailSummary, ...]
    next_cursor: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Source(Record):
    """A passage that an answer rests on; `number` is how the answer cites it."""

    number: int
    document: str
    title: str
    snippet: str
    score: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatAnswer(Result):
    """The answer, with numbers in brackets for its sources."""

    answer: str
    sources: tuple[Source, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatEvent(Record):
    """A piece of a streamed answer. `type` is the agent's word: `sources`, then `token`s with `text`, then `done`."""

    type: str
    text: str = ""
    sources: tuple[Source, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Document(Record):
    id: str
    title: str
    kind: str
    characters: int
    passages: int
    uploaded_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadedDocument(Result):
    """A document that was taken in; `evicted` are the ids of those that had to make room."""

    id: str
    title: str
    kind: str
    characters: int
    passages: int
    uploaded_at: datetime
    evicted: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentList(Result):
    documents: tuple[Document, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ScrapedPage(Result):
    url: str
    status: int
    title: str
    text: str
    word_count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SupportReply(Result):
    """The answer to one message; `session` continues the conversation."""

    session: str
    turn: int
    intent: str
    reply: str
    suggested_action: str
    confidence: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SupportMessage(Record):
    """What the agent says in a session.

    `type` is `welcome` (with the `session`), `message` (an answer: `reply`, `intent` and so on), `pong`, `bye`, or
    `error` with its facts in `error`.
    """

    type: str
    session: str | None = None
    turn: int | None = None
    intent: str | None = None
    reply: str | None = None
    suggested_action: str | None = None
    confidence: float | None = None
    error: Mapping[str, object] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket(Result):
    id: str
    subject: str
    description: str
    status: str
    priority: str
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis(Result):
    status: str
    summary: str
    recommended_action: str
    metrics: Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitBalance(Record):
    """A unit in this period; `limit` and `remaining` are None for one without a limit."""

    unit: str
    period: str
    limit: int | None
    held: int
    spent: int
    remaining: int | None
    resets_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class CurrentUsage(Result):
    user: str
    plan: str | None
    units: tuple[UnitBalance, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Agent(Record):
    name: str
    prefix: str
    methods: tuple[str, ...]
    public: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentList(Result):
    agents: tuple[Agent, ...]


@dataclass(frozen=True, slots=True)
class Response(Told):
    """The answer of any route, as it came."""

    raw: Answer

    @property
    def status(self) -> int:
        return self.raw.status

    @property
    def headers(self) -> Headers:
        return self.raw.headers

    @property
    def content(self) -> bytes:
        return self.raw.body

    @property
    def text(self) -> str:
        """The body as UTF-8; what is none is replaced."""
        return self.raw.body.decode("utf-8", "replace")

    def json(self) -> object:
        """The body as JSON; raises APIResponseError for anything else."""
        return self.raw.document()


@dataclass(frozen=True, slots=True)
class RawResponse(Response, Generic[T]):
    """The answer of a method as it came, before anything was read in it."""

    read: Callable[[Answer], T] = field(repr=False, compare=False)

    def parse(self) -> T:
        """What the method itself would have returned; raises APIResponseError as it would have."""
        return self.read(self.raw)
