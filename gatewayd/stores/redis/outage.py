"""Who answers while the server is away, and what it must be told when it is back."""

from collections.abc import Sequence
from functools import lru_cache
from math import ceil
from typing import Final, Literal, NamedTuple, Protocol

from gatewayd.clock import Clock
from gatewayd.errors import StoreUnavailable
from gatewayd.model import Rate, Tally, Window
from gatewayd.stores import gcra
from gatewayd.stores.redis.census import Census
from gatewayd.stores.redis.line import Command
from gatewayd.stores.redis.script import MICROSECOND, add, bounded, divided, holds

OnOutage = Literal["local", "allow", "deny"]
RETURNING: Final = 0.5
DEBTORS: Final = 32_768


class Local(Protocol):
    """Counters of this daemon alone, shared by its workers."""

    def judge(self, windows: Sequence[Window], *, cost: int = 1, empty_since: float | None = None) -> Sequence[Tally]:
        """Take `cost` from every window or none; buckets count as used up at `empty_since` (monotonic) at best."""


@lru_cache(maxsize=4096)
def roomy(rate: Rate) -> Rate:
    """The rate with a second's worth of room: what the server admitted fits, however late we write it down."""
    return Rate(rate.limit, rate.period, rate.burst + rate.limit // rate.seconds + 1)


class Debt(NamedTuple):
    """What is owed of a key, in nanoseconds / limit: a take is as many as the period has nanoseconds."""

    key: str
    rate: Rate
    level: int


class Pace(NamedTuple):
    """The moment, that of the outage's beginning (nanoseconds), and how many share a bucket."""

    now: int
    since: int
    shares: int


class Debts:
    """What was admitted here and the server does not know; of the callers seen last. Mutable, as debts are.

    While a bucket may still have to refill from before the outage, that is all the refilling there is. Later, a debt
    is let off at the speed of this process's share, so all debts together are never less than one bucket's would be.
    """

    def __init__(self) -> None:
        self._owed: dict[str, tuple[Rate, int, int]] = {}

    def __len__(self) -> int:
        return len(self._owed)

    def add(self, window: Window, pace: Pace) -> None:
        rate = bounded(window.rate)
        level = self._left(window.key, rate, pace) + rate.seconds * gcra.SECOND
        if len(self._owed) >= DEBTORS:
            del self._owed[next(iter(self._owed))]
        self._owed[window.key] = (rate, level, pace.now)

    def some(self, most: int, pace: Pace) -> list[Debt]:
        """Those owed the longest, as of now; taken off the list."""
        keys = list(self._owed)[:most]
        rates = [self._owed[key][0] for key in keys]
        return [Debt(key, rate, self._left(key, rate, pace)) for key, rate in zip(keys, rates, strict=True)]

    def restore(self, debts: Sequence[Debt], pace: Pace) -> None:
        """They were not told after all."""
        for key, rate, level in debts:
            self._owed[key] = (rate, level + self._left(key, rate, pace), pace.now)

    def clear(self) -> None:
        self._owed.clear()

    def _left(self, key: str, rate: Rate, pace: Pace) -> int:
        """In ticks of a nanosecond / limit; takes the debt off the list."""
        was, level, at = self._owed.pop(key, (rate, 0, pace.now))
        refilled = pace.since + holds(was) * 1000
        left = max(0, level - max(0, pace.now - max(at, refilled)) * was.limit // pace.shares)
        return left if was.limit == rate.limit else gcra.rescaled(left, was.limit, rate.limit)


class Standin:
    """Answers for the server by `on_outage`, and remembers what that did to the buckets."""

    def __init__(self, on_outage: OnOutage, local: Local, census: Census, clock: Clock, workers: int) -> None:
        self._on_outage = on_outage
        self._local = local
        self._census = census
        self._clock = clock
        self._workers = workers
        self._debts = Debts()
        self._since = 0.0
        self._returning_until = 0.0

    def begin(self) -> None:
        """The server is away from now on."""
        self._since = self._clock.monotonic()

    def take(self, windows: Sequence[Window]) -> Sequence[Tally]:
        """A take that the server does not learn of now. Raises StoreUnavailable where that is what was asked for."""
        tallies = self.judge(windows)
        if self._on_outage == "local" and all(tally.admitted for tally in tallies):
            self.owe(windows)
        return tallies

    def judge(self, windows: Sequence[Window]) -> Sequence[Tally]:
        """What this daemon's share of the limits says; takes it."""
        if self._on_outage == "deny":
            raise StoreUnavailable("The counters are away.")
        if self._on_outage == "allow":
            return [Tally(True, window.rate.burst, 0.0, 0.0) for window in windows]
        census = self._census
        since = self._since if census.daemons > 1 else census.shared_until
        return self._local.judge(windows, cost=max(1, census.daemons), empty_since=since)

    def owe(self, windows: Sequence[Window]) -> None:
        pace = self._pace()
        for window in windows:
            self._debts.add(window, pace)

    def mirror(self, windows: Sequence[Window]) -> None:
        """The server admitted it: a daemon that is alone knows from it where its callers stand in an outage."""
        if self._on_outage == "local" and self._census.alone:
            # Each by itself: one that does not fit for the moment must not hide the take from the others.
            for window in windows:
                self._local.judge([Window(window.key, window.name, roomy(window.rate))])

    def lost(self) -> None:
        """The server forgot what it had: what it does not know was used up when the outage began, at worst."""
        if self._on_outage != "allow":
            self._census.distrust(self._since, self._census.shared_until)

    def due(self, most: int) -> list[Debt]:
        """Debts that the server must be told; none when it knows all."""
        if self._census.alone:
            self._debts.clear()
        return self._debts.some(most, self._pace())

    def restore(self, debts: Sequence[Debt]) -> None:
        """The server may not have heard these."""
        self._debts.restore(debts, self._pace())

    def command(self, debt: Debt, now: int) -> Command:
        """How the server is told."""
        backlog = divided(-(-debt.level // 1000), debt.rate.limit)
        return add(debt.key, debt.rate, backlog, now=now, least=self._floor(debt.rate, self._clock.monotonic()))

    def end(self) -> None:
        """The server is back and knows all that this process does.

        Other daemons may notice it a moment later, and still admit by their share what they have not told yet: until
        they surely did, nobody goes above a share.
        """
        now = self._clock.monotonic()
        if self._on_outage == "local" and self._census.alone:
            self._census.distrust(now, self._census.mirror_since)
            self._census.note()
        elif self._on_outage == "local":
            self._returning_until = now + RETURNING

    @property
    def returning(self) -> bool:
        return bool(self._returning_until) and not self._returned()

    def _returned(self) -> bool:
        if self._clock.monotonic() >= self._returning_until:
            self._returning_until = 0.0
        return not self._returning_until

    def _pace(self) -> Pace:
        now, since = gcra.nanoseconds(self._clock.monotonic()), gcra.nanoseconds(self._since)
        return Pace(now, since, max(1, self._census.daemons) * self._workers)

    def least(self, windows: Sequence[Window]) -> Sequence[int]:
        """How far from full each bucket is at least, in microseconds, whatever the server believes."""
        if self._census.floor_since is None:
            return ()
        now = self._clock.monotonic()
        floors = [self._floor(window.rate, now) for window in windows]
        if not any(floors) or self._on_outage != "local" or not self._census.alone:
            return floors
        # Who asks for more than any bucket holds is told how each stands, and takes nothing.
        beyond = 1 + max(window.rate.burst for window in windows)
        levels = self._local.judge(windows, cost=beyond, empty_since=self._census.mirror_since)
        return [min(floor, ceil(level.resets_in * MICROSECOND)) for floor, level in zip(floors, levels, strict=True)]

    def _floor(self, rate: Rate, now: float) -> int:
        if self._census.floor_since is None:
            return 0
        return max(0, holds(rate) - int((now - self._census.floor_since) * MICROSECOND))
