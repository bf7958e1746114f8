"""The agents' methods, each a request that `_core.calls` knows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol, TypeVar

from gatewayd_sdk._core import calls, results
from gatewayd_sdk._core.calls import Call

T = TypeVar("T")


class Caller(Protocol):
    """What carries a call out."""

    def call(self, call: Call[T]) -> T: ...


class Resource:
    """Methods of one agent, over the client that has them."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller


class Email(Resource):
    """Letters: read, answered, remembered."""

    def process(self, body: str, *, subject: str | None = None, sender: str | None = None) -> results.ProcessedEmail:
        """Says what a letter is about, how urgent it is, and what it names."""
        return self._caller.call(calls.email_process(subject, body, sender))

    def respond(self, message_id: str, *, tone: str | None = None) -> results.EmailReply:
        """Drafts the answer to a letter that was processed; raises NotFoundError for any other."""
        return self._caller.call(calls.email_respond(message_id, tone))

    def history(self, *, category: str | None = None, page_size: int | None = None) -> Iterator[results.EmailSummary]:
        """The letters that were processed, newest first; asks for the next page when it is needed."""
        cursor: str | None = None
        while True:
            page = self.history_page(category=category, page_size=page_size, cursor=cursor)
            yield from page.items
            if (cursor := page.next_cursor) is None:
                return

    def history_page(
        self, *, category: str | None = None, page_size: int | None = None, cursor: str | None = None
    ) -> results.EmailPage:
        """One page of the history, with what the answer says of the call."""
        return self._caller.call(calls.email_history(category, page_size, cursor))


class Rag(Resource):
    """Questions to documents."""

    def chat(self, question: str, *, top_k: int | None = None) -> results.ChatAnswer:
        """Answers from the caller's documents, with the passages that the answer rests on."""
        return self._caller.call(calls.rag_chat(question, top_k))

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
        self, subject: str, *, description: str | None = None, priority: str | None = None
    ) -> results.Ticket:
        """Opens a ticket; priorities are low, normal, high and urgent."""
        return self._caller.call(calls.support_create_ticket(subject, description, priority))

    def get_ticket(self, ticket_id: str) -> results.Ticket:
        """The ticket; raises NotFoundError for one that there is not, or that is somebody else's."""
        return self._caller.call(calls.support_get_ticket(ticket_id))


class AIOps(Resource):
    """Metrics read."""

    def analyze(
        self, metrics: Mapping[str, Sequence[object]], *, sensitivity: float | None = None
    ) -> results.Diagnosis:
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
