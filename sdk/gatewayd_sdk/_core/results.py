"""What each method returns: the members that callers rely on; all others are in `extra`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from gatewayd_sdk._core.records import Record, Result


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
    answer_text: str = field(metadata={"key": "answer"})
    sources: tuple[Source, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Document(Record):
    id: str
    title: str
    kind: str
    characters: int
    passages: int
    uploaded_at: datetime


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Response(Result):
    """The answer of any route, as it came."""

    @property
    def status(self) -> int:
        return self.answer.status

    @property
    def content(self) -> bytes:
        return self.answer.body

    def json(self) -> object:
        """The body as JSON; raises APIResponseError for anything else."""
        return self.answer.document()
