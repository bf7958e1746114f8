"""One call from its first attempt to its result, as steps that a transport carries out.

A generator yields what is to be done and is sent what came of it: both clients behave alike because both drive this.
"""

import random
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from logging import DEBUG
from typing import Any, Generic, Literal, NamedTuple, TypeAlias, TypeVar

from gatewayd_sdk._core.answers import Answer, response_error, status_error
from gatewayd_sdk._core.errors import APIConnectionError, APIStatusError, APITimeoutError
from gatewayd_sdk._core.logs import logger
from gatewayd_sdk._core.options import Options, Timeout
from gatewayd_sdk._core.pacing import Pacer
from gatewayd_sdk._core.requests import Body, Request, fields_of
from gatewayd_sdk._core.retries import pause_before_repeat, token_refused
from gatewayd_sdk._core.uploads import Upload

H_co = TypeVar("H_co", covariant=True)
Mode: TypeAlias = Literal["whole", "stream", "websocket"]


class AskToken(NamedTuple):
    """Get the token: the one there is, or a new one if that is the one `refused`. None is no token."""

    refused: str | None


class Wait(NamedTuple):
    seconds: float


class Fetch(NamedTuple):
    """Send the request; raises APIConnectionError.

    `whole`: the whole answer in `remaining` seconds (None: no limit). `stream`: its head in that time. `websocket`:
    likewise, of an opening handshake. The last two give an `Opened` if they succeed, else the whole answer.
    """

    method: str
    target: str
    fields: dict[str, str]
    body: Body
    mode: Mode
    timeout: Timeout
    remaining: float | None


@dataclass(frozen=True, slots=True)
class Opened(Generic[H_co]):
    """The head of an answer that goes on, and what the transport reads the rest from."""

    answer: Answer
    handle: H_co


Step: TypeAlias = AskToken | Wait | Fetch
Steps: TypeAlias = Generator[Step, Any, Any]


@dataclass(frozen=True, slots=True)
class Chance:
    """Time and luck, so that tests can choose them."""

    monotonic: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time
    random: Callable[[], float] = random.random


@dataclass(frozen=True, slots=True)
class Manner:
    """How calls are made. `token` is for all, unless `asks`: then each call begins with AskToken."""

    options: Options = field(default_factory=Options)
    token: str | None = None
    asks: bool = False
    pacer: Pacer | None = None
    chance: Chance = field(default_factory=Chance)


def exchange(request: Request, manner: Manner, mode: Mode = "whole") -> Steps:
    """The steps of a call; returns a successful Answer or an Opened, raises the error that the last attempt was."""
    options, chance = manner.options, manner.chance
    timeout = options.timeout
    deadline = None if timeout.total is None else chance.monotonic() + timeout.total
    remaining = timeout.total
    fields = fields_of(request, options.fields)
    token = (yield AskToken(None)) if manner.asks else manner.token
    refreshable = manner.asks
    repeats = 0
    quiet = manner.pacer is None and not logger.isEnabledFor(DEBUG)
    while True:
        _sign(fields, token, request)
        if manner.pacer is not None:
            remaining = yield from _paced(manner.pacer, request, deadline, chance)
        fetch = Fetch(request.method, request.target, fields, request.body, mode, timeout, remaining)
        failure: APIConnectionError | APIStatusError
        try:
            came = (yield fetch) if quiet else (yield from _noted(fetch, manner))
            if came.__class__ is Opened:
                return came
            if mode == "websocket" and came.status < 300:
                raise response_error(f"the answer is {came.status} and opens no WebSocket: is there one here?", came)
            if 200 <= came.status < 300:
                return came
            failure = status_error(came, chance.wall())
        except APIConnectionError as error:
            failure = error
        if not _repeatable(request.body):
            raise failure
        if refreshable and token_refused(failure):
            refreshable = False
            token = yield AskToken(token)
        else:
            repeats = yield from _rest(failure, repeats, manner, deadline)
        remaining = _remaining(deadline, chance.monotonic())


def _sign(fields: dict[str, str], token: str | None, request: Request) -> None:
    """Whoever sets Authorization for a call means it."""
    if token is not None and "authorization" not in request.headers:
        fields["authorization"] = f"Bearer {token}"


def _noted(fetch: Fetch, manner: Manner) -> Steps:
    """One attempt, noted in the log, and by the pacer whatever becomes of it."""
    chance = manner.chance
    began, came = chance.monotonic(), None
    path = fetch.target.partition("?")[0]
    try:
        came = yield fetch
    finally:
        answer = came.answer if isinstance(came, Opened) else came
        now = chance.monotonic()
        if manner.pacer is not None:
            manner.pacer.ended(path, answer, now)
        told = f"{answer.status}, request {answer.request_id}" if answer is not None else "no answer"
        logger.debug("%s %s: %s after %.0f ms", fetch.method, path, told, (now - began) * 1000)
    return came


def _paced(
    pacer: Pacer, request: Request, deadline: float | None, chance: Chance
) -> Generator[Step, Any, float | None]:
    """Waits until a call to this path is likely to be let in; the seconds that are left then."""
    pause = pacer.begun(request.path, chance.monotonic())
    if deadline is not None and chance.monotonic() + pause >= deadline:
        pacer.withdrawn(request.path)
        raise APITimeoutError(
            f"nothing was sent: by the limits that the gateway stated, the next call is let in {pause:.0f} s from "
            "now, later than the total timeout"
        )
    if pause > 0:
        logger.info("%s %s waits %.1f s for its turn", request.method, request.path, pause)
        try:
            yield Wait(pause)
        except BaseException:
            pacer.withdrawn(request.path)
            raise
    return _remaining(deadline, chance.monotonic())


def _rest(
    failure: APIConnectionError | APIStatusError, repeats: int, manner: Manner, deadline: float | None
) -> Generator[Step, Any, int]:
    """Waits for the next attempt and gives its number, or raises the failure if there is to be none."""
    pause = pause_before_repeat(failure, repeats, manner.options, manner.chance.random())
    if pause is None or (deadline is not None and manner.chance.monotonic() + pause >= deadline):
        raise failure
    told = f"{failure.status} {failure.code}" if isinstance(failure, APIStatusError) else str(failure)
    logger.info("%s; tried again in %.1f s", told.rstrip(), pause)
    yield Wait(pause)
    return repeats + 1


def _remaining(deadline: float | None, now: float) -> float | None:
    if deadline is not None and deadline <= now:
        raise APITimeoutError("the call took longer than its total timeout")
    return None if deadline is None else deadline - now


def _repeatable(body: Body) -> bool:
    return not isinstance(body, Upload) or body.repeatable
