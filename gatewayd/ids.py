"""What a request is called by: unique without asking anybody, and sorting by time."""

import os
from typing import Final

_CHANCE: Final = 18  # bytes of chance for each request: 10 in its id, 8 in its span's


class _Chance:
    """What is drawn nobody else gets, in this process or in one that came of it by fork. Mutable: it is used up."""

    def __init__(self) -> None:
        self.ids: list[str] = []
        self.spans: list[str] = []
        os.register_at_fork(after_in_child=self._forget)

    def _forget(self) -> None:
        self.ids.clear()
        self.spans.clear()

    def fetch(self) -> None:
        """From the kernel, for some hundred requests at a time: 20 digits for each id, 16 for each span."""
        digits = os.urandom(256 * _CHANCE).hex()
        for at in range(0, len(digits), 2 * _CHANCE):
            self.ids.append(digits[at : at + 20])
            self.spans.append(digits[at + 20 : at + 36])


class _Moment:
    """The first ten of the twelve digits that milliseconds have: the same for a fourth of a second."""

    def __init__(self) -> None:
        self.block = 0
        self.digits = "0" * 10


_chance: Final = _Chance()
_moment: Final = _Moment()
_BYTES: Final = [f"{byte:02x}" for byte in range(256)]


def new_request_id(utc: float) -> tuple[str, str]:
    """32 hex digits, unique without asking anybody, sorting by time: 48 bits of milliseconds, 80 of chance.

    With them 16 of chance alone, for the request's span (https://www.w3.org/TR/trace-context/#parent-id).
    """
    if not _chance.ids:
        _chance.fetch()
    milliseconds = int(utc * 1000)
    block = milliseconds >> 8
    if block != _moment.block:
        _moment.block, _moment.digits = block, block.to_bytes(5, "big").hex()
    return f"{_moment.digits}{_BYTES[milliseconds & 255]}{_chance.ids.pop()}", _chance.spans.pop()
