"""A caller's request in its plainest form: what aiohttp's parser would have given of it, made without the parser.

A plain head has nothing that frames its message but a length. `tests/edge/test_plain.py` holds it against the parser.

One program says the same with every request, but for its token. So that is taken out first, and what is left is
remembered as a whole, if nothing of it can be anybody's secret.
"""

from typing import Final

from aiohttp.http import HttpVersion, HttpVersion11
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from gatewayd.framing import COPIED, LEFT_OUT, Head, RawHeaders, is_host, is_number, known_as
from gatewayd.plain import (
    BLANK,
    LONGEST_KEPT,
    LONGEST_MESSAGE,
    LONGEST_SECTION_KEPT,
    is_plain,
    is_printable,
    is_token,
    lines_of,
    may_be_kept,
)
from gatewayd.remembering import remember

_USUAL: Final = HttpVersion11
_METHODS: Final = {name.encode(): name for name in ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD")}
_VERSION: Final = b"HTTP/1.1"
_SLASH: Final = 0x2F
_HOST: Final = b"host"
_AUTHORIZATION: Final = b"authorization"
_TOKEN: Final = b"\r\nAuthorization: "
_TOKEN_ELSEWHERE: Final = b"\r\nauthorization: "  # as many programs write every field
_KEPT: Final = 4096
_SECTIONS_KEPT: Final = 1024
_LONGEST_NAME: Final = 64  # bytes of a name that is remembered: callers choose them, and their number

# What a field of a request is to its framing.
_ANY: Final = 0
_LENGTH: Final = 1
_CONNECTION: Final = 2
_ADDRESSED: Final = 3
_NOT_PLAIN: Final = 4
# What frames or switches in another way, wants an answer before the body, or is looked at by the parser.
_KINDS: Final = dict.fromkeys(
    (
        b"content-encoding",
        b"expect",
        b"proxy-connection",
        b"sec-websocket-key1",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    ),
    _NOT_PLAIN,
) | {b"content-length": _LENGTH, b"connection": _CONNECTION, _HOST: _ADDRESSED}
_LINE_END: Final = b"\r\n"


class First:
    """What a request line says."""

    __slots__ = ("method", "path")

    def __init__(self, method: str, path: str) -> None:
        self.method = method
        self.path = path


class _Name:
    """What a field's name is to us: in lower case, to framing, and what `framing.known_as` takes it for."""

    __slots__ = ("is_copied", "is_judged", "judged_as", "kind", "lower")

    def __init__(self, name: bytes) -> None:
        self.lower = name.lower()
        self.kind = _KINDS.get(self.lower, _ANY if is_token(name) else _NOT_PLAIN)
        self.judged_as = known_as(name)
        self.is_copied = self.judged_as == COPIED
        self.is_judged = not self.is_copied and self.judged_as != LEFT_OUT


class _Field:
    """What a line of a head says: the name, the value, and the body's length if it says that; else that is -1.

    `is_kept`: it may be remembered.
    """

    __slots__ = ("is_kept", "length", "name", "value")

    def __init__(self, name: _Name, value: bytes, length: int) -> None:
        self.name = name
        self.value = value
        self.length = length
        self.is_kept = False


class Section:
    """What the fields of a head say that are no token: what `framing.read_head` would find in them. Nobody changes it.

    `written`: see `Head.written`; `is_kept`: it may be remembered, so there is no `proof`.
    """

    __slots__ = ("host", "is_kept", "length", "lines", "named", "proof", "size", "written")

    def __init__(self, lines: list[bytes], named: dict[bytes, list[bytes]], size: int, length: int) -> None:
        self.lines = lines
        self.named = named
        self.size = size
        self.length = length
        self.is_kept = False
        self.host = named[_HOST][0]
        self.proof = named.pop(_AUTHORIZATION)[0] if _AUTHORIZATION in named else None
        self.written = self.head().written()

    def head(self) -> Head:
        """The head that has these fields."""
        head = Head(self.lines, self.named)
        head.size = self.size
        head.host = self.host
        head.proof = self.proof
        if self.length >= 0:
            head.content_length = self.length
        return head

    def proving(self, token: bytes, mark: int) -> Head | None:
        """The head that has the token too, behind so many bytes of its line; None if that is not plain."""
        if not is_plain(token) or not is_printable(token):
            return None
        head = self.head()
        head.proof = token
        head.size += mark + len(token)
        head.join(self.written)
        return head


# What was seen before; each is emptied when it is full.
_firsts: Final[dict[bytes, First]] = {}
_sections: Final[dict[bytes, Section]] = {}  # of nothing but lines that may be remembered
_fields: Final[dict[bytes, _Field]] = {}
_names: Final[dict[bytes, _Name]] = {}


class PlainRequest:
    """What is read of a parsed head, the body's length, and what came behind the head.

    `head` is what `framing.read_head` would find in it.
    """

    __slots__ = (
        "_data",
        "_size",
        "chunked",
        "compression",
        "head",
        "length",
        "method",
        "path",
        "rest",
        "should_close",
        "upgrade",
        "version",
    )

    def __init__(self, first: First, data: bytes, size: int, head: Head, rest: bytes) -> None:
        """Its head is so many bytes of the data that came."""
        self.method = first.method
        self.path = first.path
        self._data = data
        self._size = size
        self.head = head
        self.rest = rest
        self.length = head.content_length or 0
        self.version: HttpVersion = _USUAL
        self.should_close = False
        self.compression: str | None = None
        self.upgrade = False
        self.chunked = False

    @property
    def said(self) -> bytes:
        """The head as it came, without its empty line."""
        return self._data[: self._size]

    @property
    def raw_headers(self) -> RawHeaders:
        """As aiohttp wants them; we read `head`."""
        lines = self.said.split(_LINE_END)
        return tuple([(name, value) for name, _, value in [line.partition(b": ") for line in lines[1:]]])

    @property
    def headers(self) -> "CIMultiDictProxy[str]":
        """As aiohttp wants them."""
        return CIMultiDictProxy(CIMultiDict([(name.decode(), value.decode()) for name, value in self.raw_headers]))

    @property
    def url(self) -> URL:
        """The target as aiohttp takes it apart; we read `path`."""
        path, mark, rest = self.path.partition("?")
        query, _, fragment = rest.partition("#")
        if not mark:
            path, _, fragment = path.partition("#")
        return URL.build(path=path, query_string=query, fragment=fragment, encoded=True)


def plain_request(data: bytes, longest: int) -> PlainRequest | None:
    """The request with which the bytes begin, if its head is plain, whole and no longer than that."""
    if len(data) > LONGEST_MESSAGE:
        return None
    said, blank, rest = data.partition(BLANK)
    if not blank or len(said) > longest:
        return None
    public, mark, token = token_in(said)
    line, _, fields = public.partition(_LINE_END)
    if (first := first_of(line)) is None:
        return None
    head = _proving(fields, mark, token) if mark else _head(fields)
    return PlainRequest(first, data, len(said), head, rest) if head is not None else None


def token_in(said: bytes) -> tuple[bytes, bytes, bytes]:
    """What stands before a head's token, with what that begins, and what stands there from the token on."""
    found = said.partition(_TOKEN)
    return found if found[1] else said.partition(_TOKEN_ELSEWHERE)


def around(fields: bytes, end: bytes, others: bytes) -> bytes:
    """The fields of a head but the one with the token, which stood between these and, if there was an `end`, those."""
    if not end:
        return fields
    return fields + end + others if fields else others


def _proving(fields: bytes, mark: bytes, said: bytes) -> Head | None:
    """The head of these fields and what was `said` behind them from the token on; None if it is not plain."""
    token, end, others = said.partition(_LINE_END)
    section = section_of(around(fields, end, others))
    if section is None or section.proof is not None:
        return None
    return section.proving(token, len(mark))


def _head(fields: bytes) -> Head | None:
    """The head of these fields; None if it is not plain."""
    if (section := section_of(fields)) is None:
        return None
    head = section.head()
    head.join(section.written)
    return head


def section_of(fields: bytes) -> Section | None:
    """What they say, remembered if that may be; None if they are not plain."""
    known = _sections.get(fields)
    if known is None and (known := _read_section(fields)) is not None and known.is_kept:
        remember(_sections, fields, known, _SECTIONS_KEPT)
    return known


def _read_section(fields: bytes) -> Section | None:
    copied: list[bytes] = []
    named: dict[bytes, list[bytes]] = {}
    names: set[bytes] = set()
    length, is_kept = -1, len(fields) <= LONGEST_SECTION_KEPT
    lines = lines_of(fields, LONGEST_MESSAGE)
    for line in lines:
        if (field := _field(line)) is None:
            return None
        name = field.name
        names.add(name.lower)
        if name.is_copied:
            copied.append(line)
        elif name.is_judged:
            named[name.judged_as] = [field.value]
        length = max(length, field.length)
        is_kept = is_kept and field.is_kept
    if len(names) != len(lines) or _HOST not in named:  # repeats are judged by the parser
        return None
    section = Section(copied, named, len(fields) + len(_LINE_END), length)
    section.is_kept = is_kept
    return section


def first_of(line: bytes) -> First | None:
    """What a request line says, remembered; None if it is not plain."""
    known = _firsts.get(line)
    if known is None and (known := _read_first(line)) is not None and len(line) <= LONGEST_KEPT:
        remember(_firsts, line, known, _KEPT)
    return known


def _read_first(line: bytes) -> First | None:
    words = line.split(b" ")
    if len(words) != 3 or words[2] != _VERSION or not is_printable(line):
        return None
    method, target = _METHODS.get(words[0]), words[1]
    if method is None or not target or target[0] != _SLASH:
        return None
    return First(method, target.decode("ascii"))


def _field(line: bytes) -> _Field | None:
    """What a field says, remembered if that may be; None if it is not plain."""
    known = _fields.get(line)
    if known is None and (known := _read_field(line)) is not None and may_be_kept(line, known.name.lower):
        known.is_kept = True
        remember(_fields, line, known, _KEPT)
    return known


def _read_field(line: bytes) -> _Field | None:
    word, _, value = line.partition(b": ")
    name = _name(word)
    kind = name.kind
    if kind == _NOT_PLAIN or not is_plain(value) or not is_printable(value):
        return None
    length = -1
    if kind == _LENGTH and is_number(value):
        length = int(value)
    elif kind != _ANY and not _fits(kind, value):
        return None
    return _Field(name, value, length)


def _fits(kind: int, value: bytes) -> bool:
    """Whether a value that is judged is one that nobody need judge any more."""
    if kind == _ADDRESSED:
        return is_host(value)
    return kind == _CONNECTION and value.lower() == b"keep-alive"


def _name(word: bytes) -> _Name:
    known = _names.get(word)
    if known is None:
        known = _Name(word)
        if len(word) <= _LONGEST_NAME:
            remember(_names, word, known, _KEPT)
    return known
