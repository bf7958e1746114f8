"""The agents' methods, each a request that `_core.calls` knows."""

from __future__ import annotations

from collections.abc import Coroutine, Sequence
from typing import Any, Literal, Protocol, TypeVar, overload

from gatewayd_sdk._asyncio.history import AsyncEmailHistory
from gatewayd_sdk._asyncio.opening import Opening, OpeningEvents
from gatewayd_sdk._asyncio.sessions import AsyncSupportSession
from gatewayd_sdk._asyncio.streams import AsyncChatStream
from gatewayd_sdk._core import calls, results
from gatewayd_sdk._core.calls import Call, Metrics, Priority, Tone
from gatewayd_sdk._core.exchange import Mode, Opened
from gatewayd_sdk._core.requests import Request
from gatewayd_sdk._core.sources import AsyncFile
from gatewayd_sdk._core.uploads import Progress

T = TypeVar("T")


class AsyncCalls(Protocol):
    """What carries a call out."""

    async def call(self, call: Call[T]) -> T: ...

    async def open(self, request: Request, mode: Mode) -> Opened[Any]: ...


class AsyncResource:
    """Methods of one agent, over what carries them out."""

    def __init__(self, caller: AsyncCalls) -> None:
        self._caller = caller


class AsyncEmail(AsyncResource):
    """Letters: read, answered, remembered."""

    async def process(
        self, body: str, *, subject: str | None = None, sender: str | None = None
    ) -> results.ProcessedEmail:
        """Says what a letter is about, how urgent it is, and what it names."""
        return await self._caller.call(calls.email_process(body, subject, sender))

    async def respond(self, message_id: str, *, tone: Tone | None = None) -> results.EmailReply:
        """Drafts the answer to a letter that was processed; raises NotFoundError for any other."""
        return await self._caller.call(calls.email_respond(message_id, tone))

    def history(self, *, category: str | None = None, page_size: int | None = None) -> AsyncEmailHistory:
        """The letters that were processed, newest first; iterating asks for the next page when it is needed."""
        return AsyncEmailHistory(
            lambda cursor: self.history_page(category=category, page_size=page_size, cursor=cursor)
        )

    async def history_page(
        self, *, category: str | None = None, page_size: int | None = None, cursor: str | None = None
    ) -> results.EmailPage:
        """One page of the history; its `next_cursor` asks for the one after it."""
        return await self._caller.call(calls.email_history(category, page_size, cursor))


class AsyncRag(AsyncResource):
    """Questions to documents."""

    @overload
    async def chat(
        self, question: str, *, top_k: int | None = None, stream: Literal[False] = False
    ) -> results.ChatAnswer: ...
    @overload
    def chat(
        self, question: str, *, top_k: int | None = None, stream: Literal[True]
    ) -> OpeningEvents[AsyncChatStream, results.ChatEvent]: ...
    def chat(
        self, question: str, *, top_k: int | None = None, stream: bool = False
    ) -> Coroutine[Any, Any, results.ChatAnswer] | OpeningEvents[AsyncChatStream, results.ChatEvent]:
        """Answers from the caller's documents, with up to `top_k` passages that the answer rests on.

        With `stream`, the events of the answer as they come: an iterator and context manager.
        """
        if stream:
            return OpeningEvents(lambda: self._chat(question, top_k))
        return self._caller.call(calls.rag_chat(question, top_k))

    async def _chat(self, question: str, top_k: int | None) -> AsyncChatStream:
        return AsyncChatStream(await self._caller.open(calls.rag_chat_stream(question, top_k), "stream"))

    async def upload_document(
        self,
        file: AsyncFile,
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
        return await self._caller.call(calls.rag_upload_document(file, title, filename, content_type, progress))

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
        self, subject: str, *, description: str | None = None, priority: Priority | None = None
    ) -> results.Ticket:
        """Opens a ticket."""
        return await self._caller.call(calls.support_create_ticket(subject, description, priority))

    async def get_ticket(self, ticket_id: str) -> results.Ticket:
        """The ticket; raises NotFoundError for one that there is not, or that is somebody else's."""
        return await self._caller.call(calls.support_get_ticket(ticket_id))

    def connect(self) -> Opening[AsyncSupportSession]:
        """Opens a conversation over a WebSocket: a context manager; the agent's first message is a welcome."""
        return Opening(self._connect)

    async def _connect(self) -> AsyncSupportSession:
        return AsyncSupportSession(await self._caller.open(calls.support_connect(), "websocket"))


class AsyncAIOps(AsyncResource):
    """Metrics read."""

    async def analyze(self, metrics: Metrics, *, sensitivity: float | None = None) -> results.Diagnosis:
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
