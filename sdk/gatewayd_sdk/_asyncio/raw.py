"""The same methods, giving the answer as it came; `.parse()` gives what the method itself would have returned."""

from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec, TypeVar, cast

from gatewayd_sdk._asyncio.resources import (
    AsyncAgents,
    AsyncAIOps,
    AsyncCalls,
    AsyncEmail,
    AsyncRag,
    AsyncScraper,
    AsyncSupport,
    AsyncUsage,
)
from gatewayd_sdk._core.calls import Call
from gatewayd_sdk._core.exchange import Mode, Opened
from gatewayd_sdk._core.requests import Request
from gatewayd_sdk._core.results import ChatAnswer, RawResponse

P = ParamSpec("P")
T = TypeVar("T")


class AsyncRawCaller:
    """Carries calls out and reads nothing in their answers."""

    def __init__(self, caller: AsyncCalls) -> None:
        self._caller = caller

    async def call(self, call: Call[T]) -> RawResponse[T]:
        return await self._caller.call(Call(call.request, lambda answer: RawResponse(answer, call.read)))

    async def open(self, request: Request, mode: Mode) -> Opened[Any]:
        return await self._caller.open(request, mode)


def _raw(method: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, Coroutine[Any, Any, RawResponse[T]]]:
    """A method over an AsyncRawCaller, with the type that it has then."""
    return cast("Callable[P, Coroutine[Any, Any, RawResponse[T]]]", method)


class AsyncRawEmail:
    def __init__(self, caller: AsyncCalls) -> None:
        email = AsyncEmail(caller)
        self.process = _raw(email.process)
        self.respond = _raw(email.respond)
        self.history_page = _raw(email.history_page)


class AsyncRawRag:
    def __init__(self, caller: AsyncCalls) -> None:
        rag = AsyncRag(caller)
        self._chat = _raw(rag.chat)
        self.upload_document = _raw(rag.upload_document)
        self.list_documents = _raw(rag.list_documents)

    async def chat(self, question: str, *, top_k: int | None = None) -> RawResponse[ChatAnswer]:
        """Without `stream`: `AsyncGateway.stream` gives any answer while it comes."""
        return await self._chat(question, top_k=top_k)


class AsyncRawScraper:
    def __init__(self, caller: AsyncCalls) -> None:
        self.scrape = _raw(AsyncScraper(caller).scrape)


class AsyncRawSupport:
    def __init__(self, caller: AsyncCalls) -> None:
        support = AsyncSupport(caller)
        self.chat = _raw(support.chat)
        self.create_ticket = _raw(support.create_ticket)
        self.get_ticket = _raw(support.get_ticket)


class AsyncRawAIOps:
    def __init__(self, caller: AsyncCalls) -> None:
        self.analyze = _raw(AsyncAIOps(caller).analyze)


class AsyncRawUsage:
    def __init__(self, caller: AsyncCalls) -> None:
        self.current = _raw(AsyncUsage(caller).current)


class AsyncRawAgents:
    def __init__(self, caller: AsyncCalls) -> None:
        self.list = _raw(AsyncAgents(caller).list)


class AsyncRawGateway:
    """All agents' methods that give one answer, as it came."""

    def __init__(self, caller: AsyncCalls) -> None:
        raw = cast("AsyncCalls", AsyncRawCaller(caller))
        self.email = AsyncRawEmail(raw)
        self.rag = AsyncRawRag(raw)
        self.scraper = AsyncRawScraper(raw)
        self.support = AsyncRawSupport(raw)
        self.aiops = AsyncRawAIOps(raw)
        self.usage = AsyncRawUsage(raw)
        self.agents = AsyncRawAgents(raw)
