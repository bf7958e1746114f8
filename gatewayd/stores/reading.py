"""What commands may ask of a ledger, and write to it, from outside the daemon, whether one runs or not."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol

from gatewayd.model import Account, Balance, Directory, Revocation
from gatewayd.stores.chain import RecordRow


class NodeLeases(NamedTuple):
    """What one daemon has out of the ledger: units of so many accounts, and how many of them requests are using."""

    node: str
    accounts: int
    units: int
    in_flight: int


class LedgerReader(Protocol):
    """Changes nothing, and tells of the one moment at which it was opened. All of it raises StoreError."""

    def balances(self, *, user_id: str | None = None, period: str | None = None) -> Sequence[Balance]:
        """By user, period and unit; of everybody, or of all periods, where none is named.

        `held` counts requests in flight, as far as their daemons have told yet; idle leases do not count.
        """

    def records(self) -> Iterator[RecordRow]:
        """Every record, in the order of the chain."""

    def end(self) -> tuple[int, str]:
        """How many records the ledger has written, and the chain value of the last one."""

    def directory(self) -> Directory:
        """Every account's plan by user id, and every revocation."""

    def last_plans(self) -> Mapping[str, str]:
        """The plan of each user's latest record, by user id; an account's plan wins over it."""

    def leased(self) -> Mapping[Account, tuple[int, int]]:
        """Of every account with a balance or a lease: `held` as the balance says it (0 if there is none), and the sum
        of the daemons' leases.
        """

    def misnumbered(self) -> Sequence[str]:
        """A line for each number, by which rows are found, that is not the one that gatewayd gave."""

    def nodes(self) -> Sequence[NodeLeases]:
        """Every daemon that has units in leases, or requests in flight, by name."""


class Clerk(Protocol):
    """Writes what operators decide; a running daemon learns of it by the directory's version. Raises StoreError."""

    def assign(self, user_id: str, plan: str) -> None:
        """Set a user's plan from now on."""

    def revoke(self, revocation: Revocation) -> None:
        """Refuse these tokens from now on; the later of two times stands, and repeating it is harmless."""

    def release(self, node: str) -> int:
        """Free what a daemon has in leases that will not come back; how many units that were.

        Raises StoreError if it is there all the same, as far as can be told: it is given some seconds to show it.
        """


class Standing(NamedTuple):
    """Where a user stands with a unit, and the plan: the account's, else the last record's; empty if there is none."""

    balance: Balance
    plan: str


class Used(NamedTuple):
    """What calls of one kind used on one day (UTC, `2026-11-29`); `failed` are those whose agent failed."""

    day: str
    agent: str
    unit: str
    calls: int
    failed: int
    quantity: int


class Stretch(NamedTuple):
    """Records summed up in the order of the chain: `end` is the place of the last one seen, `last` of the newest."""

    end: int
    last: int
    used: Sequence[Used]


class UsageReader(Protocol):
    """What the operators' usage page asks, in steps that are bounded however large the ledger. Raises StoreError."""

    def standings(self, period: str, *, user: str = "", most: int, skip: int = 0) -> Sequence[Standing]:
        """Those nearest to their limits first, by what is spent of it; of users whose name begins with `user`."""

    def standings_of(self, user: str, period: str) -> Sequence[Standing]:
        """One user's, by unit."""

    def count(self, period: str, *, user: str = "") -> int:
        """How many standings there are."""

    def used_by(self, user: str, period: str) -> Sequence[Used]:
        """One user's use, by day, agent and unit."""

    def used_after(self, place: int, most: int) -> Stretch:
        """Everybody's use in at most so many records behind this place (0: from the first)."""
