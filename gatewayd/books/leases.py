"""A worker's leases: units that are its own to spend. Arithmetic only."""

import asyncio
from collections import OrderedDict, deque
from dataclasses import dataclass
from typing import Final

from gatewayd.model import Account
from gatewayd.records import account_named

AHEAD: Final = 4
"""An account asks for so many requests more than wait; asking again in short order, for twice as many."""
MOST_AHEAD: Final = 512
MOST_SWEPT: Final = 1_000
"""Leases that are looked through and given back at once: a millisecond of the worker's time."""
HABITS_KEPT: Final = 10_000
"""Accounts whose last stay is remembered: some 3 MB."""
LATE: Final = 0.1
"""Seconds after which a lease that is used is the most recently used again."""
CALM: Final = -8
"""So many times it asks for nothing ahead, after others had to ask for what it had idle."""


Key = tuple[str, str, str]
"""What an `Account` is, without its name: to make one is a call of Python's."""


@dataclass(slots=True, eq=False, init=False)
class Waiter:
    """A request that waits for units; the future's result is the used-up figure if refused, None if granted.

    `limit` is its own plan's: one user's tokens may claim different plans, and an account's plan may just have changed.
    Mutable: `asked` is the number of the wish that was made in its name.
    """

    units: int
    limit: int
    future: "asyncio.Future[int | None]"
    asked: int

    def __init__(self, units: int, limit: int, future: "asyncio.Future[int | None]") -> None:
        self.units = units
        self.limit = limit
        self.future = future
        self.asked = 0


@dataclass(slots=True, unsafe_hash=True, init=False)
class Wish:
    """What was asked of the bookkeeper under the limit of the first who waits: at least what that one needs, all of it;
    at best what all need who may have as much (`needed`), and some ahead. If nobody waits, only that.

    Nothing idle is kept back for it: two workers with a part each would recall it from each other for ever.
    """

    number: Final[int]
    limit: Final[int]
    least: Final[int]
    needed: Final[int]
    most: Final[int]

    def __init__(self, number: int, limit: int, least: int, needed: int, most: int) -> None:
        self.number = number
        self.limit = limit
        self.least = least
        self.needed = needed
        self.most = most


class Lease:
    """What this worker has of one account. Mutable: counting is what it does.

    `idle` can be held at once, `in_use` is held by requests in flight. `sound`: as far as is known, all that was
    leased of the account is within `limit`, and nobody else is in need of what is idle here; so a request of a plan
    that has less must ask. `spent` is what the ledger had charged when it last refused; that only grows, so what does
    not fit beside it never will. `served`: the requests that held some of it since it is here.
    """

    __slots__ = (
        "account",
        "ahead",
        "idle",
        "in_use",
        "limit",
        "period",
        "placed_at",
        "served",
        "sound",
        "spent",
        "unit",
        "used_at",
        "waiting",
        "wish",
    )

    def __init__(self, account: Account, limit: int, ahead: int = AHEAD) -> None:
        self.account = account
        self.unit: Final = account[1]  # and this are the account's, at hand: a name of a tuple's is a call of Python's
        self.period: Final = account[2]
        self.limit = limit
        self.idle = 0
        self.in_use = 0
        self.sound = False
        self.spent = 0
        self.ahead = ahead
        self.served = 0
        self.wish: Wish | None = None
        self.used_at = 0.0
        self.placed_at = 0.0
        self.waiting: deque[Waiter] = deque()

    @property
    def spendable(self) -> bool:
        """Whether something is here that is sound to spend; where nothing is, even a call that costs none must ask."""
        return self.sound and self.idle > 0

    def hopeless(self, units: int, limit: int) -> bool:
        """Whether so many will not fit any more in this period, whatever others give back."""
        return self.spent + units > limit

    def take(self, units: int, limit: int) -> bool:
        """Hold the units if they are here to be spent, and nobody waits who came before."""
        idle = self.idle  # `spendable`, without a call: every request takes
        if units > idle or limit < self.limit or self.waiting or not self.sound or idle <= 0:
            return False
        self.idle -= units
        self.in_use += units
        self.served += 1
        return True

    def put_back(self, units: int) -> None:
        """What was held was not used."""
        self.in_use -= units
        self.idle += units

    def draw(self, held: int, quantity: int) -> int:
        """A request that held `held` is charged `quantity`: how much of that this lease could pay."""
        drawn = min(quantity, held + self.idle)
        self.in_use -= held
        self.idle += held - drawn
        if drawn < quantity:
            self.sound = False
        return drawn

    @property
    def outstanding(self) -> int:
        return self.idle + self.in_use

    @property
    def spare(self) -> bool:
        """Whether there is nothing to remember about it."""
        return not (self.idle or self.in_use or self.waiting)

    def give_up(self) -> int:
        """What is idle is here no longer; how much that was."""
        idle, self.idle = self.idle, 0
        return idle

    def empty(self) -> int:
        """The same, and whatever gets idle from now on is not to be spent here."""
        self.sound = False
        return self.give_up()

    def demand(self, number: int) -> Wish:
        """Units to ask for: at least for the first who waits, at best for all who do, and some ahead."""
        first = self.waiting[0]
        for waiter in self.waiting:
            waiter.asked = number
        needed = sum(waiter.units for waiter in self.waiting if waiter.limit >= first.limit)
        self.wish = Wish(number, first.limit, first.units, needed, needed + self._ahead(first.units))
        return self.wish

    def runs_out(self, units: int) -> bool:
        """Whether the next request for so many would wait for an answer that could be asked for now."""
        return self.idle < units and self.ahead > 0 and self.wish is None and self.sound

    def restock(self, number: int, units: int) -> Wish:
        """Units to ask for while nobody waits, so that the next request for so many need not."""
        self.wish = Wish(number, self.limit, 0, 0, self._ahead(units))
        return self.wish

    def _ahead(self, units: int) -> int:
        """Units for the requests to come, if they are like this one."""
        more = max(self.ahead, 0) * max(units, 1)
        self.ahead = min(max(AHEAD, 2 * self.ahead), MOST_AHEAD) if self.ahead >= 0 else self.ahead + 1
        return more

    def granted(self, number: int, units: int, *, sound: bool) -> None:
        """More came: serve who waits, in order."""
        self.idle += units
        if (wish := self.wish) is None or wish.number != number:
            return
        self.wish = None
        self.sound = sound
        self.limit = wish.limit
        self.serve()

    def refused(self, number: int, used: int, spent: int) -> None:
        """There is no more: who waited when it was asked for, needs as much and may not have more, is refused.

        Nobody is if something got idle since: that is to be asked for again.
        """
        self.spent = max(self.spent, spent)
        if (wish := self.wish) is None or wish.number != number:
            return
        self.wish = None
        if self.idle:
            return
        self.ahead = 0
        waiting, self.waiting = self.waiting, deque()
        for waiter in waiting:
            if waiter.asked != number or waiter.units < wish.least or waiter.limit > wish.limit:
                self.waiting.append(waiter)
            elif not waiter.future.done():
                waiter.future.set_result(used)

    def failed(self, error: Exception) -> None:
        """Nobody can say: who waits is told so."""
        self.wish = None
        while self.waiting:
            waiter = self.waiting.popleft()
            if not waiter.future.done():
                waiter.future.set_exception(error)

    def serve(self) -> None:
        """Those who wait, in order, from what is idle; who waits no more is forgotten."""
        while self.waiting:
            waiter = self.waiting[0]
            if not waiter.future.done():
                if waiter.units > self.idle or waiter.limit < self.limit:
                    return
                self.put_back(-waiter.units)
                self.served += 1
                waiter.future.set_result(None)
            self.waiting.popleft()

    def prune(self) -> None:
        """Forget those at the front who wait no more."""
        while self.waiting and self.waiting[0].future.done():
            self.waiting.popleft()


