"""Numbers as they are written, each worked out once: every request writes a dozen, nearly all of them small."""

from typing import Final

_KEPT: Final = 4_096
_MICROSECONDS_KEPT: Final = 16_384
_NUMERALS: Final = [str(number) for number in range(_KEPT)]
_THOUSANDTHS: Final = [f".{number:03d}" for number in range(1000)]
_milliseconds: Final = [""] * _MICROSECONDS_KEPT  # those that were written before, by microseconds: 1 MB if all were


def numeral(number: int) -> str:
    """As `str` has it."""
    return _NUMERALS[number] if 0 <= number < _KEPT else str(number)


def milliseconds(seconds: float) -> str:
    """To the microsecond."""
    microseconds = int(seconds * 1e6 + 0.5)
    if not 0 <= microseconds < _MICROSECONDS_KEPT:
        return _written(microseconds)
    known = _milliseconds[microseconds]
    if not known:
        known = _milliseconds[microseconds] = _written(microseconds)
    return known


def _written(microseconds: int) -> str:
    return f"{microseconds // 1000}{_THOUSANDTHS[microseconds % 1000]}"
