"""The email agent: reads a letter, says what it is and what it names, drafts the answer, keeps a history."""

import asyncio
import secrets
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Final

from aiohttp import web

from gatewayd.demo.api import MAX_BODY, answer, application, read_body, read_fields, rfc3339, user_of
from gatewayd.demo.fields import Fault, Fields
from gatewayd.demo.letters import Letter, parse_letter
from gatewayd.demo.pages import plain
from gatewayd.demo.replies import TONES, draft_reply
from gatewayd.demo.shelves import Recent, Shelf, requested_page
from gatewayd.demo.triage import CATEGORIES, Triage, triage

BASE: Final = "/api/email"
_RAW_TYPES: Final = frozenset({"message/rfc822", "text/plain"})
_FOLDERS: Final = (*CATEGORIES, "general")
_MOST_SUBJECT: Final = 1_000
_MOST_BODY: Final = 4_000


@dataclass(frozen=True, slots=True)
class Processed:
    """A letter that was read, with what was found; of a long body only the beginning is kept."""

    id: str
    received_at: float
    letter: Letter
    triage: Triage

    @property
    def document(self) -> dict[str, object]:
        return {
            **self.summary,
            **self.triage.document,
            "to": self.letter.to,
            "message_id": self.letter.message_id,
            "attachments": [asdict(each) for each in self.letter.attachments],
        }

    @property
    def summary(self) -> dict[str, object]:
        return {
            "id": self.id,
            "received_at": rfc3339(self.received_at),
            "from": self.letter.sender,
            "subject": self.letter.subject,
            "category": self.triage.category.label,
            "urgency": self.triage.urgency.label,
            "preview": plain(self.letter.body)[:160],
        }


def create_app(*, now: Callable[[], float] = time.time, kept: int = 100, users: int = 100) -> web.Application:
    """The agent, mounted under `BASE`; it keeps the `kept` newest letters of the `users` seen last."""
    agent = _EmailAgent(now, kept, users)
    return application(
        "email",
        BASE,
        [
            ("POST", "/process", agent.process),
            ("POST", "/respond", agent.respond),
            ("GET", "/history", agent.history),
        ],
    )


class _EmailAgent:
    def __init__(self, now: Callable[[], float], kept: int, users: int) -> None:
        self._now = now
        self._mailboxes: Recent[Shelf[Processed]] = Recent(lambda _: Shelf(kept), users)

    async def process(self, request: web.Request) -> web.Response:
        if request.content_type in _RAW_TYPES:
            raw = await read_body(request)
            letter = await asyncio.to_thread(parse_letter, raw)
        else:
            letter = await _letter_in(await read_fields(request))
        return answer((await self._keep(request, letter)).document)

    async def _keep(self, request: web.Request, letter: Letter) -> Processed:
        findings = await asyncio.to_thread(triage, letter)
        processed = Processed(f"msg_{secrets.token_hex(8)}", self._now(), _shortened(letter), findings)
        self._mailboxes.of(user_of(request)).put(processed.id, processed)
        return processed

    async def respond(self, request: web.Request) -> web.Response:
        fields = await read_fields(request)
        tone = fields.choice("tone", TONES, "neutral")
        processed = await self._processed(request, fields)
        draft = draft_reply(processed.letter, processed.triage, tone)
        return answer({"id": processed.id, "category": processed.triage.category.label, "tone": tone, **asdict(draft)})

    async def _processed(self, request: web.Request, fields: Fields) -> Processed:
        if "id" not in fields:
            return await self._keep(request, await _letter_in(fields))
        found = self._mailboxes.of(user_of(request)).get(fields.text("id"))
        if found is None:
            raise Fault(404, "unknown_message", "there is no message of this id: process it first")
        return found

    async def history(self, request: web.Request) -> web.Response:
        category = Fields(dict(request.query)).choice("category", ("", *_FOLDERS), "")
        mailbox = self._mailboxes.of(user_of(request))
        page = requested_page(request, mailbox, lambda each: category in ("", each.triage.category.label))
        return answer({"items": [each.summary for each in page.items], "next_cursor": page.next_cursor})


async def _letter_in(fields: Fields) -> Letter:
    """The letter of a JSON body: raw in `message`, or as `from`, `subject` and `body`."""
    if "message" in fields:
        return await asyncio.to_thread(parse_letter, fields.text("message", most=MAX_BODY).encode())
    if "body" not in fields:
        raise Fault(400, "invalid_field", "message (raw, RFC 5322) or body (with from and subject) is required")
    return Letter(
        sender=plain(fields.optional_text("from", most=320) or ""),
        sender_name="",
        subject=plain(fields.optional_text("subject", most=1_000) or ""),
        body=fields.text("body", most=MAX_BODY),
    )


def _shortened(letter: Letter) -> Letter:
    return replace(
        letter,
        subject=letter.subject[:_MOST_SUBJECT],
        body=letter.body[:_MOST_BODY],
        attachments=letter.attachments[:20],
    )
