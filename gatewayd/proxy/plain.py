"""An agent's whole answer in its plainest form: a final head that says how long the body is, and all of that behind it.

Pure. What it comes to is what aiohttp's parser and `answer.judge` would make of it (`tests/proxy/test_plain.py`).
"""

from typing import Final

from gatewayd.framing import is_number
from gatewayd.plain import LONGEST, LONGEST_KEPT, is_plain, is_printable, is_token, may_be_kept, plain_lines, remember
from gatewayd.proxy.answer import (
    BODILESS,
    CODING,
    CONNECTION,
    LENGTH,
    PASSED,
    TRAILER,
    UPGRADE,
    AnswerHead,
    Section,
    is_passed_on,
    kind_of,
)

_VERSION: Final = b"HTTP/1.1 "
_KEPT: Final = 1024
_LONGEST_NAME: Final = 64  # bytes of a name that is remembered: agents choose them, and their number
_NOT_PLAIN: Final = -1


class _First:
    """What a status line says."""

    __slots__ = ("reason", "status")

    def __init__(self, status: int, reason: bytes) -> None:
        self.status = status
        self.reason = reason


class _Field:
    """What a line says: its kind, whether it is passed on, and the body's length if it says that; else that is -1."""

    __slots__ = ("is_passed", "kind", "length", "value")

    def __init__(self, kind: int, value: bytes, length: int) -> None:
        self.kind = kind
        self.value = value
        self.length = length
        self.is_passed = is_passed_on(kind, value)


# What was seen before; each is emptied when it is full.
_firsts: Final[dict[bytes, _First]] = {}
_fields: Final[dict[bytes, _Field]] = {}
_kinds: Final[dict[bytes, int]] = {}  # of names


class PlainAnswer:
    """The answer, as `Call` and whoever reads its body would have found it."""

    __slots__ = ("body", "head")

    def __init__(self, head: AnswerHead, body: bytes) -> None:
        self.head = head
        self.body = body


def plain_answer(data: bytes) -> PlainAnswer | None:
    """What came in one piece as the answer to anything but HEAD; None if it is not plain or not whole."""
    lines, body = plain_lines(data, LONGEST)
    if not lines or (first := _first(lines[0])) is None:
        return None
    passed: list[bytes] = []
    named: dict[int, list[bytes]] = {}
    length = -1
    for index in range(1, len(lines)):
        line = lines[index]
        if (field := _field(line)) is None:
            return None
        kind = field.kind
        if field.is_passed:
            passed.append(line)
        if kind != PASSED:
            if kind in named:
                named[kind].append(field.value)
            else:
                named[kind] = [field.value]
        if kind == LENGTH:
            if length >= 0:
                return None
            length = field.length
    if length != len(body):
        return None
    section = Section(passed, named)
    return PlainAnswer(AnswerHead(first.status, first.reason, section, length, chunked=False, has_body=True), body)


def _first(line: bytes) -> _First | None:
    """What a status line says, remembered; None if it is not plain, or of an answer without a body."""
    known = _firsts.get(line)
    if known is None and (known := _read_first(line)) is not None and len(line) <= LONGEST_KEPT:
        remember(_firsts, line, known, _KEPT)
    return known


def _read_first(line: bytes) -> _First | None:
    code, reason = line[9:12], line[13:]
    if not line.startswith(_VERSION) or not code.isdigit() or line[12:13] != b" ":
        return None
    if not is_plain(reason) or not is_printable(line):
        return None
    status = int(code)
    return _First(status, reason) if 200 <= status < 600 and status not in BODILESS else None


def _field(line: bytes) -> _Field | None:
    """What a field says, remembered if that may be; None if it is not plain."""
    known = _fields.get(line)
    if known is None:
        name, _, value = line.partition(b": ")
        known = _read_field(name, value)
        if known is not None and may_be_kept(line, name.lower()):
            remember(_fields, line, known, _KEPT)
    return known


def _read_field(name: bytes, value: bytes) -> _Field | None:
    kind = _kind(name)
    if kind == _NOT_PLAIN or not is_plain(value) or not is_printable(value):
        return None
    if kind == LENGTH:
        return _Field(kind, value, int(value)) if is_number(value) else None
    if kind == CONNECTION and value.lower() != b"keep-alive":
        return None
    return _Field(kind, value, -1)


def _kind(name: bytes) -> int:
    """As `kind_of`; what frames a message in another way than by its length is not plain, nor is what is no name."""
    known = _kinds.get(name)
    if known is None:
        kind = kind_of(name)
        plain = is_token(name) and kind not in (CODING, TRAILER, UPGRADE) and name.lower() != b"proxy-connection"
        known = kind if plain else _NOT_PLAIN
        if len(name) <= _LONGEST_NAME:
            remember(_kinds, name, known, _KEPT)
    return known
