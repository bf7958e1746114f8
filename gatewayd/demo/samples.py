"""What to try first: one call per agent and feature, as data and as a line for the shell."""

import json
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Final

from gatewayd.demo.agents import AGENTS, HOST
from gatewayd.demo.scraper import SITE

HANDBOOK: Final = "handbook.md"
LETTER: Final = "letter.eml"


@dataclass(frozen=True, slots=True)
class Sample:
    """A call through the gateway: `path` is the gateway's. The body is one of `document`, `content`, `file` or none.

    `content` is sent as it is, `file` goes into the form's field of that name. `streams`: the answer arrives piece
    by piece.
    """

    agent: str
    description: str
    method: str
    path: str
    headers: Mapping[str, str] = field(default_factory=dict)
    document: Mapping[str, object] | None = None
    content: Path | None = None
    file: Path | None = None
    streams: bool = False

    def curl(self, base_url: str, variable: str = "TOKEN") -> str:
        """One line for a POSIX shell, quoted; the token is read from the shell's variable of that name."""
        quoted = (shlex.quote(word) for word in self._words(base_url.rstrip("/")))
        unbuffered = "-N " if self.streams else ""
        return f'curl {unbuffered}-sS -H "Authorization: Bearer ${variable}" {" ".join(quoted)}'

    def _words(self, base_url: str) -> Iterator[str]:
        if self.method != "GET":
            yield from ("-X", self.method)
        for name, value in self.headers.items():
            yield from ("-H", f"{name}: {value}")
        if self.document is not None:
            yield from (
                "-H",
                "Content-Type: application/json",
                "-d",
                json.dumps(self.document, ensure_ascii=False),
            )
        elif self.content is not None:
            yield from ("--data-binary", f"@{self.content}")
        elif self.file is not None:
            yield from ("-F", f"file=@{self.file}")
        yield base_url + self.path


def data_file(name: str) -> Path:
    """A file that is installed with the package."""
    return Path(str(resources.files("gatewayd.demo") / "data" / name))


def samples(scraper_port: int | None = None) -> tuple[Sample, ...]:
    """The calls, in an order that works on an empty agent; `scraper_port` when the scraper's is not the usual one."""
    usual = next(agent.port for agent in AGENTS if agent.name == "scraper")
    site = f"http://{HOST}:{usual if scraper_port is None else scraper_port}{SITE}"
    return (*_email(), *_rag(), *_scraper(site), *_support(), *_aiops())


def _email() -> Iterator[Sample]:
    raw = {"Content-Type": "message/rfc822"}
    yield Sample(
        "email",
        "Read a letter: its category, urgency and facts",
        "POST",
        "/api/email/process",
        raw,
        content=data_file(LETTER),
    )
    letter = {
        "from": "ada@example.org",
        "subject": "API down",
        "body": "Urgent: every call fails with error 503.",
    }
    yield Sample("email", "Draft an answer", "POST", "/api/email/respond", document={**letter, "tone": "friendly"})
    yield Sample("email", "See what was read so far", "GET", "/api/email/history?limit=5")


def _rag() -> Iterator[Sample]:
    path, question = "/api/rag/chat", "When does a quota reset, and what does status 402 say?"
    yield Sample("rag", "Upload a document to ask about", "POST", "/api/rag/documents/upload", file=data_file(HANDBOOK))
    yield Sample("rag", "Ask it, with the sources of the answer", "POST", path, document={"question": question})
    yield Sample(
        "rag",
        "The same as a stream of events",
        "POST",
        path,
        document={"question": question, "stream": True},
        streams=True,
    )


def _scraper(site: str) -> Iterator[Sample]:
    yield Sample(
        "scraper",
        "Read a page: title, headings, links, text",
        "POST",
        "/api/scraper/scrape",
        document={"url": site},
    )
    several = {"urls": [site, f"{site}pricing"], "selectors": ["td"]}
    yield Sample("scraper", "Read two pages, charged as two", "POST", "/api/scraper/scrape", document=several)


def _support() -> Iterator[Sample]:
    message = {"message": "I was charged twice, where is my refund?"}
    ticket = {"subject": "Charged twice", "description": "Order 48213", "priority": "high"}
    yield Sample("support", "Ask the support desk", "POST", "/api/support/chat", document=message)
    yield Sample("support", "Open a ticket", "POST", "/api/support/tickets", document=ticket)
    yield Sample("support", "List your tickets", "GET", "/api/support/tickets")


def _aiops() -> Iterator[Sample]:
    metrics = {
        "cpu": [41, 43, 40, 42, 97, 41, 42, 40],
        "latency_ms": [120, 118, 125, 121, 900, 119, 122, 120],
    }
    yield Sample(
        "aiops",
        "Find what is unusual in metrics",
        "POST",
        "/api/aiops/analyze",
        document={"metrics": metrics},
    )
