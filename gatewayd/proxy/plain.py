"""An agent's whole answer in its plainest form: a final head that says how long the body is, and all of that behind it.

Pure. What it comes to is what aiohttp's parser and `answer.judge` would make of it (`tests/proxy/test_plain.py`).
"""

from typing import Final

from gatewayd.framing import is_one_number
from gatewayd.plain import LONGEST, is_plain, is_token, plain_lines
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
_NOT_PLAIN: Final = -1
_kinds: Final[dict[bytes, int]] = {}  # of names that were seen; it is emptied when it is full
_statuses: Final[dict[bytes, int]] = {}  # of status lines, likewise


class PlainAnswer:
    """The answer, as `Call` and whoever reads its body would have found it."""

    __slots__ = ("body", "head")

    def __init__(self, head: AnswerHead, body: bytes) -> None:
        self.head = head
        self.body = body


def plain_answer(data: bytes) -> PlainAnswer | None:
    """What came in one piece as the answer to anything but HEAD; None if it is not plain or not whole."""
    lines, body = plain_lines(data, LONGEST)
    if not lines or not (status := _status_of(lines[0])):
        return None
    if (section := _plain_section(lines)) is None:
        return None
    lengths = section.named.get(LENGTH)
    if lengths is None or not is_one_number(lengths) or int(lengths[0]) != len(body):
        return None
    return PlainAnswer(AnswerHead(status, lines[0][13:], section, len(body), chunked=False, has_body=True), body)


def _plain_section(lines: list[bytes]) -> Section | None:
    """The fields behind the first of these lines; None if they are not all plain."""
    passed: list[bytes] = []
    named: dict[int, list[bytes]] = {}
    for index in range(1, len(lines)):
        line = lines[index]
        name, _, value = line.partition(b": ")
        kind = _kind(name)
        if kind == _NOT_PLAIN or not is_plain(value):
            return None
        if kind != PASSED:
            if kind == CONNECTION and value.lower() != b"keep-alive":
                return None
            if kind in named:
                named[kind].append(value)
            else:
                named[kind] = [value]
            if not is_passed_on(kind, value):
                continue
        passed.append(line)
    return Section(passed, named)


def _status_of(line: bytes) -> int:
    """Of a final answer that has a body; 0 if it is another one, or the line is not plain."""
    known = _statuses.get(line)
    if known is None:
        if len(_statuses) >= _KEPT:
            _statuses.clear()
        known = _statuses[line] = _read_status(line)
    return known


def _read_status(line: bytes) -> int:
    code = line[9:12]
    if not line.startswith(_VERSION) or not code.isdigit() or line[12:13] != b" ":
        return 0
    if not is_plain(line[13:]):
        return 0
    status = int(code)
    return status if 200 <= status < 600 and status not in BODILESS else 0


def _kind(name: bytes) -> int:
    """As `kind_of`; what frames a message in another way than by its length is not plain, nor is what is no name."""
    known = _kinds.get(name)
    if known is None:
        if len(_kinds) >= _KEPT:
            _kinds.clear()
        kind = kind_of(name)
        plain = is_token(name) and kind not in (CODING, TRAILER, UPGRADE) and name.lower() != b"proxy-connection"
        known = _kinds[name] = kind if plain else _NOT_PLAIN
    return known
