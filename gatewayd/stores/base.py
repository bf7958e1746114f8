"""What policies may ask of a store. Each Protocol has one behaviour suite, run over every implementation."""

from collections.abc import Awaitable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple, Protocol

from gatewayd.model import Account, Balance, Bundle, DirectoryPage, Hold, Holding, Posting, Tally, UsageRecord, Window


class Counters(Protocol):
    """Where rate limits count (GCRA: one number a key)."""

    async def take(self, windows: Sequence[Window]) -> Sequence[Tally]:
        """Take one from every window, or from none if any of them is empty; a tally for each, in order."""

    def take_in_passing(self, bundle: Bundle, now: float) -> bool:
        """The same at the least cost, where it is as usual: each window says what it has then.

        False if it is not, be it that one is empty; then nothing was taken, and another way has to be gone.
        `now` is this moment, monotonic seconds: who asks has read the clock already.
        """

    def take_at_once(self, windows: Sequence[Window], now: float) -> Sequence[Tally] | None:
        """As `take`, where nobody has to be waited for; else None, and nothing was taken.

        `now` is this moment, monotonic seconds: who asks has read the clock already.
        """

    async def close(self) -> None:
        """Give up what the store holds; calls after it are errors."""


class Ledger(Protocol):
    """Quotas and usage records. Balance and record change in one transaction, or neither does."""

    async def hold(self, hold: Hold) -> Holding:
        """Set `hold.units` aside if they fit (held + units ≤ limit − spent), atomically.

        A caller cancelled while waiting holds nothing afterwards. Raises StoreUnavailable.
        """

    def hold_at_once(self, hold: Hold, now: float) -> Holding | None:
        """The same, where nobody has to be waited for; else None, and nothing is held.

        `now` is this moment, monotonic seconds: who asks has read the clock already.
        """

    def settle(self, record: UsageRecord) -> Awaitable[None] | None:
        """Turn the hold of `record.id` into the record: units freed, quantity spent.

        Done when called and sealed, awaited or not: the record survives `kill -9` of this process. What is returned is
        to be awaited before the answer's last byte: for power loss (`durability = "disk"`), or because more was spent
        than was held. A repeat is harmless.
        """

    def seal(self) -> None:
        """Write down what was held, settled and released until now, or is about to be in this turn of the loop anyhow.

        To be called before an agent is told of a request that was held for, and before the last byte of an answer.
        """

    def release(self, hold_id: str) -> Awaitable[None] | None:
        """Free the units of a request that reached no agent. Done when called and sealed; a repeat is harmless."""

    async def balances(self, user_id: str, period: str) -> Sequence[Balance]:
        """The user's balances in the period, by unit; empty when nothing was used yet."""

    async def close(self) -> None:
        """Write what was submitted, then give up the store."""


class Accounts(Protocol):
    """Plans that operators gave to users; they win over what a token claims."""

    async def plans(self) -> Mapping[str, str]:
        """Every account's plan by user id."""

    async def assign(self, user_id: str, plan: str) -> None:
        """Set a user's plan from now on."""


@dataclass(slots=True, unsafe_hash=True, init=False)
class Want:
    """A lease that a daemon asks for: at least `least` units of the account or none, at best `most`.

    `limit` is the plan's in force (never 0, an unlimited unit needs no lease); the balance takes it on.
    A crowd makes many, so this and what answers it say themselves how they are made, as records do.
    """

    account: Final[Account]
    limit: Final[int]
    least: Final[int]
    most: Final[int]

    def __init__(self, account: Account, limit: int, least: int, most: int) -> None:
        self.account = account
        self.limit = limit
        self.least = least
        self.most = most


@dataclass(slots=True, unsafe_hash=True, init=False)
class Grant:
    """The answer to a Want: `units` leased, or 0 where `least` did not fit; and the balance as it stands after it.

    `others` are the units of this account in other daemons' leases, which may be idle there.
    """

    units: Final[int]
    limit: Final[int]
    spent: Final[int]
    leased: Final[int]
    others: Final[int]

    def __init__(self, units: int, limit: int, spent: int, leased: int, others: int) -> None:
        self.units = units
        self.limit = limit
        self.spent = spent
        self.leased = leased
        self.others = others


@dataclass(frozen=True, slots=True)
class Batch:
    """What one transaction does. A record that is there already is passed over, with what it drew.

    `returned`: units given back out of the daemon's leases. `in_flight`: units that requests of this daemon are using
    now, for accounts where that changed. `answered`: the recalls (by number) that this batch answers.
    """

    postings: Sequence[Posting] = ()
    returned: Mapping[Account, int] = field(default_factory=dict)
    in_flight: Mapping[Account, int] = field(default_factory=dict)
    answered: Mapping[Account, int] = field(default_factory=dict)


