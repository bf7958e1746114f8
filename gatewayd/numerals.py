"""Numbers as they are written, each worked out once: every request writes a dozen, nearly all of them small."""

from typing import Final

_KEPT: Final = 4_096
_NUMERALS: Final = [str(number) for number in range(_KEPT)]

THOUSANDTHS: Final = [b"%03d" % number for number in range(1000)]
"""What stands behind the point, of a number of thousandths."""


def numeral(number: int) -> str:
    """As `str` has it."""
    return _NUMERALS[number] if 0 <= number < _KEPT else str(number)


def microseconds(seconds: float) -> int:
    """The nearest; half of one is rounded up."""
    return int(seconds * 1e6 + 0.5)


class Milliseconds:
    """Durations behind one text, in two pieces, so that whoever joins many makes no text in between.

    The second piece is of `THOUSANDTHS`: that of the microseconds beyond whole milliseconds.
    """

    __slots__ = ("_before", "_kept")

    def __init__(self, before: bytes) -> None:
        self._before = before
        self._kept = [b"%b%d." % (before, number) for number in range(_KEPT)]

    def whole(self, microseconds: int) -> bytes:
        """The first piece: the text before it, the whole milliseconds, and the point."""
        whole = microseconds // 1000
        return self._kept[whole] if 0 <= whole < _KEPT else b"%b%b." % (self._before, str(whole).encode())

    def text(self, microseconds: int) -> bytes:
        """Both."""
        return self.whole(microseconds) + THOUSANDTHS[microseconds % 1000]
