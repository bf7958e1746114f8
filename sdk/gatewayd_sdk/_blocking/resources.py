"""The agents' methods, each a request that `_core.calls` knows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, Protocol, TypeVar, overload

from gatewayd_sdk._blocking.history import EmailHistory
from gatewayd_sdk._blocking.sessions import SupportSession
from gatewayd_sdk._blocking.streams import ChatStream
from gatewayd_sdk._core import calls, results
from gatewayd_sdk._core.calls import Call, Metrics, Priority, Tone
from gatewayd_sdk._core.exchange import Mode, Opened
from gatewayd_sdk._core.requests import Request
from gatewayd_sdk._core.sources import File
from gatewayd_sdk._core.uploads import Progress

T = TypeVar("T")


class Calls(Protocol):
    """What carries a call out."""

    def call(self, call: Call[T]) -> T: ...

    def open(self, request: Request, mode: Mode) -> Opened[Any]: ...


class Resource:
    """Methods of one agent, over what carries them out."""

    def __init__(self, caller: Calls) -> None:
        self._caller = caller


class Email(Resource):
    """Letters: read, answered, remembered."""

    def process(self, body: str, *, subject: str | None = None, sender: str | None = None) -> results.ProcessedEmail:
        """Says what a letter is about, how urgent it is, and what it names."""
        return self._caller.call(calls.email_process(body, subject, sender))

    def respond(self, message_id: str, *, tone: Tone | None = None) -> results.EmailReply:
        """Drafts the answer to a letter that was processed; raises NotFoundError for any other."""
        return self._caller.call(calls.email_respond(message_id, tone))

    def history(self, *, category: str | None = None, page_size: int | None = None) -> EmailHistory:
        """The letters that were processed, newest first; iterating asks for the next page when it is needed."""
        return EmailHistory(lambda cursor: self.history_page(category=category, page_size=page_size, cursor=cursor))

    def history_page(
        self, *, category: str | None = None, page_size: int | None = None, cursor: str | None = None
    ) -> results.EmailPage:
        """One page of the history; its `next_cursor` asks for the one after it."""
        return self._caller.call(calls.email_history(category, page_size, cursor))


class Rag(Resource):
    """Questions to documents."""

    @overload
    def chat(
        self, question: str, *, top_k: int | None = None, stream: Literal[False] = False
    ) -> results.ChatAnswer: ...
    @overload
    def chat(self, question: str, *, top_k: int | None = None, stream: Literal[True]) -> ChatStream: ...
    def chat(self, question: str, *, top_k: int | None = None, stream: bool = False) -> results.ChatAnswer | ChatStream:
        """Answers from the caller's documents, with up to `top_k` passages that the answer rests on.

        With `stream`, the events of the answer as they come: an iterator and context manager.
        """
        if stream:
            return ChatStream(self._caller.open(calls.rag_chat_stream(question, top_k), "stream"))
        return self._caller.call(calls.rag_chat(question, top_k))

    def upload_document(
        self,
        file: File,
        *,
        title: str | None = None,
        filename: str | None = None,
        content_type: str | None = None,
        progress: Progress | None = None,
    ) -> results.UploadedDocument:
        """Takes a document in: a path, bytes, or a binary stream, which is sent as it is read and never held whole.

        A text is a path: for a text itself, give bytes and a `filename` that says its kind. `progress` is called with
        the bytes handed over so far and their number in all, None if that is not known; a repeat counts from 0 again.
        Only a path, bytes and a stream that can be wound back are sent again when an attempt fails.
        """
        return self._caller.call(calls.rag_upload_document(file, title, filename, content_type, progress))

    def list_documents(self) -> results.DocumentList:
        """The caller's documents, newest first."""
        return self._caller.call(calls.rag_list_documents())


class Scraper(Resource):
    """Pages read."""

    def scrape(self, url: str, *, selectors: Sequence[str] | None = None) -> results.ScrapedPage:
        """Reads one page; `selectors` are names of elements whose texts are gathered."""
        return self._caller.call(calls.scraper_scrape(url, selectors))


class Support(Resource):
    """Customers answered, and their tickets."""

    def chat(self, message: str, *, session: str | None = None) -> results.SupportReply:
        """Answers a message; give the reply's `session` to go on with the conversation."""
        return self._caller.call(calls.support_chat(message, session))

    def create_ticket(
        self, subject: str, *, description: str | None = None, priority: Priority | None = None
    ) -> results.Ticket:
        """Opens a ticket."""
        return self._caller.call(calls.support_create_ticket(subject, description, priority))

    def get_ticket(self, ticket_id: str) -> results.Ticket:
        """The ticket; raises NotFoundError for one that there is not, or that is somebody else's."""
        return self._caller.call(calls.support_get_ticket(ticket_id))

    def connect(self) -> SupportSession:
        """Opens a conversation over a WebSocket: a context manager; the agent's first message is a welcome."""
        return SupportSession(self._caller.open(calls.support_connect(), "websocket"))


class AIOps(Resource):
    """Metrics read."""

    def analyze(self, metrics: Metrics, *, sensitivity: float | None = None) -> results.Diagnosis:
        """Says what is unusual; a metric's points are numbers, or objects with `t` and `v`."""
        return self._caller.call(calls.aiops_analyze(metrics, sensitivity))


class Usage(Resource):
    """The caller's own balances."""

    def current(self) -> results.CurrentUsage:
        """Spent, held, limit and what remains of each unit in this period."""
        return self._caller.call(calls.usage_current())


class Agents(Resource):
    """What is behind the gateway."""

    def list(self) -> results.AgentList:
        """The agents' names, prefixes and methods."""
        return self._caller.call(calls.agents_list())
