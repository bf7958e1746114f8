"""Each method's request and the result it promises: all that the two clients share about the routes."""

from collections.abc import Callable, Mapping, Sequence
from typing import Generic, Literal, NamedTuple, TypeAlias, TypedDict, TypeVar
from urllib.parse import quote

from gatewayd_sdk._core import results
from gatewayd_sdk._core.answers import Answer, response_error
from gatewayd_sdk._core.errors import ConfigurationError
from gatewayd_sdk._core.requests import Request, json_request, target_of
from gatewayd_sdk._core.sources import AsyncFile, source_of
from gatewayd_sdk._core.uploads import Progress, file_form

T = TypeVar("T")
Tone: TypeAlias = Literal["neutral", "friendly", "formal"]
Priority: TypeAlias = Literal["low", "normal", "high", "urgent"]


class Point(TypedDict):
    """A value `v` at the time `t`: a number, or an ISO 8601 date and time."""

    t: float | str
    v: float


Metrics: TypeAlias = Mapping[str, Sequence[float | Point]]


class Call(NamedTuple, Generic[T]):
    request: Request
    read: Callable[[Answer], T]


def email_process(body: str, subject: str | None, sender: str | None) -> Call[results.ProcessedEmail]:
    letter = {"subject": subject, "body": body, "from": sender}
    return Call(json_request("/api/email/process", letter), results.ProcessedEmail.of)


def email_respond(message_id: str, tone: Tone | None) -> Call[results.EmailReply]:
    return Call(json_request("/api/email/respond", {"id": message_id, "tone": tone}), results.EmailReply.of)


def email_history(category: str | None, page_size: int | None, cursor: str | None) -> Call[results.EmailPage]:
    query = {"category": category, "limit": page_size, "cursor": cursor}
    return Call(Request("GET", target_of("/api/email/history", query)), results.EmailPage.of)


def following(page: results.EmailPage, cursor: str | None) -> str | None:
    """What asks for the next page, None at the end. Raises APIResponseError for one that goes in a circle."""
    if page.next_cursor is not None and page.next_cursor == cursor:
        raise response_error("the history goes in a circle: its next page is the same again", page.raw)
    return page.next_cursor


def rag_chat(question: str, top_k: int | None) -> Call[results.ChatAnswer]:
    return Call(json_request("/api/rag/chat", {"question": question, "top_k": top_k}), results.ChatAnswer.of)


def rag_chat_stream(question: str, top_k: int | None) -> Request:
    document = {"question": question, "top_k": top_k, "stream": True}
    return json_request("/api/rag/chat", document, events=True)


def rag_upload_document(
    file: AsyncFile,
    title: str | None,
    filename: str | None,
    content_type: str | None,
    progress: Progress | None,
) -> Call[results.UploadedDocument]:
    fields, upload = file_form(
        source_of(file), title=title, filename=filename, content_type=content_type, progress=progress
    )
    return Call(Request("POST", "/api/rag/documents/upload", fields, upload), results.UploadedDocument.of)


def rag_list_documents() -> Call[results.DocumentList]:
    return Call(Request("GET", "/api/rag/documents"), results.DocumentList.of)


def scraper_scrape(url: str, selectors: Sequence[str] | None) -> Call[results.ScrapedPage]:
    if isinstance(selectors, str):
        raise ConfigurationError("selectors is a list of names, such as ['h1']")
    document = {"url": url, "selectors": None if selectors is None else list(selectors)}
    return Call(json_request("/api/scraper/scrape", document), results.ScrapedPage.of)


def support_chat(message: str, session: str | None) -> Call[results.SupportReply]:
    return Call(json_request("/api/support/chat", {"message": message, "session": session}), results.SupportReply.of)


def support_create_ticket(subject: str, description: str | None, priority: Priority | None) -> Call[results.Ticket]:
    document = {"subject": subject, "description": description, "priority": priority}
    return Call(json_request("/api/support/tickets", document), results.Ticket.of)


def support_get_ticket(ticket_id: str) -> Call[results.Ticket]:
    if ticket_id in ("", ".", ".."):
        raise ConfigurationError("the id of a ticket is needed, as create_ticket returned it")
    return Call(Request("GET", f"/api/support/tickets/{quote(ticket_id, safe='')}"), results.Ticket.of)


def support_connect() -> Request:
    return Request("GET", "/api/support/ws")


def aiops_analyze(metrics: Metrics, sensitivity: float | None) -> Call[results.Diagnosis]:
    document = {"metrics": {name: list(points) for name, points in metrics.items()}, "sensitivity": sensitivity}
    return Call(json_request("/api/aiops/analyze", document), results.Diagnosis.of)


def usage_current() -> Call[results.CurrentUsage]:
    return Call(Request("GET", "/gateway/v1/usage"), results.CurrentUsage.of)


def agents_list() -> Call[results.AgentList]:
    return Call(Request("GET", "/gateway/v1/agents"), results.AgentList.of)


def any_route(request: Request) -> Call[results.Response]:
    return Call(request, results.Response)
