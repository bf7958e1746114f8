"""Who used what, as the ledger has it: asked by one thread, so that no loop waits for a database."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Final, TypeVar

from gatewayd.admin.forecast import Forecast, forecast
from gatewayd.admin.totals import Totals
from gatewayd.clock import Clock
from gatewayd.errors import StoreError
from gatewayd.model import Balance, BillingPeriod
from gatewayd.stores.reading import Standing, UsageReader, Used

T = TypeVar("T")

PATIENCE: Final = 5.0
"""Seconds that somebody waits for the ledger's answer, and"""
LONG_PATIENCE: Final = 60.0
"""for a whole table."""
A_PAGE: Final = 50
_MOST_WAITING: Final = 16
_NEAREST: Final = 10
_EVERYBODY: Final = 10_000_000
_SPACING: Final = 2.0  # seconds between two looks for users near their limits, and
_CALM: Final = 20.0  # so many times what the last look took

Open = Callable[[], AbstractContextManager[UsageReader]]


@dataclass(frozen=True, slots=True)
class UserRow:
    """One user's use of a unit in a month; `limit` is the present plan's in the present month."""

    balance: Balance
    plan: str
    forecast: Forecast | None

    @property
    def share(self) -> float | None:
        """Spent and held, of the limit; None where nothing is limited."""
        balance = self.balance
        return (balance.spent + balance.held) / balance.limit if balance.limit else None


@dataclass(frozen=True, slots=True)
class Nearest:
    """Users near their limits, as they stood at `at` (UTC seconds; 0: not looked at yet), or why nobody can say."""

    at: float = 0.0
    rows: Sequence[UserRow] = ()
    fault: str = ""


class UsageDesk:
    """Mutable: it remembers what was added up, and who is near a limit. `close` ends its thread."""

    def __init__(self, open_usage: Open, clock: Clock) -> None:
        self._open = open_usage
        self.quotas: Mapping[str, Mapping[str, int]] = {}  # of the present plans, by their names
        self._clock = clock
        self._thread = ThreadPoolExecutor(1, "usage")
        self._waiting = 0
        self._totals = Totals()
        self._nearest = Nearest()
        self._due = 0.0
        self._looking: asyncio.Task[None] | None = None

    async def close(self) -> None:
        """Whoever still waits is told that there is nothing."""
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.wait({self._looking})
        self._thread.shutdown(wait=False, cancel_futures=True)

    def period(self) -> str:
        """The present month."""
        return BillingPeriod.at(self._clock.utc()).name

    async def nearest(self, patience: float) -> Nearest:
        """Users near their limits as last seen; looked at again if it is time, and waited for so many seconds."""
        if self._looking is None and self._clock.monotonic() >= self._due:
            self._looking = asyncio.create_task(self._look(), name="users near their limits")
            self._looking.add_done_callback(self._looked)
        if self._looking is not None and patience:
            await asyncio.wait({self._looking}, timeout=patience)
        return self._nearest

    async def _look(self) -> None:
        began = self._clock.monotonic()
        try:
            rows = await self._ask(lambda reader: reader.standings(self.period(), most=_NEAREST))
            limited = [row for row in map(self._row, rows) if row.share]
            limited.sort(key=lambda row: row.share or 0.0, reverse=True)  # with what is held now
            self._nearest = Nearest(self._clock.utc(), limited)
        except StoreError as error:
            self._nearest = Nearest(self._nearest.at, self._nearest.rows, str(error))
        now = self._clock.monotonic()
        self._due = now + max(_SPACING, _CALM * (now - began))

    def _looked(self, _task: "asyncio.Task[None]") -> None:
        self._looking = None

    async def users(self, period: str, user: str, page: int) -> tuple[int, Sequence[UserRow]]:
        """How many there are in all, and one page of them (from 0), those nearest to their limits first."""

        def ask(reader: UsageReader) -> tuple[int, Sequence[Standing]]:
            rows = reader.standings(period, user=user, most=A_PAGE, skip=page * A_PAGE)
            return reader.count(period, user=user), rows

        count, rows = await self._ask(ask)
        return count, [self._row(row) for row in rows]

    async def units_of(self, user: str, period: str) -> Sequence[UserRow]:
        """One user's use of each unit."""
        rows = await self._ask(lambda reader: reader.standings_of(user, period))
        return [self._row(row) for row in rows]

    async def every_user(self, period: str, user: str) -> Sequence[UserRow]:
        """All users of a month whose name begins so, of one moment."""

        def ask(reader: UsageReader) -> Sequence[UserRow]:
            return [self._row(row) for row in reader.standings(period, user=user, most=_EVERYBODY)]

        return await self._ask(ask, LONG_PATIENCE)

    async def days_of(self, user: str, period: str) -> Sequence[Used]:
        """One user's use, by day, agent and unit."""
        return await self._ask(lambda reader: reader.used_by(user, period))

    async def all_totals(self) -> Totals:
        """The same with all records in it. Raises StoreError if that takes too long."""
        until = self._clock.monotonic() + LONG_PATIENCE
        while not (totals := await self.totals(PATIENCE / 2)).complete:
            if self._clock.monotonic() > until:
                raise StoreError("the records are still being read; ask again in a moment")
        return totals

    async def totals(self, patience: float) -> Totals:
        """Everybody's use, read on for so many seconds at most: a large ledger takes several calls at first."""
        until = self._clock.monotonic() + patience

        def read_on(reader: UsageReader) -> None:
            self._totals.step(reader)
            while not self._totals.complete and self._clock.monotonic() < until:
                self._totals.step(reader)

        await self._ask(read_on)
        return self._totals

    def _row(self, standing: Standing) -> UserRow:
        balance, plan = standing
        if balance.period == self.period() and (quota := self.quotas.get(plan)) is not None:
            balance = balance.under(quota)
        return UserRow(balance, plan, forecast(balance, self._clock.utc()))

    async def _ask(self, question: Callable[[UsageReader], T], patience: float | None = None) -> T:
        """Raises StoreError, also if the ledger takes too long or too many are waiting already."""

        def work() -> T:
            with self._open() as reader:
                return question(reader)

        patience = PATIENCE if patience is None else patience
        if self._waiting >= _MOST_WAITING:
            raise StoreError("too many questions wait for the ledger; ask again in a moment")
        self._waiting += 1
        future = asyncio.get_running_loop().run_in_executor(self._thread, work)
        future.add_done_callback(self._answered)
        try:
            return await asyncio.wait_for(asyncio.shield(future), patience)
        except TimeoutError:
            raise StoreError(f"the ledger did not answer within {patience:g} s") from None

    def _answered(self, future: "asyncio.Future[T]") -> None:
        self._waiting -= 1
        if not future.cancelled():
            future.exception()  # whoever asked may have gone
