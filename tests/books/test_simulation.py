"""A day at the office, seeded: callers, cut lines, bookkeepers who die, a ledger that is away; the money is exact."""

import asyncio
import itertools
import random
from collections import Counter
from contextlib import suppress
from pathlib import Path

import pytest

from gatewayd.books import vault
from gatewayd.books.ledger import LeasedLedger
from gatewayd.clock import Clock
from gatewayd.errors import StoreUnavailable
from gatewayd.model import Durability
from gatewayd.stores.base import LedgerStore
from gatewayd.stores.open import open_reader, open_store
from tests.books.faulty import FaultyStore, Weather
from tests.books.offices import Office, office
from tests.stores.ledgers import hold, record

USERS = ("ann", "bob")
LIMIT = 40


class Day:
    """What callers did and saw, beside the ledger's own account of it."""

    def __init__(self, books: Office, workers: list[LeasedLedger], seed: int, overstating: float) -> None:
        self.books = books
        self.workers = workers
        self.chance = random.Random(seed)
        self.overstating = overstating
        self.spent: Counter[str] = Counter()
        self.waiting: Counter[str] = Counter()
        self.overstatements: Counter[str] = Counter()
        self.refused = 0
        self.unavailable = 0
        self.calm = True
        self._names = (f"r{number}" for number in itertools.count())

    def used(self, user: str) -> int:
        """Spent, and in the hands of requests."""
        leases = [lease for worker in self.workers for lease in worker._leases.all() if lease.account.user_id == user]
        return self.spent[user] + sum(lease.in_use for lease in leases)

    async def caller(self, calls: int) -> None:
        for _ in range(calls):
            user, worker = self.chance.choice(USERS), self.chance.choice(self.workers)
            call = asyncio.create_task(self.call(worker, user, self.chance.choice((0, 1, 1, 1, 2, 5))))
            if self.chance.random() < 0.2:
                for _ in range(self.chance.randrange(8)):
                    await asyncio.sleep(0)
                call.cancel()
            with suppress(asyncio.CancelledError):
                await call

    async def call(self, worker: LeasedLedger, user: str, units: int) -> None:
        wanted = hold(next(self._names), user=user, units=units, limit=LIMIT)
        self.waiting[user] += units
        try:
            holding = await worker.hold(wanted)
        except StoreUnavailable:
            self.unavailable += 1
            return
        finally:
            self.waiting[user] -= units
        used = self.used(user)
        if not holding.granted:
            self.refused += 1
            assert (used if units else self.spent[user]) + self.waiting[user] + units > LIMIT, "refused in error"
            return
        if not self.overstatements[user]:
            assert (used if units else self.spent[user]) <= LIMIT, "overspent"
        try:
            for _ in range(self.chance.randrange(4)):
                await asyncio.sleep(0)
        finally:
            settling = self.end(worker, user, wanted.id, units)
        if settling is not None:
            await asyncio.shield(settling)  # who leaves ends nothing of it

    def end(self, worker: LeasedLedger, user: str, name: str, units: int) -> "asyncio.Future[None] | None":
        if self.chance.random() < 0.3:
            worker.release(name)
            return None
        quantity = self.chance.randrange(units + 1)
        if self.chance.random() < self.overstating:
            quantity = units + 3
            self.overstatements[user] += 1
        self.spent[user] += quantity
        settling = worker.settle(record(hold(name, user=user, units=units, limit=LIMIT), quantity))
        if settling is None:
            return None
        return asyncio.ensure_future(settling)

    async def trouble(self, weather: Weather, until: "asyncio.Future[list[None]]") -> None:
        self.calm = False
        while not until.done():
            await asyncio.sleep(self.chance.random() * 0.02)
            match self.chance.randrange(8):
                case 0 | 1 | 2:
                    if (messenger := self.chance.choice(self.workers)._link._messenger) is not None:
                        messenger.hang_up()
                case 3:
                    await self.books.kill()
                    await self.books.open()
                case 4:
                    assert self.books.bookkeeper is not None
                    await self.books.bookkeeper.close()
                    await self.books.open()
                case 5:
                    weather.likely = 0.0 if weather.likely else 0.2
        weather.likely = 0.0


@pytest.mark.parametrize("troubled", [False, True], ids=["calm", "troubled"])
@pytest.mark.parametrize("overstating", [0.0, 0.05], ids=["as held", "overstated"])
@pytest.mark.parametrize("seed", range(4))
async def test_money_is_exact_whatever_happens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int, overstating: float, troubled: bool
) -> None:
    weather = Weather(seed)

    async def opened(url: str, durability: Durability, clock: Clock) -> LedgerStore:
        return FaultyStore(await open_store(url, durability, clock), weather)

    monkeypatch.setattr(vault, "open_store", opened)
    async with office(tmp_path) as books:
        workers = [await books.worker() for _ in range(3)]
        day = Day(books, workers, seed, overstating)
        callers = asyncio.gather(*(day.caller(40) for _ in range(4)))
        if troubled:
            await day.trouble(weather, callers)
        await callers
        for worker in workers:
            await worker.close()
    found = books.audit()
    assert {user: found.get((user, "api_calls", "2025-11"), 0) for user in USERS} == {
        user: day.spent[user] for user in USERS
    }
    with open_reader(books.settings.ledger.url.reveal()) as reader:
        assert not any(held or leased for held, leased in reader.leased().values())
