"""The head of an agent's answer, judged: how its body ends, and that nothing in it breaks out of its place. Pure."""

from dataclasses import dataclass
from typing import Final

from aiohttp.http import HttpVersion10, HttpVersion11, RawResponseMessage

from gatewayd.errors import UpstreamProtocol
from gatewayd.framing import CONTROL, is_one_number

_BODILESS: Final = frozenset({204, 304})
_MAX_VALUES: Final = 64 * 1024  # bytes of all field values together

RawHeaders = tuple[tuple[bytes, bytes], ...]


@dataclass(frozen=True, slots=True)
class AnswerHead:
    """A status line and its fields as they came. `length` None: where the body ends is not known beforehand."""

    status: int
    reason: bytes
    raw_headers: RawHeaders
    length: int | None
    chunked: bool
    has_body: bool

    @property
    def is_interim(self) -> bool:
        """A 1xx after which the answer is still to come (RFC 9110 section 15.2); 101 is the last of its exchange."""
        return self.status < 200 and self.status != 101

    @property
    def ends_with_connection(self) -> bool:
        """Nothing but the end of the connection tells the end of the body (RFC 9112 section 6.3, rule 8)."""
        return self.has_body and self.length is None and not self.chunked


def judge(message: RawResponseMessage, *, bodiless: bool) -> AnswerHead:
    """Read a parsed head as strictly as a caller behind us might; `bodiless` for the answer to a HEAD.

    Raises UpstreamProtocol for what can be read in two ways, or could be read as more than one field.
    """
    status, reason = message.code, message.reason.encode("utf-8", "surrogateescape")
    if status < 100 or message.version not in (HttpVersion10, HttpVersion11):
        raise UpstreamProtocol("The agent's status line is not valid HTTP/1.1.")
    values = b"".join([value for _, value in message.raw_headers])
    if len(values) > _MAX_VALUES:
        raise UpstreamProtocol("The agent's header section is too large.")
    if CONTROL.search(values) or CONTROL.search(reason):  # the parser is lenient with agents
        raise UpstreamProtocol("The agent's header section has a control character.")
    chunked, length = _framing(message)
    return AnswerHead(
        status=status,
        reason=reason,
        raw_headers=message.raw_headers,
        length=length,
        chunked=chunked,
        has_body=not bodiless and status >= 200 and status not in _BODILESS,
    )


def _framing(message: RawResponseMessage) -> tuple[bool, int | None]:
    """Whether the body is chunked, and its length if that is stated (RFC 9112 sections 6.1 to 6.3)."""
    lengths: list[bytes] = []
    codings: list[bytes] = []
    for name, value in message.raw_headers:
        lower = name.lower()
        if lower == b"content-length":
            lengths.append(value)
        elif lower == b"transfer-encoding":
            codings.append(value.lower())
    if codings and (lengths or codings != [b"chunked"] or message.version == HttpVersion10):
        raise UpstreamProtocol("The agent's framing is ambiguous.")
    if lengths and not is_one_number(lengths):
        raise UpstreamProtocol("The agent's Content-Length is not one number.")
    return bool(codings), int(lengths[0]) if lengths else None
