"""An agent's whole answer in its plainest form: a final head that says how long the body is, and all of that behind it.

Pure. What it comes to is what aiohttp's parser and `answer.judge` would make of it (`tests/proxy/test_plain.py`).
"""

from typing import Final

from gatewayd.framing import is_number
from gatewayd.plain import (
    BLANK,
    LONGEST,
    LONGEST_KEPT,
    LONGEST_MESSAGE,
    LONGEST_SECTION_KEPT,
    is_plain,
    is_printable,
    is_token,
    lines_of,
    may_be_kept,
)
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
from gatewayd.proxy.whole import Whole
from gatewayd.remembering import remember

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
    """What a line says: its kind, and whether it is passed on; `is_kept`: it may be remembered."""

    __slots__ = ("is_kept", "is_passed", "kind", "value")

    def __init__(self, kind: int, value: bytes) -> None:
        self.kind = kind
        self.value = value
        self.is_passed = is_passed_on(kind, value)
        self.is_kept = False


# What was seen before; each is emptied when it is full.
_heads: Final[dict[bytes, AnswerHead]] = {}  # whole ones, of nothing but lines that may be remembered
_firsts: Final[dict[bytes, _First]] = {}
_fields: Final[dict[bytes, _Field]] = {}
_kinds: Final[dict[bytes, int]] = {}  # of names


class PlainAnswer(Whole):
    """The answer, as `Call` and whoever reads its body would have found it."""

    __slots__ = ("head",)

    def __init__(self, head: AnswerHead, body: bytes) -> None:
        self.head = head
        self.body = body


def plain_answer(data: bytes) -> PlainAnswer | None:
    """What came in one piece as the answer to anything but HEAD; None if it is not plain or not whole.

    Many agents say the same again and again: a head that was read is not read again.
    """
    if len(data) > LONGEST_MESSAGE:
        return None
    said, blank, body = data.partition(BLANK)
    if not blank:
        return None
    head = _heads.get(said)
    if head is None and (head := _read(said)) is None:
        return None
    return PlainAnswer(head, body) if head.length == len(body) else None


def _read(said: bytes) -> AnswerHead | None:
    """What a head says, remembered if that may be; None if it is not plain."""
    lines = lines_of(said, LONGEST)
    if not lines or (first := _first(lines[0])) is None:
        return None
    is_kept = len(said) <= LONGEST_SECTION_KEPT and len(lines[0]) <= LONGEST_KEPT
    passed: list[bytes] = []
    named: dict[int, list[bytes]] = {}
    for index in range(1, len(lines)):
        line = lines[index]
        if (field := _field(line)) is None:
            return None
        is_kept = is_kept and field.is_kept
        if field.is_passed:
            passed.append(line)
        if field.kind != PASSED:
            named.setdefault(field.kind, []).append(field.value)
    lengths = named.get(LENGTH)
    if lengths is None or len(lengths) != 1:
        return None
    section, length = Section(passed, named), int(lengths[0])
    head = AnswerHead(first.status, first.reason, section, length, chunked=False, has_body=True)
    if is_kept:
        head.was_said(said + BLANK)
        remember(_heads, said, head, _KEPT)
    return head


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
            known.is_kept = True
            remember(_fields, line, known, _KEPT)
    return known


def _read_field(name: bytes, value: bytes) -> _Field | None:
    kind = _kind(name)
    if kind == _NOT_PLAIN or not is_plain(value) or not is_printable(value):
        return None
    if kind == LENGTH:
        return _Field(kind, value) if is_number(value) else None
    if kind == CONNECTION and value.lower() != b"keep-alive":
        return None
    return _Field(kind, value)


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
