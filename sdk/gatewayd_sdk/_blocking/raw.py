"""The same methods, giving the answer as it came; `.parse()` gives what the method itself would have returned."""

from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, cast

from gatewayd_sdk._blocking.resources import Agents, AIOps, Calls, Email, Rag, Scraper, Support, Usage
from gatewayd_sdk._core.calls import Call
from gatewayd_sdk._core.exchange import Mode, Opened
from gatewayd_sdk._core.requests import Request
from gatewayd_sdk._core.results import ChatAnswer, RawResponse

P = ParamSpec("P")
T = TypeVar("T")


class RawCaller:
    """Carries calls out and reads nothing in their answers."""

    def __init__(self, caller: Calls) -> None:
        self._caller = caller

    def call(self, call: Call[T]) -> RawResponse[T]:
        return self._caller.call(Call(call.request, lambda answer: RawResponse(answer, call.read)))

    def open(self, request: Request, mode: Mode) -> Opened[Any]:
        return self._caller.open(request, mode)


def _raw(method: Callable[P, T]) -> Callable[P, RawResponse[T]]:
    """A method over a RawCaller, with the type that it has then."""
    return cast("Callable[P, RawResponse[T]]", method)


class RawEmail:
    def __init__(self, caller: Calls) -> None:
        email = Email(caller)
        self.process = _raw(email.process)
        self.respond = _raw(email.respond)
        self.history_page = _raw(email.history_page)


class RawRag:
    def __init__(self, caller: Calls) -> None:
        rag = Rag(caller)
        self._chat = _raw(rag.chat)
        self.upload_document = _raw(rag.upload_document)
        self.list_documents = _raw(rag.list_documents)

    def chat(self, question: str, *, top_k: int | None = None) -> RawResponse[ChatAnswer]:
        """Without `stream`: `Gateway.stream` gives any answer while it comes."""
        return self._chat(question, top_k=top_k)


class RawScraper:
    def __init__(self, caller: Calls) -> None:
        self.scrape = _raw(Scraper(caller).scrape)


class RawSupport:
    def __init__(self, caller: Calls) -> None:
        support = Support(caller)
        self.chat = _raw(support.chat)
        self.create_ticket = _raw(support.create_ticket)
        self.get_ticket = _raw(support.get_ticket)


class RawAIOps:
    def __init__(self, caller: Calls) -> None:
        self.analyze = _raw(AIOps(caller).analyze)


class RawUsage:
    def __init__(self, caller: Calls) -> None:
        self.current = _raw(Usage(caller).current)


class RawAgents:
    def __init__(self, caller: Calls) -> None:
        self.list = _raw(Agents(caller).list)


class RawGateway:
    """All agents' methods that give one answer, as it came."""

    def __init__(self, caller: Calls) -> None:
        raw = cast("Calls", RawCaller(caller))
        self.email = RawEmail(raw)
        self.rag = RawRag(raw)
        self.scraper = RawScraper(raw)
        self.support = RawSupport(raw)
        self.aiops = RawAIOps(raw)
        self.usage = RawUsage(raw)
        self.agents = RawAgents(raw)
