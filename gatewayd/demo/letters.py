"""A raw message (RFC 5322, MIME) → the letter in it. Whatever is sent, the answer is a letter or a `Fault`."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.headerregistry import Address
from email.message import Message
from itertools import islice
from typing import Final, TypeVar

from gatewayd.demo.fields import Fault
from gatewayd.demo.pages import plain, read_html

T = TypeVar("T")
MAX_HEADER_BYTES: Final = 64 * 1024
_MOST_PARTS: Final = 200
_MOST_BOUNDARIES: Final = 1_000  # each costs the parser far more than another line
_MOST_IDS: Final = 20
_MESSAGE_ID: Final = re.compile(r"<[^<>\s@]{1,200}@[^<>\s@]{1,200}>")
_CHARSETS: Final = re.compile(
    r"utf-?8|us-ascii|iso-8859-(?:[1-9]|1[013-6])|windows-125[0-8]|koi8-[ru]|gb2312|gbk|big5|shift_jis|euc-(?:jp|kr)"
)


@dataclass(frozen=True, slots=True)
class Attachment:
    """A part that is not the text; `size` is in bytes, decoded."""

    name: str
    content_type: str
    size: int


@dataclass(frozen=True, slots=True)
class Letter:
    """Who wrote what, and where it stands in its thread (RFC 5322 section 3.6.4)."""

    sender: str
    sender_name: str
    subject: str
    body: str
    to: tuple[str, ...] = ()
    message_id: str = ""
    references: tuple[str, ...] = ()
    attachments: tuple[Attachment, ...] = ()
    automatic: bool = False


def parse_letter(raw: bytes) -> Letter:
    """Reads a message; raises `Fault` when it is none, or its header, its parts or their nesting go too far."""
    head = re.split(rb"\r?\n\r?\n", raw, maxsplit=1)[0]
    if len(head) > MAX_HEADER_BYTES:
        raise Fault(400, "invalid_message", f"the message's header is longer than {MAX_HEADER_BYTES} bytes")
    if raw.count(b"\n--") > _MOST_BOUNDARIES:
        raise Fault(400, "invalid_message", "the message has too many parts")
    try:
        message: Message = message_from_bytes(raw, policy=policy.default)
        return _letter(message)
    except RecursionError as error:
        raise Fault(400, "invalid_message", "the message is nested too deeply") from error


def _letter(message: Message) -> Letter:
    if "From" not in message and "Subject" not in message:
        raise Fault(
            400,
            "invalid_message",
            "the message has neither From nor Subject: send it raw, as RFC 5322 has it",
        )
    body, attachments = _contents(message)
    sender, sender_name = next(iter(_addresses(message, "From")), ("", ""))
    return Letter(
        sender=sender,
        sender_name=sender_name,
        subject=plain(_header(message, "Subject")),
        body=body,
        to=tuple(address for address, _ in _addresses(message, "To")),
        message_id=next(iter(_ids(message, "Message-ID")), ""),
        references=_ids(message, "References") or _ids(message, "In-Reply-To")[:1],
        attachments=attachments,
        automatic=_header(message, "Auto-Submitted").lower() not in ("", "no"),
    )


def _attempt(read: Callable[[], T], default: T) -> T:
    # The standard library's header parser meets some malformed fields with IndexError, AttributeError,
    # ValueError and others: such a field counts as absent.
    try:
        return read()
    except Exception:
        return default


def _header(message: Message, name: str) -> str:
    return _clean(_attempt(lambda: str(message[name] or ""), ""))


def _clean(text: str) -> str:
    return text.encode("utf-8", "replace").decode()


def _addresses(message: Message, name: str) -> tuple[tuple[str, str], ...]:
    parsed: tuple[Address, ...] = _attempt(lambda: getattr(message[name], "addresses", ()), ())
    found = _attempt(lambda: [(each.addr_spec, each.display_name) for each in parsed], [("", "")])
    return tuple((_clean(address), plain(_clean(shown))) for address, shown in found if "@" in address)


def _ids(message: Message, name: str) -> tuple[str, ...]:
    """The message ids of a field; of a long thread the first and the latest, as RFC 5537 section 3.4.4 trims."""
    found = _MESSAGE_ID.findall(_header(message, name))
    return tuple(found if len(found) <= _MOST_IDS else found[:1] + found[1 - _MOST_IDS :])


def _contents(message: Message) -> tuple[str, tuple[Attachment, ...]]:
    """The plain text, or else what the HTML shows; everything else is an attachment."""
    texts: dict[str, str] = {}
    attachments = []
    for part in _parts(message):
        if part.is_text and part.kind not in texts:
            texts[part.kind] = part.text
        else:
            attachments.append(Attachment(part.name, part.kind, len(part.data)))
    body = texts["text/plain"] if "text/plain" in texts else read_html(texts.get("text/html", "")).text
    return body.strip(), tuple(attachments)


@dataclass(frozen=True, slots=True)
class _Part:
    kind: str
    name: str
    attached: bool
    charset: str
    data: bytes

    @property
    def is_text(self) -> bool:
        return self.kind in ("text/plain", "text/html") and not self.name and not self.attached

    @property
    def text(self) -> str:
        # Only charsets of letters: Python's other codecs are slow (punycode) or are none of text.
        charset = self.charset if _CHARSETS.fullmatch(self.charset) else "utf-8"
        return self.data.decode(charset, "replace").replace("\r\n", "\n")


def _parts(message: Message) -> Iterator[_Part]:
    return (_part(part) for part in islice(message.walk(), _MOST_PARTS) if not part.is_multipart())


def _part(part: Message) -> _Part:
    data = _attempt(lambda: part.get_payload(decode=True), None)
    return _Part(
        kind=_attempt(part.get_content_type, "application/octet-stream"),
        name=plain(_clean(_attempt(lambda: part.get_filename() or "", ""))),
        attached=_attempt(part.get_content_disposition, None) == "attachment",
        charset=(_attempt(part.get_content_charset, None) or "utf-8").lower(),
        data=data if isinstance(data, bytes) else b"",
    )
