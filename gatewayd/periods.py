"""Moments as they are written down, and the months in which units are counted (UTC)."""

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

_DAY: Final = 86_400
_SECONDS_KEPT: Final = 64
_MILLISECONDS: Final = tuple([f".{number:03d}Z" for number in range(1000)])


def rfc3339(utc: float) -> str:
    """Milliseconds, cut and not rounded, so that no moment slips into the next billing period."""
    second, milliseconds = split(utc)
    return written_second(second) + _MILLISECONDS[milliseconds]


def split(utc: float) -> tuple[int, int]:
    """Whole seconds and the milliseconds beyond them, as `rfc3339` writes them."""
    second = int(utc)
    if second > utc:  # before 1970
        second -= 1
    # What was written with three digits is told with the same three; but the last moment of a second stays in it.
    return second, min(int((utc - second) * 1e6 + 0.5) // 1000, 999)


class _Second:
    __slots__ = ("text", "utc")

    def __init__(self, utc: int, text: str) -> None:
        self.utc = utc
        self.text = text


# Those just written, each in its place and replaced as a whole.
_seconds: Final = [_Second(-1, "1969-12-31T23:59:59")] * _SECONDS_KEPT


def written_second(utc: int) -> str:
    """As `rfc3339` begins."""
    place = utc % _SECONDS_KEPT
    known = _seconds[place]
    if known.utc != utc:
        text = datetime.fromtimestamp(utc, UTC).strftime("%Y-%m-%dT%H:%M:%S")
        known = _seconds[place] = _Second(utc, text)
    return known.text


@dataclass(frozen=True, slots=True)
class BillingPeriod:
    """A calendar month in UTC; `starts_at` and `ends_at` are seconds since the epoch."""

    name: str
    starts_at: float
    ends_at: float

    @classmethod
    def at(cls, utc: float) -> "BillingPeriod":
        """The month that holds this moment."""
        return month_of(int(utc // _DAY))

    @classmethod
    def named(cls, name: str) -> "BillingPeriod":
        """The month written as 2026-11. Raises ValueError for anything else."""
        return _named(name)

    @property
    def resets_at(self) -> str:
        """The first moment of the next month, RFC 3339."""
        return f"{datetime.fromtimestamp(self.ends_at, UTC):%Y-%m-%dT%H:%M:%SZ}"


@lru_cache(maxsize=64)
def _named(name: str) -> BillingPeriod:
    start = datetime.strptime(name, "%Y-%m").replace(tzinfo=UTC)
    if f"{start:%Y-%m}" != name:
        raise ValueError("a month is written as 2026-11")
    end = start.replace(year=start.year + start.month // 12, month=start.month % 12 + 1)
    return BillingPeriod(name, start.timestamp(), end.timestamp())


_latest: Final = [BillingPeriod("", 0.0, 0.0)]  # the month that was asked for last, replaced as a whole


def month_at(utc: float) -> str:
    """The name of the month that holds this moment."""
    month = _latest[0]
    if not month.starts_at <= utc < month.ends_at:
        month = _latest[0] = month_of(int(utc // _DAY))
    return month.name


@lru_cache(maxsize=64)
def month_of(day: int) -> BillingPeriod:
    """The month of a day since the epoch: asked for every request, so worked out once a day."""
    return _named(f"{datetime.fromtimestamp(day * _DAY, UTC):%Y-%m}")
