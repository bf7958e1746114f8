"""Trailer fields of chunked messages (RFC 9112 section 7.1.2): found in the last bytes heard, judged, written again.

aiohttp's parsers check a trailer section and then forget it. Where a parser says that a message has ended, its
section is what stands behind the last chunk's line, and that line is found from the end: it can never be read as
a field, because it has no colon, or a semicolon before it. Pure but for the Protocol.
"""

import re
from collections.abc import Collection, Iterable
from typing import Final, Protocol, runtime_checkable

from aiohttp.streams import StreamReader

from gatewayd.errors import BadRequest, HeadersTooLarge
from gatewayd.framing import NOT_COPIED, folded
from gatewayd.plain import is_token

Fields = list[tuple[bytes, bytes]]

LONGEST: Final = 8 * 1024
"""Bytes that a trailer section may have, the last chunk's line included."""
_END: Final = len(b"\r\n\r\n")
_LAST_CHUNK: Final = re.compile(rb"0+[ \t]*(?:;.*)?")
_FIELD: Final = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\x00-\x08\x0a-\x1f\x7f]*?)[ \t]*")
# RFC 9110 section 6.5.1: what frames, routes, authenticates, modifies or describes a message comes before its body.
# The last line is what only the gateway may say, or what only a header may state.
_NEVER: Final = NOT_COPIED | {
    b"accept", b"accept-charset", b"accept-encoding", b"accept-language", b"cache-control", b"if-match",
    b"if-modified-since", b"if-none-match", b"if-range", b"if-unmodified-since", b"max-forwards", b"pragma", b"range",
    b"cookie", b"set-cookie", b"www-authenticate",
    b"age", b"date", b"expires", b"location", b"retry-after", b"vary", b"warning",
    b"content-encoding", b"content-language", b"content-location", b"content-range", b"content-type",
    b"ratelimit", b"ratelimit-policy", b"server", b"x-usage-quantity",
}  # fmt: skip


@runtime_checkable
class Trailed(Protocol):
    """A connection that knows the trailer section of each chunked body that has ended on it."""

    def trailers_of(self, body: StreamReader) -> Fields: ...


def heard(before: bytes, data: bytes) -> bytes:
    """The last bytes that came: as many as are needed to find a trailer section in them, and at least the last four."""
    if not before and len(data) <= LONGEST:
        return data
    last = data[-LONGEST:] if len(data) >= LONGEST else (before + data)[-LONGEST:]
    return last if b"\n0" in last else last[-_END:]


def section(last: bytes) -> Fields:
    """The trailer fields of a chunked message that has just ended with these bytes, in their order.

    Raises HeadersTooLarge if they do not hold the whole section, BadRequest if one line of it is no field.
    """
    if last.endswith(b"\n0\r\n\r\n"):
        return []
    fields: Fields = []
    _torn, *lines = last.rstrip(b"\r\n").split(b"\n")
    for ended in reversed(lines):
        line = ended.removesuffix(b"\r")
        if (field := _FIELD.fullmatch(line)) is not None:
            fields.append((field[1], field[2]))
        elif _LAST_CHUNK.fullmatch(line) is not None:
            return fields[::-1]
        else:
            raise BadRequest("The trailer section is not valid.")
    raise HeadersTooLarge("The trailer section is too large.")


def may_pass(name: bytes, hops: Collection[bytes]) -> bool:
    """Whether a field of this name may come behind a body; `hops` are the names that Connection gave."""
    return folded(name) not in _NEVER and name.lower() not in hops


def last_chunk(fields: Fields, hops: Collection[bytes]) -> bytes:
    """The end of a chunked body, with those of the trailer fields that may pass."""
    if not fields:
        return b"0\r\n\r\n"
    return b"0\r\n%b\r\n" % b"".join([b"%b: %b\r\n" % field for field in fields if may_pass(field[0], hops)])


def announcement(values: Iterable[bytes], hops: Collection[bytes]) -> list[tuple[bytes, bytes]]:
    """The Trailer field of a message whose own had these values, without the names that will not pass."""
    names = [name.strip() for value in values for name in value.split(b",")]
    passing = [name for name in names if is_token(name) and may_pass(name, hops)]
    return [(b"Trailer", b", ".join(passing))] if passing else []
