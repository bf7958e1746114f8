"""What a request may look like on the wire: its target and its header section, judged in one place.

Pure. The HTTP parser refuses broken framing; here stands what a parser lets through and a gateway must not
(contract, section 6). Refused is whatever two servers in a row could read in two ways.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import unquote

from gatewayd.errors import BadRequest, HeadersTooLarge, VersionUnsupported
from gatewayd.remembering import remember

Version = tuple[int, int]
RawHeaders = Sequence[tuple[bytes, bytes]]

# RFC 9110 section 7.6.1, and the names that older software treats so.
HOP_BY_HOP: Final = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-connection",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
        b"http2-settings",
    }
)
# What the gateway alone may say to an agent: a caller's copy would be a forged identity or a forged address.
OWNED: Final = frozenset(
    {
        b"forwarded",
        b"x-correlation-id",
        b"x-forwarded-for",
        b"x-forwarded-host",
        b"x-forwarded-port",
        b"x-forwarded-prefix",
        b"x-forwarded-proto",
        b"x-real-ip",
        b"x-request-id",
        b"x-run-id",
        b"x-service-id",
        b"x-service-token",
        b"x-trace-id",
        b"x-user-id",
        b"x-user-plan",
        b"x-user-tenant",
        b"traceparent",
    }
)
_REPLACED: Final = frozenset({b"host", b"content-length", b"expect", b"authorization", b"via", b"tracestate"})
# To a CGI-like agent it would be HTTP_PROXY: the proxy that the agent's own calls go through (CVE-2016-5385).
_DANGEROUS: Final = frozenset({b"proxy"})
NOT_COPIED: Final = HOP_BY_HOP | OWNED | _REPLACED | _DANGEROUS
"""Names (folded) of what may not be copied: it is written anew, or not at all."""
# X_User_ID, or X.User.ID, is X-User-ID to CGI-like agents: whatever is no letter and no digit counts as a hyphen.
_FOLD: Final = bytes(ord(chr(code).lower()) if code < 128 and chr(code).isalnum() else 0x2D for code in range(256))
_KEPT: Final = 4096
_LONGEST_KEPT: Final = 64  # bytes of a name or a host that is remembered: callers choose them, and their number
_AUTHORIZATION: Final = b"authorization"
_UPGRADE: Final = b"websocket"  # the only protocol that a route can allow
_LINE_OVERHEAD: Final = len("  HTTP/1.1\r\n\r\n")  # what a head has beside its method, its target and its fields

_WITHOUT_CONTROLS: Final = bytes([0x20 if (code < 0x20 and code != 9) or code == 0x7F else code for code in range(256)])
HOST: Final = re.compile(rb"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~!$&'()*+;=-]+)(?::[0-9]{0,5})?")
_TARGET: Final = re.compile(r"[!\"$-\[\]-~]+")  # printable ASCII without space, "#" and backslash
_PLAIN_PATH: Final = re.compile(r"(?:/[A-Za-z0-9_~!$&'()*+,=:@-][A-Za-z0-9._~!$&'()*+,=:@-]*)*/?")
_BROKEN_ESCAPE: Final = re.compile(r"%(?![0-9A-Fa-f]{2})|%00")
_ABSOLUTE: Final = re.compile(r"https?://([^/?]*)(.*)", re.IGNORECASE)
_SEPARATORS: Final = re.compile(r"[/\\]+")
_PARAMETERS: Final = re.compile(r"[;?#]")  # where servers that decode first end a segment
_DECODINGS: Final = 3  # more layers than any agent peels off; a bound, because the caller writes the layers
# What must not be left after them: yet another layer, NUL, or ASCII as overlong UTF-8 (RFC 3629 section 10).
_DISGUISED: Final = re.compile(
    r"%[0-9A-Fa-f]{2}|\x00|[\xc0\xc1][\x80-\xbf]|\xe0[\x80-\x9f][\x80-\xbf]|\xf0[\x80-\x8f][\x80-\xbf]{2}"
)


@dataclass(frozen=True, slots=True)
class Target:
    """A request target in origin form, as it was sent: `path` and `query` (with its "?") are not decoded.

    `seen` is the path as the most lenient of servers would read it; a route is safe only if both agree.
    """

    path: str
    query: str
    seen: str


_NO_HOPS: Final[frozenset[bytes]] = frozenset()


class Head:
    """What one pass over a request's header section found; written by `read_head`, and by who reads plain ones.

    `host` is the one that was addressed. `lines` are the fields that may be copied to the agent, in order, with
    repeats, as they are written again; `named` the values of those that are judged, but for an Authorization that was
    sent once: that is `proof`. `hops` is what Connection names; `size` the bytes of all fields. Who has other lines to
    copy says so by `copy`.
    """

    __slots__ = (
        "_joined",
        "chunked",
        "content_length",
        "expects_continue",
        "hops",
        "host",
        "lines",
        "named",
        "proof",
        "size",
        "upgrade",
    )

    def __init__(self, lines: list[bytes], named: dict[bytes, list[bytes]]) -> None:
        self._joined: bytes | None = None
        self.lines = lines
        self.named = named
        self.chunked = False
        self.content_length: int | None = None
        self.upgrade: str | None = None
        self.expects_continue = False
        self.hops = _NO_HOPS
        self.host: bytes | None = None
        self.proof: bytes | None = None
        self.size = 0

    def copy(self, lines: list[bytes]) -> None:
        """These are to be copied, and no others."""
        self._joined = None
        self.lines = lines

    def join(self, written: bytes) -> None:
        """What `written` would find is known."""
        self._joined = written

    def written(self) -> bytes:
        """The lines, and the length if there is one, as they are written again."""
        if self._joined is None:
            length = b"" if self.content_length is None else b"Content-Length: %d\r\n" % self.content_length
            self._joined = b"\r\n".join([*self.lines, length])
        return self._joined

    @property
    def has_body(self) -> bool:
        return self.chunked or bool(self.content_length)

    def proofs(self) -> Sequence[bytes]:
        """The values of Authorization, however often it was sent."""
        return (self.proof,) if self.proof is not None else self.named.get(_AUTHORIZATION, ())

    def only(self, name: bytes) -> bytes | None:
        """The field's value if it was sent exactly once."""
        values = self.named.get(name)
        return values[0] if values is not None and len(values) == 1 else None


