"""The frozen nouns that every room shares. They check themselves: an invalid one cannot be made."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Literal, NamedTuple

from gatewayd.build import stays_python
from gatewayd.periods import BillingPeriod, rfc3339
from gatewayd.rates import PERIOD_SECONDS, Bundle, Pace, Rate, Tally, Window
from gatewayd.records import Account, Ending, Hold, Outcome, Posting, UsageRecord, posting_of

__all__ = [
    "PERIOD_SECONDS",
    "Account",
    "Balance",
    "BillingPeriod",
    "Bundle",
    "Directory",
    "DirectoryPage",
    "Durability",
    "Ending",
    "Hold",
    "Holding",
    "Identity",
    "Outcome",
    "Pace",
    "Plan",
    "Posting",
    "Rate",
    "Revocation",
    "RevocationKind",
    "Tally",
    "UsageRecord",
    "Window",
    "posting_of",
    "rfc3339",
]

Durability = Literal["process", "disk"]
"""What a written record survives: `kill -9`, or power loss too."""


@dataclass(slots=True, unsafe_hash=True, init=False)
class Identity:
    """A caller whose token was verified. `plan` is what the token claims; an account's plan wins over it.

    `service` says that an agent calls, for the user: who it is, and `run` is the run that the call belongs to.
    Nobody assigns to its fields; as a record (`records`), it says itself how it is made.
    """

    user: Final[str]
    plan: Final[str | None]
    roles: Final[frozenset[str]]
    token_id: Final[str | None]
    issued_at: Final[float | None]
    expires_at: Final[float]
    scopes: Final[frozenset[str]]
    tenant: Final[str | None]
    service: Final[str | None]
    run: Final[str | None]

    def __init__(
        self,
        user: str,
        plan: str | None,
        roles: frozenset[str],
        token_id: str | None,
        issued_at: float | None,
        expires_at: float,
        scopes: frozenset[str] = frozenset(),  # one that is empty is as good as another
        tenant: str | None = None,
        service: str | None = None,
        run: str | None = None,
    ) -> None:
        self.user = user
        self.plan = plan
        self.roles = roles
        self.token_id = token_id
        self.issued_at = issued_at
        self.expires_at = expires_at
        self.scopes = scopes
        self.tenant = tenant
        self.service = service
        self.run = run


@dataclass(frozen=True, slots=True)
class Plan:
    """What a user bought: units per calendar month (UTC; 0 is unlimited) and, if it says so, its own rates."""

    name: str
    default: bool = False
    quota: dict[str, int] = field(default_factory=dict)
    rate_limit: tuple[Rate, ...] | None = None

    def __reduce__(self) -> tuple[type["Plan"], tuple[object, ...]]:
        # As a rate: workers are handed the settings pickled.
        return Plan, (self.name, self.default, self.quota, self.rate_limit)


@stays_python  # a file may have been tampered with, and who says so must be able to hold what it says
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