class Leases:
    """A worker's leases by account, the least recently used first, to within LATE seconds: who calls all the time is
    not put last each time. Bounded: what is idle for long is given back.

    Who comes back is lent as much ahead as he used the last time: in small steps it would be several wishes.
    """

    def __init__(self, *, swept: int = MOST_SWEPT, habits: int = HABITS_KEPT) -> None:
        """`swept` are looked through at once, `habits` remembered."""
        self._swept = swept
        self._habits_kept = habits
        self._by_account: OrderedDict[Key, Lease] = OrderedDict()
        self._latest: dict[str, Lease] = {}  # each user's, of those above
        self._habits: OrderedDict[Account, int] = OrderedDict()  # requests of an account's last stay, the oldest first

    def __len__(self) -> int:
        return len(self._by_account)

    def all(self) -> list[Lease]:
        return list(self._by_account.values())

    def get(self, account: Account) -> Lease | None:
        return self._by_account.get(account)

    def of(self, user: str, unit: str, period: str, limit: int, now: float) -> Lease:
        """As `use`. Who calls used the same lease the last time: that is found by his name alone."""
        lease = self._latest.get(user)
        if lease is None or lease.unit != unit or lease.period != period:
            lease = self._latest[user] = self.use((user, unit, period), limit, now)
            return lease
        if now - lease.placed_at > LATE:
            self._place(lease, now)
        lease.used_at = now
        return lease

    def use(self, account: Key, limit: int, now: float) -> Lease:
        """The account's lease, made if there is none."""
        if (lease := self._by_account.get(account)) is None:
            named = account_named(*account)
            lease = self._by_account[named] = Lease(named, limit, self._habits.pop(named, AHEAD))
            lease.placed_at = now
        elif now - lease.placed_at > LATE:
            self._place(lease, now)
        lease.used_at = now
        return lease

    def _place(self, lease: Lease, now: float) -> None:
        """It is the most recently used again."""
        self._by_account.move_to_end(lease.account)
        lease.placed_at = now

    def unused_since(self, moment: float) -> list[Lease]:
        """Some with something to give back that nobody asked for since; what has nothing any more is forgotten."""
        idle: list[Lease] = []
        spare: list[Lease] = []
        for looked, lease in enumerate(self._by_account.values()):
            if lease.placed_at > moment or looked >= self._swept:
                break
            if lease.used_at > moment:  # in the LATE seconds after it was placed: so few are passed over
                continue
            if lease.idle:
                idle.append(lease)
            elif lease.spare:
                spare.append(lease)
        for lease in spare:
            self._forget(lease)
        return idle

    def _forget(self, lease: Lease) -> None:
        """But for how much was used of it, unless others were in need of that."""
        del self._by_account[lease.account]
        if self._latest.get(lease.account.user_id) is lease:
            del self._latest[lease.account.user_id]
        if lease.ahead > 0 and lease.served > AHEAD:
            self._habits[lease.account] = min(lease.served, MOST_AHEAD)
            if len(self._habits) > self._habits_kept:
                self._habits.popitem(last=False)
