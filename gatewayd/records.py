"""What becomes of one request in the books: its hold, its ending, its record. They check themselves.

Every request makes them, so they say how: what a dataclass would make for that stays Python where the rest is compiled.
Nobody assigns to them (`Final`).
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple

from gatewayd.periods import month_at
from gatewayd.remembering import remember


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


def account_named(user_id: str, unit: str, period: str) -> Account:
    """As `Account(...)`, which a named tuple makes by a frame of Python's, at four times the cost."""
    return tuple.__new__(Account, (user_id, unit, period))


_accounts: Final[dict[str, Account]] = {}  # each user's last; emptied when it is full
_ACCOUNTS_KEPT: Final = 10_000


def account_shared(user_id: str, unit: str, period: str) -> Account:
    """As `account_named`, but mostly the one that the user's last record had: of records that wait in their thousands
    each would have its own otherwise.
    """
    known = _accounts.get(user_id)
    if known is not None and known[1] == unit and known[2] == period:
        return known
    account = account_named(user_id, unit, period)
    remember(_accounts, user_id, account, _ACCOUNTS_KEPT)
    return account


@dataclass(slots=True, unsafe_hash=True, init=False)
class Hold:
    """Units set aside for one request, before its agent is called. `limit` 0: the unit is not limited.

    `id` is the request id; `user_id` is empty for a caller of a public route who proved no name.
    """

    id: Final[str]
    user_id: Final[str]
    plan: Final[str]
    agent: Final[str]
    route: Final[str]
    unit: Final[str]
    units: Final[int]
    limit: Final[int]
    cost: Final[int]
    started_at: Final[float]

    def __init__(
        self,
        id: str,  # noqa: A002  # as the field is called
        user_id: str,
        plan: str,
        agent: str,
        route: str,
        unit: str,
        units: int,
        limit: int,
        cost: int,
        started_at: float,
    ) -> None:
        if units < 0 or limit < 0 or cost < 0:
            raise ValueError("units are not negative")
        self.id = id
        self.user_id = user_id
        self.plan = plan
        self.agent = agent
        self.route = route
        self.unit = unit
        self.units = units
        self.limit = limit
        self.cost = cost
        self.started_at = started_at

    @property
    def period(self) -> str:
        return month_at(self.started_at)

    @property
    def account(self) -> Account:
        return account_named(self.user_id, self.unit, month_at(self.started_at))

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


@dataclass(slots=True, unsafe_hash=True, init=False)
class Ending:
    """How a request that reached its agent ended, for the journal.

    `drawn` is what it took out of its worker's lease: the quantity, or less if the lease did not have that much;
    0 for a unit that is not limited.
    """

    quantity: Final[int]
    drawn: Final[int]
    outcome: Final[Outcome]
    status: Final[int]
    ended_at: Final[float]
    bytes_in: Final[int]
    bytes_out: Final[int]

    def __init__(
        self,
        quantity: int,
        drawn: int,
        outcome: Outcome,
        status: int,
        ended_at: float,
        bytes_in: int,
        bytes_out: int,
    ) -> None:
        self.quantity = quantity
        self.drawn = drawn
        self.outcome = outcome
        self.status = status
        self.ended_at = ended_at
        self.bytes_in = bytes_in
        self.bytes_out = bytes_out


@dataclass(slots=True, unsafe_hash=True, init=False)
class UsageRecord:
    """One request that reached an agent. Times are seconds since the epoch, UTC."""

    id: Final[str]
    user_id: Final[str]
    plan: Final[str]
    agent: Final[str]
    route: Final[str]
    unit: Final[str]
    quantity: Final[int]
    outcome: Final[Outcome]
    status: Final[int]
    started_at: Final[float]
    ended_at: Final[float]
    bytes_in: Final[int]
    bytes_out: Final[int]

    def __init__(
        self,
        id: str,  # noqa: A002  # as the field is called
        user_id: str,
        plan: str,
        agent: str,
        route: str,
        unit: str,
        quantity: int,
        outcome: Outcome,
        status: int,
        started_at: float,
        ended_at: float,
        bytes_in: int,
        bytes_out: int,
    ) -> None:
        if quantity < 0:
            raise ValueError("a quantity is not negative")
        self.id = id
        self.user_id = user_id
        self.plan = plan
        self.agent = agent
        self.route = route
        self.unit = unit
        self.quantity = quantity
        self.outcome = outcome
        self.status = status
        self.started_at = started_at
        self.ended_at = ended_at
        self.bytes_in = bytes_in
        self.bytes_out = bytes_out


@dataclass(slots=True, unsafe_hash=True, init=False)
class Posting(UsageRecord):
    """A record on its way into the ledger, with the units of the daemon's lease that it used up.

    Thousands wait at a time, each far from the processor's caches when its turn comes: so it is one object and not two.
    """

    drawn: Final[int]

    def __init__(
        self,
        id: str,  # noqa: A002  # as the field is called
        user_id: str,
        plan: str,
        agent: str,
        route: str,
        unit: str,
        quantity: int,
        outcome: Outcome,
        status: int,
        started_at: float,
        ended_at: float,
        bytes_in: int,
        bytes_out: int,
        drawn: int,
    ) -> None:
        UsageRecord.__init__(
            self,
            id,
            user_id,
            plan,
            agent,
            route,
            unit,
            quantity,
            outcome,
            status,
            started_at,
            ended_at,
            bytes_in,
            bytes_out,
        )
        self.drawn = drawn

    @property
    def account(self) -> Account:
        """What it is charged to, as `account_shared` has it."""
        return account_shared(self.user_id, self.unit, month_at(self.started_at))


def posting_of(record: UsageRecord, drawn: int) -> Posting:
    """The record, which used up so many units of the daemon's lease."""
    return Posting(
        record.id,
        record.user_id,
        record.plan,
        record.agent,
        record.route,
        record.unit,
        record.quantity,
        record.outcome,
        record.status,
        record.started_at,
        record.ended_at,
        record.bytes_in,
        record.bytes_out,
        drawn,
    )
