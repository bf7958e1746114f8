"""Figures as people read them: on the page and in the terminal alike."""

from typing import Final

from gatewayd.model import rfc3339

_NONE: Final = "–"


def seconds(value: float | None) -> str:
    """`0.42 ms`, `12 ms`, `1.3 s`, `2 min`: as many digits as one can compare."""
    if value is None:
        return _NONE
    if value < 0.001:
        return f"{value * 1000:.2f} ms"
    if value < 0.01:
        return f"{value * 1000:.1f} ms"
    if value < 1:
        return f"{value * 1000:.0f} ms"
    return f"{value:.1f} s" if value < 120 else f"{value / 60:.0f} min"


def number(value: float | None) -> str:
    """`1,234,567`."""
    return _NONE if value is None else f"{value:,.0f}"


def rate(value: float | None) -> str:
    """Per second: `0`, `0.3`, `12.4`, `1,234`."""
    if value is None:
        return _NONE
    if not value:
        return "0"
    return f"{value:.2f}" if value < 1 else f"{value:.1f}" if value < 100 else f"{value:,.0f}"


def share(value: float | None) -> str:
    """`0 %`, `0.3 %`, `12 %`; never `0 %` of something, nor `100 %` of less than all."""
    if value is None:
        return _NONE
    percent = value * 100
    if 0 < percent < 0.1:
        return "< 0.1 %"
    if percent < 10:
        return f"{percent:.1f} %".replace(".0 %", " %")
    if 99.5 <= percent < 100:
        return "> 99 %"
    return f"{percent:,.0f} %"


def lasting(value: float) -> str:
    """`42 s`, `3 min`, `2 h 5 min`, `12 d 4 h`."""
    whole = max(0, int(value))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min"
    if whole < 86400:
        return f"{whole // 3600} h {whole % 3600 // 60} min"
    return f"{whole // 86400} d {whole % 86400 // 3600} h"


def amount(count: int, noun: str) -> str:
    """`1 request`, `1,204 requests`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def printable(text: str) -> str:
    """What callers chose, safe for a terminal: control characters are shown as such, and do nothing."""
    return "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in text)


def moment(utc: float) -> str | None:
    """RFC 3339 to the second; None for a moment that never was."""
    return f"{rfc3339(utc)[:19]}Z" if utc else None
