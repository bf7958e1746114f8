"""One call from its first attempt to its result, as steps that a transport carries out.

A generator yields what is to be done and is sent what came of it: both clients behave alike because both drive this.
"""

import random
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, Final

from gatewayd_sdk._core.answers import Answer, is_success, status_error
from gatewayd_sdk._core.errors import APIConnectionError, APIStatusError, APITimeoutError
from gatewayd_sdk._core.headers import Headers
from gatewayd_sdk._core.options import Options, check_token
from gatewayd_sdk._core.requests import Request, fields_of

REPEATED: Final = frozenset({408, 429, 502, 503, 504})
_FIRST_PAUSE: Final = 0.5
_LONGEST_PAUSE: Final = 8.0


@dataclass(frozen=True, slots=True)
class AskToken:
    """Get the token; `fresh` says that the one there is was refused. The answer is a text, or None for no token."""

    fresh: bool


@dataclass(frozen=True, slots=True)
class Wait:
    seconds: float


@dataclass(frozen=True, slots=True)
class Fetch:
    """Send the request and read the answer within `remaining` seconds (None: no limit); raises APIConnectionError."""

    method: str
    target: str
    headers: Headers
    body: bytes | None
    connect: float
    idle: float
    remaining: float | None


Step = AskToken | Wait | Fetch
Steps = Generator[Step, Any, Answer]


@dataclass(frozen=True, slots=True)
class Chance:
    """Time and luck, so that tests can choose them."""

    monotonic: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time
    random: Callable[[], float] = random.random


def exchange(request: Request, options: Options, *, refreshable: bool, chance: Chance) -> Steps:
    """The steps of a call; returns a successful answer, raises the error that the last attempt was."""
    timeout = options.timeout
    deadline = None if timeout.total is None else chance.monotonic() + timeout.total
    fields = fields_of(request, options.headers)
    target = request.target
    repeats = 0
    token = yield AskToken(fresh=False)
    while True:
        signed = _signed(fields, token)
        try:
            remaining = _remaining(deadline, chance.monotonic())
            answer = yield Fetch(request.method, target, signed, request.body, timeout.connect, timeout.idle, remaining)
        except APIConnectionError as error:
            failure: APIConnectionError | APIStatusError = error
        else:
            if is_success(answer.status):
                return answer  # type: ignore[no-any-return]
            failure = status_error(answer, chance.wall())
        if refreshable and _token_refused(failure):
            refreshable = False
            token = yield AskToken(fresh=True)
            continue
        pause = pause_before_repeat(failure, repeats, options, chance.random())
        if pause is None or (deadline is not None and chance.monotonic() + pause >= deadline):
            raise failure
        repeats += 1
        yield Wait(pause)


def _signed(fields: Headers, token: object) -> Headers:
    if token is None or "authorization" in fields:
        return fields
    return fields.with_fields({"authorization": f"Bearer {check_token(token)}"})


def _remaining(deadline: float | None, now: float) -> float | None:
    if deadline is not None and deadline <= now:
        raise APITimeoutError("the call took longer than its total timeout")
    return None if deadline is None else deadline - now


def _token_refused(failure: Exception) -> bool:
    return isinstance(failure, APIStatusError) and failure.code in ("token_expired", "token_invalid")


def pause_before_repeat(
    failure: APIConnectionError | APIStatusError, repeats: int, options: Options, luck: float
) -> float | None:
    """The seconds to wait before the next attempt, or None when there is to be none.

    `x-should-retry` decides if it is there, but never for a 402. Retry-After is waited for in full; without it the
    pause doubles with each repeat, less up to a quarter by `luck` (0 to 1), so that callers do not come back at once.
    """
    if repeats >= options.max_retries or not _repeatable(failure):
        return None
    asked = failure.retry_after if isinstance(failure, APIStatusError) else None
    if asked is None:
        return min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0**repeats) * (1 - luck / 4)
    return asked if asked <= options.max_wait else None


def _repeatable(failure: APIConnectionError | APIStatusError) -> bool:
    if isinstance(failure, APIConnectionError):
        return True
    told = failure.headers.get("x-should-retry", "").strip().lower()
    if failure.status == 402 or told == "false":
        return False
    return told == "true" or failure.status in REPEATED
