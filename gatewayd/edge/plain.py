"""A caller's request in its plainest form: what aiohttp's parser would have given of it, made without the parser.

A plain head has nothing that frames its message but a length. `tests/edge/test_plain.py` holds it against the parser.
"""

from typing import Final

from aiohttp.http import HttpVersion, HttpVersion11
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from gatewayd.framing import RawHeaders, is_number
from gatewayd.plain import is_plain, is_token, plain_lines

_METHODS: Final = {name.encode(): name for name in ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD")}
_VERSION: Final = b"HTTP/1.1"
_SLASH: Final = 0x2F
_KEPT: Final = 4096
_LONGEST_KEPT: Final = 64  # bytes of a name that is remembered: callers choose them, and their number

Field = tuple[bytes, bytes]

# What a field of a request is to its framing, if it is anything.
_LENGTH: Final = 1
_CONNECTION: Final = 2
_NOT_PLAIN: Final = 3
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
) | {b"content-length": _LENGTH, b"connection": _CONNECTION}
_HOST: Final = b"host"
_lower: Final[dict[bytes, bytes]] = {}  # of names that were seen, empty if it is none; emptied when it is full


class PlainRequest:
    """What is read of a parsed head, the body's length, and what came behind the head."""

    __slots__ = (
        "chunked",
        "compression",
        "length",
        "method",
        "path",
        "raw_headers",
        "rest",
        "should_close",
        "upgrade",
        "version",
    )

    def __init__(self, method: str, path: str, raw_headers: RawHeaders, rest: bytes, length: int) -> None:
        self.method = method
        self.path = path
        self.raw_headers = raw_headers
        self.rest = rest
        self.length = length
        self.version: HttpVersion = HttpVersion11
        self.should_close = False
        self.compression: str | None = None
        self.upgrade = False
        self.chunked = False

    @property
    def headers(self) -> "CIMultiDictProxy[str]":
        """As aiohttp wants them; we read `raw_headers`."""
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
    lines, rest = plain_lines(data, longest)
    if not lines:
        return None
    words = lines[0].split(b" ")
    if len(words) != 3 or words[2] != _VERSION:
        return None
    method, target = _METHODS.get(words[0]), words[1]
    if method is None or not target or target[0] != _SLASH:
        return None
    fields: list[Field] = []
    if (length := _sort(lines, fields)) < 0:
        return None
    return PlainRequest(method, target.decode("ascii"), tuple(fields), rest, length)


def _sort(lines: list[bytes], fields: list[Field]) -> int:
    """Gather the fields behind the first of these lines. The body's length; -1 if they are not all plain."""
    length = 0
    names: set[bytes] = set()
    for index in range(1, len(lines)):
        name, _, value = lines[index].partition(b": ")
        lower = _lower_case(name)
        if not lower or lower in names or not is_plain(value):  # repeats are judged by the parser
            return -1
        names.add(lower)
        kind = _KINDS.get(lower)
        if kind is not None:
            if kind == _LENGTH and is_number(value):
                length = int(value)
            elif kind != _CONNECTION or value.lower() != b"keep-alive":
                return -1
        fields.append((name, value))
    return length if _HOST in names else -1


def _lower_case(name: bytes) -> bytes:
    """The field's name in lower case; empty if it is no name."""
    known = _lower.get(name)
    if known is None:
        known = name.lower() if is_token(name) else b""
        if len(name) <= _LONGEST_KEPT:
            if len(_lower) >= _KEPT:
                _lower.clear()
            _lower[name] = known
    return known
