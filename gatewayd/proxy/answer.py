"""The head of an agent's answer, judged: how its body ends, and that nothing in it breaks out of its place. Pure."""

from collections.abc import Iterable
from functools import lru_cache
from typing import Any, Final

from aiohttp.http import HttpVersion10, HttpVersion11

from gatewayd.errors import UpstreamProtocol
from gatewayd.framing import HOP_BY_HOP, has_control, is_one_number

BODILESS: Final = frozenset({204, 304})
"""Final statuses without a body, whatever the fields say (RFC 9110 section 6.4.1)."""
_MAX_VALUES: Final = 64 * 1024  # bytes of all field values together
_NAMES_KEPT: Final = 1024
_DIGITS: Final = frozenset(b"0123456789")

Parsed = Any
"""An answer's head. aiohttp's types call it a named tuple; its parser in C gives a class with the same fields."""
Field = tuple[bytes, bytes]
RawHeaders = tuple[Field, ...]

# What a field of an answer is to us. Those from DATE on are passed to the caller; those below are ours to say.
PASSED: Final = 0
OURS: Final = 1
LENGTH: Final = 2
CODING: Final = 3
CONNECTION: Final = 4
TRAILER: Final = 5
UPGRADE: Final = 6
DATE: Final = 7
SERVER: Final = 8
LIMITS: Final = 9
QUANTITY: Final = 10
_KINDS: Final = dict.fromkeys(HOP_BY_HOP | {b"x-request-id", b"x-trace-id"}, OURS) | {
    b"content-length": LENGTH,
    b"transfer-encoding": CODING,
    b"connection": CONNECTION,
    b"trailer": TRAILER,
    b"upgrade": UPGRADE,
    b"date": DATE,
    b"server": SERVER,
    b"ratelimit": LIMITS,
    b"ratelimit-policy": LIMITS,
    b"x-usage-quantity": QUANTITY,
}
_HARMLESS: Final = frozenset({b"close", b"keep-alive", b"upgrade"})  # in Connection they name no field that is passed


@lru_cache(_NAMES_KEPT)
def kind_of(name: bytes) -> int:
    """Which of the kinds above a field of this name is, however it is written."""
    return _KINDS.get(name.lower(), PASSED)


def is_passed_on(kind: int, value: bytes) -> bool:
    """Whether a field of this kind goes on to the caller; a server's version is nobody's business."""
    return kind == PASSED or (kind >= DATE and not (kind == SERVER and _DIGITS & set(value)))


class Section:
    """What one pass over an answer's header section found.

    `lines`: those that may be passed on, in order, with repeats, as they are written again. `named`: the values of
    those that mean something to us, by their kind. `hops`: the names, in lower case, that Connection makes hop-by-hop
    (RFC 9110 section 7.6.1).
    """

    __slots__ = ("hops", "lines", "named")

    def __init__(self, lines: list[bytes], named: dict[int, list[bytes]]) -> None:
        self.named = named
        self.hops: frozenset[bytes] = frozenset()
        if CONNECTION in named:
            self.hops = connection_named(named[CONNECTION])
            if not self.hops <= _HARMLESS:
                lines = [line for line in lines if name_of(line).lower() not in self.hops]
        self.lines = lines

    @property
    def fields(self) -> list[Field]:
        """The lines again as names and values."""
        return [(name, value) for name, _, value in [line.partition(b": ") for line in self.lines]]


def read_section(raw_headers: Iterable[Field]) -> Section:
    """Sort a header section into what is passed on and what means something to us."""
    lines: list[bytes] = []
    named: dict[int, list[bytes]] = {}
    for name, value in raw_headers:
        if kind := kind_of(name):
            if kind in named:
                named[kind].append(value)
            else:
                named[kind] = [value]
        if is_passed_on(kind, value):
            lines.append(name + b": " + value)
    return Section(lines, named)


def name_of(line: bytes) -> bytes:
    """The name in a line of a section."""
    return line.partition(b":")[0]


def connection_named(values: Iterable[bytes]) -> frozenset[bytes]:
    """What these values of Connection name."""
    return frozenset([token.strip().lower() for value in values for token in value.split(b",")])


