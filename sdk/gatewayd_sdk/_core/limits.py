"""What an answer says of the limits it was counted under: RateLimit, RateLimit-Policy and Retry-After."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

_ITEM: Final = re.compile(r'\s*"(?P<name>(?:[^"\\]|\\.)*)"(?P<parameters>(?:\s*;[^,;"]*)*)\s*(?:,|$)')
_PARAMETER: Final = re.compile(r";\s*([a-z]+)\s*=\s*(\d{1,15})(?=\s*(?:;|$))")


@dataclass(frozen=True, slots=True)
class RateLimitWindow:
    """One limit: `remaining` calls may follow now, and after `resets_in` seconds all `limit` of them.

    `limit` and `window` (seconds) are None when the answer does not name the policy.
    """

    name: str
    remaining: int
    resets_in: int
    limit: int | None = None
    window: int | None = None


@dataclass(frozen=True, slots=True)
class RateLimit:
    """The limits that an answer was counted under, at least one, in the order of the answer."""

    windows: tuple[RateLimitWindow, ...]

    @property
    def tightest(self) -> RateLimitWindow:
        """The window with the fewest calls left."""
        return min(self.windows, key=lambda each: each.remaining)

    @property
    def remaining(self) -> int:
        """Calls that may follow now without being refused."""
        return self.tightest.remaining

    @property
    def resets_in(self) -> int:
        """Seconds until the tightest window is full again."""
        return self.tightest.resets_in


def rate_limit_in(headers: Mapping[str, str]) -> RateLimit | None:
    """The limits that an answer states (draft-ietf-httpapi-ratelimit-headers), or None; without what is malformed."""
    policies = dict(_items(headers.get("ratelimit-policy", "")))
    windows = tuple(
        RateLimitWindow(name, values["r"], values.get("t", 0), *_policy(policies.get(name, {})))
        for name, values in _items(headers.get("ratelimit", ""))
        if "r" in values
    )
    return RateLimit(windows) if windows else None


def _policy(values: Mapping[str, int]) -> tuple[int | None, int | None]:
    return values.get("q"), values.get("w")


def _items(field: str) -> Iterator[tuple[str, dict[str, int]]]:
    """The members of a list of strings with parameters (RFC 9651 section 3.1), up to the first that is none."""
    position = 0
    while position < len(field) and (found := _ITEM.match(field, position)):
        position = found.end()
        yield found["name"], {name: int(digits) for name, digits in _PARAMETER.findall(found["parameters"])}


def retry_after_in(headers: Mapping[str, str], now: float) -> float | None:
    """The seconds that an answer asks to wait, never negative, or None.

    A date counts from the answer's own Date, so that a clock that is off here does no harm; `now`, seconds since
    the epoch, is used for an answer without one.
    """
    text = headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit() and len(text) < 10:
        return float(text)
    if (until := date_in(text)) is None:
        return None
    sent = date_in(headers.get("date", ""))
    return max(0.0, until - (now if sent is None else sent))


def date_in(text: str) -> float | None:
    """An HTTP date as seconds since the epoch, or None for any other text."""
    try:
        moment = parsedate_to_datetime(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, OverflowError, IndexError):
        return None


def moment_in(value: object) -> datetime | None:
    """An RFC 3339 time, or None for anything else."""
    try:
        return datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
