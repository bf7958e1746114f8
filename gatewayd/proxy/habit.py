"""How an agent writes its answers: what it said on a connection it says again, but for the moment and the length. Pure.

Where a whole answer and nothing else has come, its size says which length it must state. So its head is written as it
must be, with the moment that stands where it did, and held against what came in one look. What is remembered are bytes
that `plain` remembers as well: nothing of them may be anybody's secret.
"""

from typing import Final

from gatewayd.plain import BLANK, LONGEST_MESSAGE, LONGEST_SECTION_KEPT, is_plain, is_printable
from gatewayd.proxy.answer import DATE, LENGTH, AnswerHead, Section, kind_of
from gatewayd.proxy.plain import PlainAnswer

_LINE_END: Final = b"\r\n"
_MOMENT: Final = 29
"""Bytes of a moment as it is written (RFC 9110 section 5.6.7)."""


class _Shape:
    """A head without its length, and without its moment if it has one: what stands before, between and behind them.

    Nobody changes it.
    """

    __slots__ = ("_begin", "_between", "_end", "_fixed", "_head", "_is_moment_first", "_line", "_moment", "_name")

    def __init__(self, head: AnswerHead) -> None:
        self._head = head
        self._name = b""
        self._line = -1  # of the lines that go on, the one with the moment
        said, at = head.said, 0
        is_dated_once = len(head.section.named.get(DATE, ())) == 1
        length, moment = (0, 0), (0, 0)  # from where to where
        for line in said[: -len(BLANK)].split(_LINE_END):
            name, mark, value = line.partition(b": ")
            kind, begin, end = kind_of(name), at + len(name) + len(mark), at + len(line)
            at = end + len(_LINE_END)
            if kind == LENGTH:
                length = (begin, end)
            elif kind == DATE and len(value) == _MOMENT and is_dated_once:
                moment = (begin, end)
                self._name, self._line = name + mark, head.section.lines.index(line)
        self._moment = moment[1] - moment[0]
        self._is_moment_first = moment[0] < length[0]
        first, second = (moment, length) if self._is_moment_first else (length, moment)
        self._begin = said[: first[0]]
        self._between = said[first[1] : second[0]]
        self._end = said[second[1] :]
        self._fixed = len(said) - (length[1] - length[0])

    def read(self, data: bytes) -> AnswerHead | None:
        """The head with which the data begins, if it is written so and all the rest of the data is its body."""
        if not data.startswith(self._begin):
            return None
        length, digits = _stated(len(data) - self._fixed)
        if length < 0:
            return None
        at = len(self._begin) if self._is_moment_first else len(self._begin) + len(digits) + len(self._between)
        moment = data[at : at + self._moment]
        first, second = (moment, digits) if self._is_moment_first else (digits, moment)
        said = b"%b%b%b%b%b" % (self._begin, first, self._between, second, self._end)
        if not data.startswith(said) or len(said) - len(BLANK) > LONGEST_SECTION_KEPT:
            return None
        if self._moment and not (is_plain(moment) and is_printable(moment)):
            return None
        return self._again(said, length, digits, moment)

    def _again(self, said: bytes, length: int, digits: bytes, moment: bytes) -> AnswerHead:
        head = self._head
        lines, named = head.section.lines, head.section.named.copy()
        named[LENGTH] = [digits]
        if self._moment:
            lines = lines.copy()
            lines[self._line] = self._name + moment
            named[DATE] = [moment]
        again = AnswerHead(head.status, head.reason, Section(lines, named), length, chunked=False, has_body=True)
        again.was_said(said)
        return again


def _stated(size: int) -> tuple[int, bytes]:
    """The length that a message states whose body and whose length's digits have this size together; -1 if none has."""
    digits = b"%d" % size
    for width in (len(digits), len(digits) - 1):
        length = size - width
        digits = b"%d" % length
        if length >= 0 and len(digits) == width:
            return length, digits
    return -1, b""


class Habit:
    """A plain head that was said, and may be remembered. Mutable: it is the last one that was written like it."""

    __slots__ = ("_head", "_shape")

    def __init__(self, head: AnswerHead) -> None:
        self._head = head
        self._shape: _Shape | None = None  # once an answer was not the same

    def read(self, data: bytes) -> PlainAnswer | None:
        """What `plain_answer` finds; None for what is not as usual, and may be plain all the same."""
        head = self._head
        if len(data) != head.size or not data.startswith(head.said):
            if len(data) > LONGEST_MESSAGE:
                return None
            if self._shape is None:
                self._shape = _Shape(head)
            again = self._shape.read(data)
            if again is None:
                return None
            self._head = head = again
        return PlainAnswer(head, data[len(head.said) :])