class AnswerHead:
    """A status line and its section. `length` None: where the body ends is not known beforehand. Nobody changes it.

    `start` is what of it goes on to the caller, as it is written; `sized` the length as it is written again, if it is;
    `stated` and `misstated` are what `stated_quantity` says. `said` is how it came, with its empty line, and `size` the
    bytes of the whole message, if that may be remembered; else nothing, and -1.
    """

    __slots__ = (
        "chunked",
        "has_body",
        "is_dated",
        "is_limiting",
        "length",
        "misstated",
        "reason",
        "said",
        "section",
        "size",
        "sized",
        "start",
        "stated",
        "status",
    )

    def __init__(
        self, status: int, reason: bytes, section: Section, length: int | None, *, chunked: bool, has_body: bool
    ) -> None:
        self.status = status
        self.reason = reason
        self.section = section
        self.length = length
        self.chunked = chunked
        self.has_body = has_body
        self.is_dated = DATE in section.named
        self.start = self.start_with(section.lines)
        self.sized = b""
        if length is not None and status != 204:  # RFC 9110 section 8.6
            self.sized = b"Content-Length: %d\r\n" % length
        self.stated, self.misstated = stated_quantity(section)
        self.is_limiting = LIMITS in section.named
        self.said = b""
        self.size = -1

    def was_said(self, said: bytes) -> None:
        """It came so, with its length, and nothing of it may be anybody's secret."""
        self.said = said
        self.size = len(said) + (self.length or 0)

    def start_with(self, lines: list[bytes]) -> bytes:
        """The status line and these fields."""
        return b"\r\n".join([b"HTTP/1.1 %d %b" % (self.status, self.reason), *lines, b""])

    @property
    def is_interim(self) -> bool:
        """A 1xx after which the answer is still to come (RFC 9110 section 15.2); 101 is the last of its exchange."""
        return self.status < 200 and self.status != 101

    @property
    def ends_with_connection(self) -> bool:
        """Nothing but the end of the connection tells the end of the body (RFC 9112 section 6.3, rule 8)."""
        return self.has_body and self.length is None and not self.chunked


def judge(message: Parsed, *, bodiless: bool) -> AnswerHead:
    """Read a parsed head as strictly as a caller behind us might; `bodiless` for the answer to a HEAD.

    Raises UpstreamProtocol for what can be read in two ways, or could be read as more than one field.
    """
    status, version, raw_headers = message.code, message.version, message.raw_headers
    reason = message.reason.encode("utf-8", "surrogateescape")
    if status < 100 or version not in (HttpVersion11, HttpVersion10):
        raise UpstreamProtocol("The agent's status line is not valid HTTP/1.1.")
    values = b"".join([value for _, value in raw_headers])
    if len(values) > _MAX_VALUES:
        raise UpstreamProtocol("The agent's header section is too large.")
    if has_control(values) or has_control(reason):  # the parser is lenient with agents
        raise UpstreamProtocol("The agent's header section has a control character.")
    section = read_section(raw_headers)
    length = _length_of(section, is_old=version == HttpVersion10)
    has_body = status >= 200 and not bodiless and status not in BODILESS
    return AnswerHead(status, reason, section, length, chunked=CODING in section.named, has_body=has_body)


def _length_of(section: Section, *, is_old: bool) -> int | None:
    """The body's length if that is stated (RFC 9112 sections 6.1 to 6.3)."""
    lengths, codings = section.named.get(LENGTH), section.named.get(CODING)
    if codings is not None and (lengths is not None or is_old or [value.lower() for value in codings] != [b"chunked"]):
        raise UpstreamProtocol("The agent's framing is ambiguous.")
    if lengths is None:
        return None
    if not is_one_number(lengths):
        raise UpstreamProtocol("The agent's Content-Length is not one number.")
    return int(lengths[0])


def stated_quantity(section: Section) -> tuple[int | None, bool]:
    """The agent's X-Usage-Quantity: one field of 1 to 15 ASCII digits. The flag says that one was sent and ignored."""
    values = section.named.get(QUANTITY)
    if values is None:
        return None, False
    if len(values) == 1 and len(values[0]) <= 15 and values[0].isdigit():
        return int(values[0]), False
    return None, True
