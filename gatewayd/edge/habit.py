"""How a program writes its requests: what it said on a connection it says again there, but for the token. Pure.

So what comes is held against what was said last, and only the token, and what is behind the head, is looked at. What
is remembered are bytes that `plain` remembers as well: nothing of them may be anybody's secret.
"""

from typing import Final

from gatewayd.edge.plain import First, PlainRequest, Section, around, first_of, section_of, token_in
from gatewayd.plain import BLANK, LONGEST_KEPT, LONGEST_MESSAGE

_LINE_END: Final = b"\r\n"


class Habit:
    """A plain head, in two pieces: what stands before the token and behind it. Nobody changes it."""

    __slots__ = ("_begin", "_body", "_end", "_first", "_mark", "_section", "_size")

    def __init__(self, begin: bytes, end: bytes, mark: int, first: First, section: Section) -> None:
        """`mark` is how many bytes before the token are of its own line, and the end of the line before."""
        self._begin = begin
        self._end = end + BLANK
        self._mark = mark
        self._first = first
        self._section = section
        self._size = len(begin) + len(end)
        self._body = max(section.length, 0)

    def read(self, data: bytes, longest: int) -> PlainRequest | None:
        """What `plain_request` finds; None for what is not as usual, and may be plain all the same.

        Where a whole request and nothing else has come, its end says where the token's is. That is the first place
        where what stands behind a token follows: what begins with the end of a line is in none that is printable.
        """
        begin, end = self._begin, self._end
        if not data.startswith(begin) or len(data) > LONGEST_MESSAGE:
            return None
        at = len(begin)
        behind = len(data) - self._body - len(end)
        rest = data[behind:] if behind > at else b""
        if rest.startswith(end):
            request = self._request(data, data[at:behind], rest[len(end) :], longest)
            if request is not None:
                return request
        token, found, rest = data[at:].partition(end)
        return self._request(data, token, rest, longest) if found else None

    def _request(self, data: bytes, token: bytes, rest: bytes, longest: int) -> PlainRequest | None:
        size = self._size + len(token)
        if size > longest:
            return None
        head = self._section.proving(token, self._mark)  # none if there is the end of a line in it
        return PlainRequest(self._first, data, size, head, rest) if head is not None else None


def habit_of(said: bytes) -> Habit | None:
    """Of a plain head with a token; None if not all the rest of it may be remembered."""
    public, mark, behind = token_in(said)
    line, _, fields = public.partition(_LINE_END)
    _, end, others = behind.partition(_LINE_END)
    if not mark or len(line) > LONGEST_KEPT or (first := first_of(line)) is None:
        return None
    section = section_of(around(fields, end, others))
    if section is None or not section.is_kept or section.proof is not None:
        return None
    return Habit(public + mark, end + others, len(mark), first, section)
