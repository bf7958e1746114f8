"""The frozen nouns that every room shares. They check themselves: an invalid one cannot be made."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from functools import lru_cache
from typing import Final, Literal, NamedTuple, TypeVar, dataclass_transform

PERIOD_SECONDS: Final = {"second": 1, "minute": 60, "hour": 3600, "day": 86400}


Durability = Literal["process", "disk"]
"""What a written record survives: `kill -9`, or power loss too."""


T = TypeVar("T")


@dataclass_transform(frozen_default=True)
def light_dataclass(kind: type[T]) -> type[T]:
    """A dataclass that is frozen to whoever checks types, and not at run time, where that costs 1 µs an object.

    For what every request makes; all others are `dataclass(frozen=True, slots=True)`.
    """
    return dataclass(slots=True, unsafe_hash=True)(kind)


def rfc3339(utc: float) -> str:
    """Milliseconds, cut and not rounded, so that no moment slips into the next billing period."""
    seconds, micros = divmod(round(utc * 1e6), 1_000_000)
    return f"{_second(seconds)}.{micros // 1000:03d}Z"


@lru_cache(maxsize=64)
def _second(utc: int) -> str:
    return datetime.fromtimestamp(utc, UTC).strftime("%Y-%m-%dT%H:%M:%S")


@dataclass(frozen=True, slots=True)
class Rate:
    """`limit` requests per `period` on average, `burst` of them at once (default: the limit)."""

    limit: int
    period: str
    burst: int = 0
    interval: int = field(init=False, repr=False, compare=False)
    """The ticks between two requests (`stores/gcra.py`), which are the period in nanoseconds."""
    room: int = field(init=False, repr=False, compare=False)
    """The ticks that an empty bucket takes to fill."""

    def __post_init__(self) -> None:
        if self.limit < 1:
            raise ValueError("a limit must be at least 1")
        if self.period not in PERIOD_SECONDS:
            raise ValueError(f"a period is one of {', '.join(PERIOD_SECONDS)}")
        if self.burst < 0:
            raise ValueError("a burst must be at least 1")
        if not self.burst:
            object.__setattr__(self, "burst", self.limit)
        object.__setattr__(self, "interval", self.seconds * 1_000_000_000)
        object.__setattr__(self, "room", self.burst * self.interval)

    @property
    def seconds(self) -> int:
        return PERIOD_SECONDS[self.period]


@light_dataclass
class Window:
    """One rate of one caller: `key` is where it counts, `name` is what the caller sees of it."""

    key: str
    name: str
    rate: Rate


@light_dataclass
class Tally:
    """What a window says after a take, in seconds from now.

    `resets_in`: until it is full again. `retry_in`: until one more would be admitted; 0 when it was.
    """

    admitted: bool
    remaining: int
    resets_in: float
    retry_in: float


@dataclass(frozen=True, slots=True)
class Identity:
    """A caller whose token was verified. `plan` is what the token claims; an account's plan wins over it.

    `service` says that an agent calls, for the user: who it is, and `run` is the run that the call belongs to.
    """

    user: str
    plan: str | None
    roles: frozenset[str]
    token_id: str | None
    issued_at: float | None
    expires_at: float
    scopes: frozenset[str] = frozenset()
    tenant: str | None = None
    service: str | None = None
    run: str | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """What a user bought: units per calendar month (UTC; 0 is unlimited) and, if it says so, its own rates."""

    name: str
    default: bool = False
    quota: dict[str, int] = field(default_factory=dict)
    rate_limit: tuple[Rate, ...] | None = None


@dataclass(frozen=True, slots=True)
class BillingPeriod:
    """A calendar month in UTC; `starts_at` and `ends_at` are seconds since the epoch."""

    name: str
    starts_at: float
    ends_at: float

    @classmethod
    def at(cls, utc: float) -> "BillingPeriod":
        """The month that holds this moment."""
        return _month_of(int(utc // _DAY))

    @classmethod
    @lru_cache(maxsize=64)
    def named(cls, name: str) -> "BillingPeriod":
        """The month written as 2026-11. Raises ValueError for anything else."""
        start = datetime.strptime(name, "%Y-%m").replace(tzinfo=UTC)
        if f"{start:%Y-%m}" != name:
            raise ValueError("a month is written as 2026-11")
        end = start.replace(year=start.year + start.month // 12, month=start.month % 12 + 1)
        return cls(name, start.timestamp(), end.timestamp())

    @property
    def resets_at(self) -> str:
        """The first moment of the next month, RFC 3339."""
        return f"{datetime.fromtimestamp(self.ends_at, UTC):%Y-%m-%dT%H:%M:%SZ}"


_DAY: Final = 86_400


@lru_cache(maxsize=64)
def _month_of(day: int) -> BillingPeriod:
    """The month of a day since the epoch: asked for every request, so worked out once a day."""
    return BillingPeriod.named(f"{datetime.fromtimestamp(day * _DAY, UTC):%Y-%m}")


class Outcome(StrEnum):
    """How a request that reached an agent ended (contract, section 7)."""

    __hash__ = str.__hash__  # an enum's own is a function of Python's, and tables are asked for it by every request

    DELIVERED = "delivered"
    FAILED = "failed"
    CLIENT_CLOSED = "client_closed"
    UNKNOWN = "unknown"


class Account(NamedTuple):
    """What a balance belongs to: one user's units of one kind in one billing period (`2026-11`)."""

    user_id: str
    unit: str
    period: str


