"""What a request is called by: unique without asking anybody, and sorting by time."""

import os
from typing import Final

_AT_ONCE: Final = 256  # requests for which the kernel is asked at a time
_BYTES: Final = [f"{byte:02x}" for byte in range(256)]


class _Chance:
    """What is drawn nobody else gets, in this process or in one that came of it by fork. Mutable: it is used up.

    `spans` are 64 bits for each request; what they are drawn with has 16 more for all of them, in `common`.
    """

    def __init__(self) -> None:
        self.common = ""
        self.spans: list[str] = []
        os.register_at_fork(after_in_child=self._forget)

    def _forget(self) -> None:
        self.spans.clear()

    def fetch(self) -> None:
        """From the kernel, cut by the library in one go."""
        digits = os.urandom(8 * _AT_ONCE).hex("-", 8)
        self.common = os.urandom(2).hex()
        self.spans = digits.split("-")


class _Moment:
    """The first sixteen digits of ids: twelve of milliseconds, of which ten are the same for a fourth of a second."""

    def __init__(self) -> None:
        self.milliseconds = 0
        self.block = 0
        self.ten = "0" * 10
        self.common = ""
        self.digits = ""

    def begin(self, milliseconds: int, common: str) -> None:
        block = milliseconds >> 8
        if block != self.block:
            self.block, self.ten = block, block.to_bytes(5, "big").hex()
        self.milliseconds, self.common = milliseconds, common
        self.digits = f"{self.ten}{_BYTES[milliseconds & 255]}{common}"


_chance: Final = _Chance()
_moment: Final = _Moment()


def new_request_id(utc: float) -> tuple[str, str]:
    """32 hex digits, unique without asking anybody, sorting by time: 48 bits of milliseconds, 80 of chance.

    With them the name of the request's span (https://www.w3.org/TR/trace-context/#parent-id): the last 64 of these.
    """
    if not _chance.spans:
        _chance.fetch()
    milliseconds = int(utc * 1000)
    if milliseconds != _moment.milliseconds or _chance.common is not _moment.common:
        _moment.begin(milliseconds, _chance.common)
    span = _chance.spans.pop()
    return f"{_moment.digits}{span}", span
