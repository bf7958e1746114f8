"""Requests as the quota policy makes them, without the requests."""

import random
from collections.abc import Iterator
from itertools import count

from gatewayd.model import Hold, Outcome, UsageRecord

STARTED_AT = 1_764_000_000.0
PERIOD = "2025-11"
UNIT = "api_calls"
LIMIT = 10**12

_numbers = count(1)
_chance = random.Random(1)  # one row of chances for all rounds: users of the last one are not those of the next


def new_id() -> str:
    """A request id of the real length."""
    return f"{next(_numbers):032x}"


def user(number: int) -> str:
    return f"user-{number:08d}"


def new_hold(request_id: str, user_id: str, limit: int = LIMIT) -> Hold:
    """Made as the policy makes it, names and all."""
    return Hold(
        id=request_id,
        user_id=user_id,
        plan="free",
        agent="email",
        route="email",
        unit=UNIT,
        units=1,
        limit=limit,
        cost=1,
        started_at=STARTED_AT,
    )


def new_record(hold: Hold) -> UsageRecord:
    return hold.record(
        quantity=1,
        outcome=Outcome.DELIVERED,
        status=200,
        ended_at=STARTED_AT + 0.25,
        bytes_in=160,
        bytes_out=913,
    )


def callers(requests: int, users: int) -> Iterator[tuple[str, str]]:
    """The request's id and the user's name of so many requests: a number of users, each as likely as any other."""
    for _ in range(requests):
        yield new_id(), user(_chance.randrange(users))