COPIED: Final = b""
LEFT_OUT: Final = b"-"
_known: Final[dict[bytes, bytes]] = {}  # what names were found to be; it is emptied when it is full
_hosts: Final[set[bytes]] = set()  # those that were found to be some, likewise


def _judged_as(name: bytes) -> bytes:
    """The name of a field that is judged here, in lower case; else COPIED or LEFT_OUT.

    What may not be copied and is not written as usual is left out.
    """
    folded_name = name.translate(_FOLD)
    if folded_name not in NOT_COPIED:
        return COPIED
    return folded_name if folded_name == name.lower() else LEFT_OUT


def known_as(name: bytes) -> bytes:
    """As `_judged_as`, remembered for what is not too long."""
    found = _known.get(name)
    if found is None:
        found = _judged_as(name)
        if len(name) <= _LONGEST_KEPT:
            remember(_known, name, found, _KEPT)
    return found


def has_control(value: bytes) -> bool:
    """Whether a control character but the tab is in it.

    `translate` gives back what it had nothing to change in, much faster than a pattern would search it.
    """
    return value.translate(_WITHOUT_CONTROLS) != value


def folded(name: bytes) -> bytes:
    """A field's name as the most lenient of agents would know it."""
    return name.translate(_FOLD)


def check_line(method: str, target: str, version: Version) -> None:
    """Judge what aiohttp must not even look at, because it would answer in its own words or lose the framing.

    Raises VersionUnsupported unless the request is HTTP/1.0 or HTTP/1.1, BadRequest for CONNECT and for "*".
    """
    if version not in ((1, 1), (1, 0)):
        raise VersionUnsupported
    if method == "CONNECT" or target == "*":
        raise BadRequest("The request target must be a path.")


def line_size(method: str, target: str) -> int:
    """How many bytes of a head are not its fields."""
    return len(method) + len(target) + _LINE_OVERHEAD


def read_head(raw_headers: RawHeaders, version: Version, limit: int) -> Head:
    """Sort a header section into what is copied and what is judged here.

    Raises BadRequest for ambiguous framing (RFC 9112 sections 3.2 and 6.3), HeadersTooLarge above `limit` bytes.
    """
    lines: list[bytes] = []
    named: dict[bytes, list[bytes]] = {}
    values: list[bytes] = []
    size = 4 * len(raw_headers)
    field: Any
    for field in raw_headers:
        name: bytes = field[0]
        value: bytes = field[1]
        values.append(value)
        size += len(name)
        judged_as = known_as(name)
        if judged_as == COPIED:
            lines.append(name + b": " + value)
        elif judged_as != LEFT_OUT:
            if judged_as in named:
                named[judged_as].append(value)
            else:
                named[judged_as] = [value]
    whole = b"".join(values)
    head = Head(lines, named)
    head.size = size + len(whole)
    check_size(head, limit)
    if has_control(whole):
        raise BadRequest("A header field's value has a control character.")
    if (hosts := named.get(b"host")) is not None:
        head.host = hosts[0]
    if (proofs := named.get(_AUTHORIZATION)) is not None and len(proofs) == 1:
        head.proof = named.pop(_AUTHORIZATION)[0]
    _judge_host(hosts, version)
    _judge_framing(head, version)
    _judge_connection(head, version)
    return head


