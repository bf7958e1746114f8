"""Heads in the form in which nearly every program writes them, read without a parser. Pure.

Most of what a parser costs is for what hardly anybody sends. A head is plain if it is short, printable ASCII, each of
its lines ends with CRLF, and each field is a token, ": " and a value without space around it. Nothing of that can be
read in two ways. Whatever is otherwise is not judged here: it is the parser's, as if nobody had looked. What is plain
the parser would read alike, which `tests/test_plain.py` holds against it.

Most lines come again and again, from the same programs: what one of them says is remembered by whoever reads it, if
that is nobody's secret.
"""

import re
from typing import Final

LONGEST: Final = 8 * 1024
"""Bytes of a head, its empty line not counted."""
MOST_LINES: Final = 100
LONGEST_KEPT: Final = 128
"""Bytes of a line that is remembered: others choose them, and their number."""
LONGEST_MESSAGE: Final = 64 * 1024
"""Bytes of a message whose head is looked at: more would cost more than the parser does."""
BLANK: Final = b"\r\n\r\n"
"""What ends a head."""
LONGEST_SECTION_KEPT: Final = 1024
"""Bytes of a head that is remembered as a whole."""
_SPACE: Final = 0x20
_PRINTABLE: Final = bytes([code if 0x20 <= code < 0x7F else _SPACE for code in range(256)])
_TOKEN: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HARMLESS: Final = frozenset(
    {
        b"accept",
        b"accept-encoding",
        b"accept-language",
        b"cache-control",
        b"connection",
        b"content-encoding",
        b"content-length",
        b"content-type",
        b"date",
        b"host",
        b"keep-alive",
        b"server",
        b"user-agent",
        b"vary",
        b"x-usage-quantity",
    }
)


def lines_of(head: bytes, longest: int) -> list[bytes]:
    """The lines of a head without its empty one; none if it is not short.

    Each of them is still to be looked at: see `is_printable`.
    """
    if len(head) > longest:
        return []
    lines = head.split(b"\r\n")
    return lines if len(lines) <= MOST_LINES else []


def is_printable(line: bytes) -> bool:
    """Whether all of it is printable ASCII.

    `translate` gives back what it had nothing to change in, much faster than a pattern would search it.
    """
    return line.translate(_PRINTABLE) == line


def may_be_kept(line: bytes, lower: bytes) -> bool:
    """Whether what this field says may be remembered; `lower` is its name in lower case."""
    return len(line) <= LONGEST_KEPT and lower in _HARMLESS


def is_plain(value: bytes) -> bool:
    """Whether a field's value, or whatever else may have no space at its ends, is of a plain head."""
    return len(value) > 0 and value[0] != _SPACE and value[-1] != _SPACE


def is_token(name: bytes) -> bool:
    """Whether that can be a field's name (RFC 9110 section 5.6.2)."""
    return _TOKEN.fullmatch(name) is not None