@light_dataclass
class Hold:
    """Units set aside for one request, before its agent is called. `limit` 0: the unit is not limited.

    `id` is the request id; `user_id` is empty for a caller of a public route who proved no name.
    """

    id: str
    user_id: str
    plan: str
    agent: str
    route: str
    unit: str
    units: int
    limit: int
    cost: int
    started_at: float

    def __post_init__(self) -> None:
        if self.units < 0 or self.limit < 0 or self.cost < 0:
            raise ValueError("units are not negative")

    @property
    def period(self) -> str:
        return BillingPeriod.at(self.started_at).name

    @property
    def account(self) -> Account:
        month = _month_of(int(self.started_at // _DAY))  # `period`, made without two calls: each request asks
        return Account(self.user_id, self.unit, month.name)

    def record(
        self,
        *,
        quantity: int,
        outcome: Outcome,
        status: int,
        ended_at: float,
        bytes_in: int = 0,
        bytes_out: int = 0,
    ) -> "UsageRecord":
        """What becomes of the hold once the request has ended; a clock that stepped back ends it at its start."""
        return UsageRecord(
            self.id,
            self.user_id,
            self.plan,
            self.agent,
            self.route,
            self.unit,
            quantity,
            outcome,
            status,
            self.started_at,
            ended_at if ended_at > self.started_at else self.started_at,
            bytes_in,
            bytes_out,
        )


class Ending(NamedTuple):
    """How a request that reached its agent ended, for the journal.

    `drawn` is what it took out of its worker's lease: the quantity, or less if the lease did not have that much;
    0 for a unit that is not limited.
    """

    quantity: int
    drawn: int
    outcome: Outcome
    status: int
    ended_at: float
    bytes_in: int
    bytes_out: int


@light_dataclass
class UsageRecord:
    """One request that reached an agent. Times are seconds since the epoch, UTC."""

    id: str
    user_id: str
    plan: str
    agent: str
    route: str
    unit: str
    quantity: int
    outcome: Outcome
    status: int
    started_at: float
    ended_at: float
    bytes_in: int
    bytes_out: int

    def __post_init__(self) -> None:
        if self.quantity < 0:
            raise ValueError("a quantity is not negative")


@dataclass(frozen=True, slots=True)
class Balance:
    """Where a user stands with a unit in a period. `limit` 0: not limited."""

    user_id: str
    unit: str
    period: str
    limit: int
    held: int
    spent: int

    @property
    def remaining(self) -> int | None:
        """What is left to hold, never below 0; None when the unit is not limited."""
        return max(0, self.limit - self.spent - self.held) if self.limit else None

    def under(self, quota: Mapping[str, int]) -> "Balance":
        """The same with the limit that a plan's quota sets now; the ledger knows the one of the user's last request."""
        return replace(self, limit=quota.get(self.unit, 0))

    def document(self) -> dict[str, object]:
        """The balance as JSON says it; `limit` and `remaining` are null for a unit that is not limited."""
        return {
            "unit": self.unit,
            "period": self.period,
            "limit": self.limit or None,
            "held": self.held,
            "spent": self.spent,
            "remaining": self.remaining,
            "resets_at": BillingPeriod.named(self.period).resets_at,
        }


@dataclass(frozen=True, slots=True)
class Holding:
    """The ledger's answer to a hold: whether it was granted, and the balance after it."""

    granted: bool
    balance: Balance


RevocationKind = Literal["token", "user", "all"]


class Revocation(NamedTuple):
    """Tokens that are refused before they expire.

    `token`: the one with this id (`jti`) as `subject`. `user`: those of the user `subject` that were issued at or
    before `issued_until` (UTC seconds). `all`: everybody's issued until then; `subject` is empty.
    """

    kind: RevocationKind
    subject: str
    issued_until: float


@dataclass(frozen=True, slots=True)
class Directory:
    """What operators decided about users, as a whole; `version` changes whenever anything in it does."""

    version: int
    plans: dict[str, str]
    revocations: tuple[Revocation, ...] = ()


@dataclass(frozen=True, slots=True)
class DirectoryPage:
    """What operators decided after the version `since`, in the order in which they did, up to `version`.

    `since` is 0 where everything is told from the beginning, whatever was asked for: then what is not in this page or
    the ones behind it is not true any more. `more`: further pages follow this one.
    """

    since: int
    version: int
    plans: dict[str, str]
    revocations: tuple[Revocation, ...] = ()
    more: bool = False
