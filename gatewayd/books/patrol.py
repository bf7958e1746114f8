"""Whether the ledger agrees with itself, looked at all the time and a little at a time: balances against records.

Accounts that were charged lately have their turn, those that were found to differ, and all there are, one after the
other. What was found stays said until the account is whole again.
"""

import logging
from collections import deque
from collections.abc import Iterable
from typing import Final, Protocol

from gatewayd.clock import Clock
from gatewayd.errors import StoreUnavailable
from gatewayd.model import Account
from gatewayd.stores.base import Examination

logger = logging.getLogger(__name__)

PATROL_SECONDS: Final = 1.0
"""Between two looks, each of which is a few milliseconds of the database's time at most."""
MOST_ACCOUNTS: Final = 20
MOST_RECORDS: Final = 10_000
"""Records read at one look; an account that has more takes several."""
MOST_TOUCHED: Final = 1_000
MOST_FAULTS: Final = 1_000


class Books(Protocol):
    """What is looked into."""

    async def examine(self, account: Account, so_far: Examination | None, most: int) -> Examination: ...
    async def accounts(self, after: Account | None, most: int) -> Iterable[Account]: ...


def difference(found: Examination) -> int:
    """Units by which an account differs from its records and leases, once it was examined to the end."""
    return found.misheld + abs(found.spent - found.summed)


class Patrol:
    """Mutable: it remembers where it is, and what it found."""

    def __init__(self, books: Books, clock: Clock) -> None:
        self._books = books
        self._clock = clock
        self._looked_at = clock.monotonic()
        self._touched: dict[Account, None] = {}  # in the order in which they were charged
        self._turns: deque[Account] = deque()
        self._last: Account | None = None  # of all there are, the last that had a turn
        self._current: Examination | None = None
        self._faults: dict[Account, int] = {}

    @property
    def drift(self) -> int:
        """Units by which the ledger is known to differ from itself."""
        return sum(self._faults.values())

    def charged(self, accounts: Iterable[Account]) -> None:
        """These have new records. Beyond MOST_TOUCHED they wait for their turn among all."""
        for account in accounts:
            if len(self._touched) < MOST_TOUCHED:
                self._touched.setdefault(account)

    async def look(self) -> None:
        """Go on, if it is time. A ledger that is away is for others to notice."""
        if self._clock.monotonic() - self._looked_at < PATROL_SECONDS:
            return
        self._looked_at = self._clock.monotonic()
        try:
            await self._look()
        except StoreUnavailable:
            self._current = None

    async def _look(self) -> None:
        if not self._turns:
            self._turns += await self._next()
        left = MOST_RECORDS
        while left > 0 and (self._current is not None or self._turns):
            before = self._current
            account = before.account if before is not None else self._turns.popleft()
            found = await self._books.examine(account, before, left)
            left -= found.read - (before.read if before is not None else 0)
            self._current = None if found.done else found
            if found.done:
                self._judge(found)

    async def _next(self) -> list[Account]:
        touched, self._touched = list(self._touched)[: MOST_ACCOUNTS // 2], {}
        differing = list(self._faults)[: MOST_ACCOUNTS // 4]
        for account in differing:  # those behind them are first the next time
            self._faults[account] = self._faults.pop(account)
        room = MOST_ACCOUNTS - len(touched) - len(differing)
        others = list(await self._books.accounts(self._last, room))
        self._last = others[-1] if len(others) == room else None  # a round begins anew
        return list(dict.fromkeys([*touched, *differing, *others]))

    def _judge(self, found: Examination) -> None:
        account, drift = found.account, difference(found)
        if not drift:
            if self._faults.pop(account, 0):
                logger.warning("the books of %a are whole again", tuple(account))
            return
        if account not in self._faults:
            if len(self._faults) >= MOST_FAULTS:
                return
            logger.error(
                "balance and records of %a differ by %d units: run gatewayd ledger verify", tuple(account), drift
            )
        self._faults[account] = drift