def check_size(head: Head, limit: int) -> None:
    """Raises HeadersTooLarge above `limit` bytes of fields."""
    if head.size > limit:
        raise HeadersTooLarge


def _judge_host(hosts: list[bytes] | None, version: Version) -> None:
    if hosts is None:
        if version == (1, 0):
            return
        raise BadRequest("The Host header is missing.")
    if len(hosts) != 1 or not is_host(hosts[0]):
        raise BadRequest("The Host header must be one valid host.")


def is_host(host: bytes) -> bool:
    """Whether that may stand in a Host field."""
    if host in _hosts:
        return True
    found = HOST.fullmatch(host) is not None
    if found and len(host) <= _LONGEST_KEPT:
        if len(_hosts) >= _KEPT:
            _hosts.clear()
        _hosts.add(host)
    return found


def _judge_framing(head: Head, version: Version) -> None:
    named = head.named
    if (codings := named.get(b"transfer-encoding")) is not None:
        if version == (1, 0) or b"content-length" in named:
            raise BadRequest("Transfer-Encoding is not allowed here.")
        if len(codings) != 1 or codings[0].strip().lower() != b"chunked":
            raise BadRequest("The only transfer coding accepted is chunked, once.")
        head.chunked = True
    if (lengths := named.get(b"content-length")) is not None:
        if not is_one_number(lengths):
            raise BadRequest("Content-Length must be one number.")
        head.content_length = int(lengths[0])
    if (expectations := named.get(b"expect")) is not None:
        if len(expectations) != 1 or expectations[0].lower() != b"100-continue":
            raise BadRequest("The only expectation known is 100-continue.")
        head.expects_continue = version == (1, 1) and head.has_body


def is_one_number(lengths: Sequence[bytes]) -> bool:
    """Whether these values of Content-Length are one decimal number that all read alike (RFC 9112 section 6.3)."""
    return len(lengths) == 1 and is_number(lengths[0])


def is_number(value: bytes) -> bool:
    """Whether that is a decimal number that every program can hold."""
    return value.isdigit() and len(value) <= 18


def _judge_connection(head: Head, version: Version) -> None:
    if (values := head.named.get(b"connection")) is None:
        return
    tokens = _tokens(values)
    if b"upgrade" in tokens and (protocols := head.named.get(b"upgrade")) is not None:
        # The parser drops what follows an upgrade that it does not know: ignoring one would lose the framing.
        if [protocol.lower() for protocol in protocols] != [_UPGRADE]:
            raise BadRequest("The only upgrade known is to WebSocket.")
        if head.has_body or version == (1, 0):
            raise BadRequest("An upgrade needs HTTP/1.1 and has no body.")
        head.upgrade = _UPGRADE.decode()
    if named_hops := tokens - {b"close", b"keep-alive", b"upgrade"}:
        head.hops = frozenset(named_hops)
        head.copy([line for line in head.lines if line.partition(b":")[0].lower() not in named_hops])


def _tokens(values: Iterable[bytes]) -> set[bytes]:
    return {token.strip().lower() for value in values for token in value.split(b",")} - {b""}


def read_target(raw: str, host: bytes | None) -> Target:
    """Split a request target (RFC 9112 section 3.2) without changing a byte of it.

    Raises BadRequest for anything but origin form (absolute form is accepted for the same host), for bytes that
    must be encoded, for broken escapes, and for dot segments however they are spelled.
    """
    if not _TARGET.fullmatch(raw):
        raise BadRequest("The request target has a character that must be encoded.")
    if not raw.startswith("/"):
        raw = _origin_form(raw, host)
    path, mark, query = raw.partition("?")
    if _PLAIN_PATH.fullmatch(path):
        return Target(path, mark + query, path)
    return Target(path, mark + query, _seen(path))


def _origin_form(raw: str, host: bytes | None) -> str:
    absolute = _ABSOLUTE.fullmatch(raw)
    if absolute is None or host is None or absolute[1].lower() != host.decode("latin-1").lower():
        raise BadRequest("The request target must be a path.")
    return absolute[2] if absolute[2].startswith("/") else "/" + absolute[2]


def _seen(path: str) -> str:
    """The path after every reading that some server makes.

    Decoded to the end, with either slash, slashes merged, segments without their parameters and the space around them.
    """
    if _BROKEN_ESCAPE.search(path):
        raise BadRequest("The path has a broken percent-encoding.")
    decoded = path
    for _ in range(_DECODINGS):
        decoded = unquote(decoded, "latin-1")
    if _DISGUISED.search(decoded):
        raise BadRequest("The path is encoded in a way that hides what it says.")
    segments = [_PARAMETERS.split(segment, 1)[0].strip() for segment in _SEPARATORS.split(decoded)]
    if "." in segments or ".." in segments:
        raise BadRequest("The path has dot segments.")
    return "/".join(["", *filter(None, segments), *([] if segments[-1] else [""])])
