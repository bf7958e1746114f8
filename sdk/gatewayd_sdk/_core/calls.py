"""Each method's request and the result it promises: all that the two clients share about the routes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar
from urllib.parse import quote

from gatewayd_sdk._core import results
from gatewayd_sdk._core.answers import Answer
from gatewayd_sdk._core.requests import Request, json_request

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    request: Request
    read: Callable[[Answer], T]


def email_process(subject: str | None, body: str, sender: str | None) -> Call[results.ProcessedEmail]:
    letter = {"subject": subject, "body": body, "from": sender}
    return Call(json_request("POST", "/api/email/process", letter), results.ProcessedEmail.of)


def email_respond(message_id: str, tone: str | None) -> Call[results.EmailReply]:
    return Call(json_request("POST", "/api/email/respond", {"id": message_id, "tone": tone}), results.EmailReply.of)


def email_history(category: str | None, page_size: int | None, cursor: str | None) -> Call[results.EmailPage]:
    query = {"category": category, "limit": page_size, "cursor": cursor}
    return Call(Request("GET", "/api/email/history", query), results.EmailPage.of)


def rag_chat(question: str, top_k: int | None) -> Call[results.ChatAnswer]:
    return Call(json_request("POST", "/api/rag/chat", {"question": question, "top_k": top_k}), results.ChatAnswer.of)


def rag_list_documents() -> Call[results.DocumentList]:
    return Call(Request("GET", "/api/rag/documents"), results.DocumentList.of)


def scraper_scrape(url: str, selectors: Sequence[str] | None) -> Call[results.ScrapedPage]:
    document = {"url": url, "selectors": None if selectors is None else list(selectors)}
    return Call(json_request("POST", "/api/scraper/scrape", document), results.ScrapedPage.of)


def support_chat(message: str, session: str | None) -> Call[results.SupportReply]:
    document = {"message": message, "session": session}
    return Call(json_request("POST", "/api/support/chat", document), results.SupportReply.of)


def support_create_ticket(subject: str, description: str | None, priority: str | None) -> Call[results.Ticket]:
    document = {"subject": subject, "description": description, "priority": priority}
    return Call(json_request("POST", "/api/support/tickets", document), results.Ticket.of)


def support_get_ticket(ticket_id: str) -> Call[results.Ticket]:
    return Call(Request("GET", f"/api/support/tickets/{quote(ticket_id, safe='')}"), results.Ticket.of)


def aiops_analyze(metrics: Mapping[str, Sequence[object]], sensitivity: float | None) -> Call[results.Diagnosis]:
    document = {"metrics": {name: list(points) for name, points in metrics.items()}, "sensitivity": sensitivity}
    return Call(json_request("POST", "/api/aiops/analyze", document), results.Diagnosis.of)


def usage_current() -> Call[results.CurrentUsage]:
    return Call(Request("GET", "/gateway/v1/usage"), results.CurrentUsage.of)


def agents_list() -> Call[results.AgentList]:
    return Call(Request("GET", "/gateway/v1/agents"), results.AgentList.of)


def any_route(request: Request) -> Call[results.Response]:
    return Call(request, lambda answer: results.Response(answer=answer))