class Recall(NamedTuple):
    """A request to another daemon to give back what it does not need of an account."""

    node: str
    account: Account
    number: int


class Leasing(Protocol):
    """The balance sheet: what daemons take out of it ahead, and what they put in its books.

    `node` names the daemon, the same over its restarts. Every call is one transaction, bounded in time, and raises
    StoreUnavailable when it could not be done; it may then have been done all the same (a commit whose answer was
    lost), which `leases` tells.
    """

    async def lease(self, node: str, wants: Sequence[Want]) -> Sequence[Grant]:
        """Lease to the daemon what fits (leased + units ≤ limit − spent), in order; a grant for each."""

    async def post(self, node: str, batch: Batch) -> None:
        """Write the records, chained, charge them, and shrink the daemon's leases by what was drawn and returned.

        An amount that cannot be stored loses nothing else of the batch: it is logged and passed over.
        """

    async def leases(self, node: str) -> Mapping[Account, int]:
        """What the daemon has in leases, by account, zeros left out."""

    async def in_flight(self, node: str) -> Mapping[Account, int]:
        """What the daemon last said that its requests are using, by account, zeros left out."""


class Recalling(Protocol):
    """How daemons that share a ledger ask each other for idle units. A ledger of one daemon answers with nothing."""

    async def recall(self, node: str, accounts: Sequence[Account]) -> Sequence[Recall]:
        """Ask every other daemon that leases units of these accounts; what was asked of whom."""

    async def recalled(self, node: str) -> Mapping[Account, int]:
        """What others asked of this daemon and it has not answered yet: the recall's number, by account."""

    async def unanswered(self, recalls: Sequence[Recall]) -> Sequence[Recall]:
        """Those that their daemons have not answered yet; a lease that is gone is an answer."""


class Examination(NamedTuple):
    """How far one account has been compared with its records, as both stood at one moment.

    `spent` is what the balance said then, `summed` what the records up to `place` add up to; `misheld` are the units by
    which `held` differed from the leases. Records that came later (beyond `through`) are none of it.
    """

    account: Account
    spent: int
    misheld: int
    through: int
    summed: int = 0
    place: tuple[str, int, int] = ("", 0, 0)
    read: int = 0
    done: bool = False


class Inquiry(Protocol):
    """What can be asked without changing anything."""

    async def balances(self, user_id: str, period: str, *, but: str = "") -> Sequence[Balance]:
        """The user's balances, by unit; `held` counts requests in flight, those of the daemon `but` left out."""

    async def directory(self, since: int, most: int) -> DirectoryPage:
        """At most so many accounts and revocations that were changed after this version, 0 for all there are.

        From the beginning, too, where the ledger never came to that version: it was put back to an older state.
        """

    async def examine(self, account: Account, so_far: Examination | None, most: int) -> Examination:
        """Begin to compare an account with its records, or go on; reads at most `most` records more."""

    async def accounts(self, after: Account | None, most: int) -> Sequence[Account]:
        """The next accounts that have a balance, in their order; fewer than `most` at the end."""


class LedgerStore(Leasing, Recalling, Inquiry, Protocol):
    """A database that keeps the ledger."""

    async def close(self) -> None:
        """End it; nothing is under way any more."""


@dataclass(slots=True, unsafe_hash=True, init=False)
class Standing:
    """An account's balance: `limit` as it is written, None if there is no balance yet."""

    limit: Final[int | None]
    spent: Final[int]

    def __init__(self, limit: int | None, spent: int) -> None:
        self.limit = limit
        self.spent = spent


class Sheet(NamedTuple):
    """Rows that follow what a daemon counts in its memory.

    `limits` of balances, made where there are none. `leased`: what the daemon has of these accounts from now on,
    whatever was written before. `rowless`: accounts of which the rows have nothing that a record could draw from.
    """

    limits: Mapping[Account, int]
    leased: Mapping[Account, int]
    rowless: Collection[Account]


class OwnLedgerStore(LedgerStore, Protocol):
    """One that is a single daemon's for as long as it is open: what that has leased, it knows better than the rows."""

    async def standings(self, wants: Sequence[Want]) -> Sequence[Standing | None]:
        """Of the account of each, as last committed; None where it or an amount cannot be stored, which is logged.

        Raises StoreUnavailable, also where the ledger could be read and not written.
        """

    async def enter(self, node: str, batch: Batch, sheet: Sheet) -> None:
        """As `post`, with the sheet's rows before it in the same transaction."""
