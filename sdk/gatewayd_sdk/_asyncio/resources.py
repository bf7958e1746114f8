"""The agents' methods, each a request that `_core.calls` knows."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Protocol, TypeVar

from gatewayd_sdk._core import calls, results
from gatewayd_sdk._core.calls import Call

T = TypeVar("T")


class AsyncCaller(Protocol):
    """What carries a call out."""

    async def call(self, call: Call[T]) -> T: ...


class AsyncResource:
    """Methods of one agent, over the client that has them."""

    def __init__(self, caller: AsyncCaller) -> None:
        self._caller = caller


class AsyncEmail(AsyncResource):
    """Letters: read, answered, remembered."""

    async def process(
        self, body: str, *, subject: str | None = None, sender: str | None = None
    ) -> results.ProcessedEmail:
        """Says what a letter is about, how urgent it is, and what it names."""
        return await self._caller.call(calls.email_process(subject, body, sender))

    async def respond(self, message_id: str, *, tone: str | None = None) -> results.EmailReply:
        """Drafts the answer to a letter that was processed; raises NotFoundError for any other."""
        return await self._caller.call(calls.email_respond(message_id, tone))

    async def history(
        self, *, category: str | None = None, page_size: int | None = None
    ) -> AsyncIterator[results.EmailSummary]:
        """The letters that were processed, newest first; asks for the next page when it is needed."""
        cursor: str | None = None
        while True:
            page = await self.history_page(category=category, page_size=page_size, cursor=cursor)
            for item in page.items:
                yield item
            if (cursor := page.next_cursor) is None:
                return

    async def history_page(
        self, *, category: str | None = None, page_size: int | None = None, cursor: str | None = None
    ) -> results.EmailPage:
        """One page of the history, with what the answer says of the call."""
        return await self._caller.call(calls.email_history(category, page_size, cursor))


class AsyncRag(AsyncResource):
    """Questions to documents."""

    async def chat(self, question: str, *, top_k: int | None = None) -> results.ChatAnswer:
        """Answers from the caller's documents, with the passages that the answer rests on."""
        return await self._caller.call(calls.rag_chat(question, top_k))

    async def list_documents(self) -> results.DocumentList:
        """The caller's documents, newest first."""
        return await self._caller.call(calls.rag_list_documents())


class AsyncScraper(AsyncResource):
    """Pages read."""

    async def scrape(self, url: str, *, selectors: Sequence[str] | None = None) -> results.ScrapedPage:
        """Reads one page; `selectors` are names of elements whose texts are gathered."""
        return await self._caller.call(calls.scraper_scrape(url, selectors))


class AsyncSupport(AsyncResource):
    """Customers answered, and their tickets."""

    async def chat(self, message: str, *, session: str | None = None) -> results.SupportReply:
        """Answers a message; give the reply's `session` to go on with the conversation."""
        return await self._caller.call(calls.support_chat(message, session))

    async def create_ticket(
        self, subject: str, *, description: str | None = None, priority: str | None = None
    ) -> results.Ticket:
        """Opens a ticket; priorities are low, normal, high and urgent."""
        return await self._caller.call(calls.support_create_ticket(subject, description, priority))

    async def get_ticket(self, ticket_id: str) -> results.Ticket:
        """The ticket; raises NotFoundError for one that there is not, or that is somebody else's."""
        return await self._caller.call(calls.support_get_ticket(ticket_id))


class AsyncAIOps(AsyncResource):
    """Metrics read."""

    async def analyze(
        self, metrics: Mapping[str, Sequence[object]], *, sensitivity: float | None = None
    ) -> results.Diagnosis:
        """Says what is unusual; a metric's points are numbers, or objects with `t` and `v`."""
        return await self._caller.call(calls.aiops_analyze(metrics, sensitivity))


class AsyncUsage(AsyncResource):
    """The caller's own balances."""

    async def current(self) -> results.CurrentUsage:
        """Spent, held, limit and what remains of each unit in this period."""
        return await self._caller.call(calls.usage_current())


class AsyncAgents(AsyncResource):
    """What is behind the gateway."""

    async def list(self) -> results.AgentList:
        """The agents' names, prefixes and methods."""
        return await self._caller.call(calls.agents_list())
