"""Whether a call that failed is made again, and after how long a pause."""

from typing import Final

from gatewayd_sdk._core.errors import APIConnectionError, APIStatusError
from gatewayd_sdk._core.options import Options

REPEATED: Final = frozenset({408, 429, 502, 503, 504})
_FIRST_PAUSE: Final = 0.5
_LONGEST_PAUSE: Final = 8.0


def pause_before_repeat(
    failure: APIConnectionError | APIStatusError, repeats: int, options: Options, luck: float
) -> float | None:
    """The seconds to wait before the next attempt, or None when there is to be none.

    `x-should-retry` decides if it is there, but never for a 402. Retry-After is waited for in full; without it the
    pause doubles with each repeat, less up to a quarter by `luck` (0 to 1), so that callers do not come back at once.
    """
    if repeats >= options.max_retries or not _may_pass(failure):
        return None
    asked = failure.retry_after if isinstance(failure, APIStatusError) else None
    if asked is None:
        return min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0**repeats) * (1 - luck / 4)
    return asked if asked <= options.max_wait else None


def _may_pass(failure: APIConnectionError | APIStatusError) -> bool:
    if isinstance(failure, APIConnectionError):
        return True
    told = failure.headers.get("x-should-retry", "").strip().lower()
    if failure.status == 402 or told == "false":
        return False
    return told == "true" or failure.status in REPEATED


def token_refused(failure: Exception) -> bool:
    """Whether another token would help."""
    return isinstance(failure, APIStatusError) and failure.code in ("token_expired", "token_invalid")
