"""A day at the office, seeded: callers, cut lines, bookkeepers who die, a ledger that is away; the money is exact."""

import asyncio
import itertools
import random
from collections import Counter
from collections.abc import Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from gatewayd.books.ledger import LeasedLedger
from gatewayd.errors import StoreUnavailable
from gatewayd.model import Hold
from gatewayd.stores.open import open_reader
from tests.books.faulty import Weather
from tests.books.offices import Office, office
from tests.postgres import shared_server
from tests.stores.ledgers import audit, hold, record
from tests.timeless import LoopClock, TimelessLoop

USERS = ("ann", "bob")
LIMIT = 15
SMALLER = 9
"""What some calls' plan has: one user's tokens may claim different ones."""


@dataclass(slots=True, eq=False)
class Call:
    """A request that waits. `others`: the most that all others had spent, held or asked for meanwhile."""

    user: str
    units: int
    others: int = 0


class Day:
    """What callers did and saw, beside the ledger's own account of it."""

    def __init__(self, daemons: Sequence[Office], workers: list[LeasedLedger], seed: int, overstating: float) -> None:
        self.daemons = daemons
        self.workers = workers
        self.chance = random.Random(seed)
        self.overstating = overstating
        self.spent: Counter[str] = Counter()
        self.waiting: list[Call] = []
        self.overstatements: Counter[str] = Counter()
        self.smaller: Counter[str] = Counter()  # spent or held by calls of the smaller plan
        self.closed: Counter[str] = Counter()  # spent, and whoever asks from then on has to be told so
        self.refused = 0
        self.unavailable = 0
        self.calm = True
        self._names = (f"{number:032x}" for number in itertools.count())

    def used(self, user: str) -> int:
        """Spent, and in the hands of requests."""
        leases = [lease for worker in self.workers for lease in worker._leases.all() if lease.account.user_id == user]
        return self.spent[user] + sum(lease.in_use for lease in leases)

    def look(self, user: str) -> None:
        """Whenever something was spent, held or asked for: who is refused later may have met it."""
        at_stake = self.used(user) + sum(call.units for call in self.waiting if call.user == user)
        for call in self.waiting:
            if call.user == user:
                call.others = max(call.others, at_stake - call.units)

    async def caller(self, calls: int) -> None:
        for _ in range(calls):
            user, worker = self.chance.choice(USERS), self.chance.choice(self.workers)
            units, limit = self.chance.choice((0, 1, 1, 1, 2, 5)), self.chance.choice((LIMIT, LIMIT, LIMIT, SMALLER))
            call = asyncio.create_task(self.call(worker, user, units, limit))
            if self.chance.random() < 0.2:
                for _ in range(self.chance.randrange(8)):
                    await asyncio.sleep(0)
                call.cancel()
            with suppress(asyncio.CancelledError):
                await call

    async def call(self, worker: LeasedLedger, user: str, units: int, limit: int) -> None:
        wanted = hold(next(self._names), user=user, units=units, limit=limit)
        # What was leased under the smaller limit is good for it, whatever calls of the larger plan do meanwhile.
        hopeless = self.calm and self.closed[user] + units > limit == LIMIT
        call = Call(user, units)
        self.waiting.append(call)
        self.look(user)
        try:
            holding = await worker.hold(wanted)
        except StoreUnavailable:
            self.unavailable += 1
            return
        finally:
            self.look(user)
            self.waiting.remove(call)
        used = self.used(user)
        if not holding.granted:
            self.refused += 1
            assert (call.others if units else self.spent[user]) + units > limit, "refused in error"
            return
        assert not hopeless, "overspent, and it was known to be"
        if not self.overstatements[user]:
            assert (used if units else self.spent[user]) <= LIMIT, "overspent"
        self.count(wanted, units)
        try:
            for _ in range(self.chance.randrange(4)):
                await asyncio.sleep(0)
        finally:
            settling = self.end(worker, wanted)
        if settling is not None:
            await asyncio.shield(settling)  # who leaves ends nothing of it

    def count(self, held: Hold, units: int) -> None:
        """What was leased under the smaller limit outlasts what larger calls do, but was within that limit."""
        if held.limit == SMALLER:
            self.smaller[held.user_id] += units
            if not self.overstatements[held.user_id]:
                assert self.smaller[held.user_id] <= SMALLER, "the smaller plan's calls have more than it"

    def end(self, worker: LeasedLedger, held: Hold) -> "asyncio.Future[None] | None":
        user, units = held.user_id, held.units
        if self.chance.random() < 0.3:
            self.count(held, -units)
            worker.release(held.id)
            return None
        quantity = self.chance.randrange(units + 1)
        if self.chance.random() < self.overstating:
            quantity = units + 3
            self.overstatements[user] += 1
        self.spent[user] += quantity
        self.count(held, quantity - units)
        self.look(user)
        settling = worker.settle(record(held, quantity))
        if settling is None:
            self.closed[user] += quantity
            return None
        settled = asyncio.ensure_future(settling)
        settled.add_done_callback(lambda _: self.closed.update({user: quantity}))
        return settled

    async def onlooker(self, books: Office, until: "asyncio.Future[list[None]]") -> None:
        """Who reads the table at any moment sees balances and leases that agree, and nothing that is held twice."""
        while not until.done():
            await asyncio.sleep(self.chance.random() * 0.01)
            with open_reader(books.settings.ledger.url.reveal()) as reader:
                spent = Counter(dict(audit(reader)))
                held = {account: each for account, (each, _) in reader.leased().items()}
            for account, units in held.items():
                if not self.overstatements[account.user_id]:
                    assert units + spent[account] <= LIMIT, "more is spent and held than there is"

    async def trouble(self, weather: Weather, until: "asyncio.Future[list[None]]") -> None:
        self.calm = False
        while not until.done():
            await asyncio.sleep(self.chance.random() * 0.02)
            match self.chance.randrange(8):
                case 0 | 1 | 2:
                    if (messenger := self.chance.choice(self.workers)._link._messenger) is not None:
                        messenger.hang_up()
                case 3:
                    await (books := self.chance.choice(self.daemons)).kill()
                    await books.open()
                case 4:
                    books = self.chance.choice(self.daemons)
                    assert books.bookkeeper is not None
                    await books.bookkeeper.close()
                    await books.open()
                case 5:
                    weather.likely = 0.0 if weather.likely else 0.2
                case 6:
                    weather.away = not weather.away
        weather.likely, weather.away = 0.0, False


async def live(daemons: Sequence[Office], weather: Weather, seed: int, *, overstating: float, troubled: bool) -> Day:
    """A whole day with three workers, to its orderly end."""
    workers = [await daemons[number % len(daemons)].worker() for number in range(3)]
    day = Day(daemons, workers, seed, overstating)
    callers = asyncio.gather(*(day.caller(40) for _ in range(4)))
    looking = asyncio.gather(*(day.onlooker(books, callers) for books in daemons if not shared(books)))
    if troubled:
        await day.trouble(weather, callers)
    await callers
    await looking
    for worker in workers:
        await worker.close()
    assert troubled or day.refused, "a day that proves nothing"
    assert troubled or not day.unavailable, "nothing was away"
    return day


def shared(books: Office) -> bool:
    return not books.settings.ledger.url.reveal().startswith("sqlite:")


def check(books: Office, day: Day) -> None:
    """What the ledger says, after everybody has gone home."""
    found = books.audit()
    charged = {user: found.get((user, "api_calls", "2025-11"), 0) for user in USERS}
    assert charged == {user: day.spent[user] for user in USERS}
    with open_reader(books.settings.ledger.url.reveal()) as reader:
        assert not any(held or leased for held, leased in reader.leased().values())
        assert not any(balance.held for balance in reader.balances())


async def alone(state: Path, weather: Weather, seed: int, *, overstating: float, troubled: bool) -> Day:
    """A day of one daemon, which is decided by its seeds wherever nothing but its loop's time passes."""
    async with office(state, LoopClock(asyncio.get_running_loop())) as books:
        day = await live([books], weather, seed, overstating=overstating, troubled=troubled)
    check(books, day)
    return day


@pytest.mark.parametrize("troubled", [False, True], ids=["calm", "troubled"])
@pytest.mark.parametrize("overstating", [0.0, 0.05], ids=["as held", "overstated"])
@pytest.mark.parametrize("seed", range(12))
def test_money_is_exact_whatever_happens(
    tmp_path: Path,
    weather: Weather,
    unthreaded: random.Random,
    monkeypatch: pytest.MonkeyPatch,
    seed: int,
    overstating: float,
    troubled: bool,
) -> None:
    # Leases are in the table at once, after the time of some calls, or never before they are back.
    monkeypatch.setattr("gatewayd.books.till.ROW_SECONDS", (2.5, 0.0, 0.005)[seed % 3])
    unthreaded.seed(seed)
    with asyncio.Runner(loop_factory=TimelessLoop) as runner:
        runner.run(alone(tmp_path, weather, seed, overstating=overstating, troubled=troubled))


def test_a_day_goes_the_same_way_each_time(tmp_path: Path, weather: Weather, unthreaded: random.Random) -> None:
    ends = []
    for name in ("once", "again"):
        unthreaded.seed(7)
        weather.seed(7)
        (state := tmp_path / name).mkdir()
        with asyncio.Runner(loop_factory=TimelessLoop) as runner:
            day = runner.run(alone(state, weather, 7, overstating=0.05, troubled=True))
            ends.append((runner.get_loop().time(), unthreaded.random(), day.spent, day.refused, day.unavailable))
    assert ends[0] == ends[1]


@pytest.mark.parametrize("troubled", [False, True], ids=["calm", "troubled"])
@pytest.mark.parametrize("overstating", [0.0, 0.05], ids=["as held", "overstated"])
@pytest.mark.parametrize("daemons", [2, 3])
async def test_money_is_exact_with_several_daemons_on_one_ledger(
    tmp_path: Path, weather: Weather, daemons: int, overstating: float, troubled: bool
) -> None:
    url = f"postgresql:{shared_server().space()}"
    async with AsyncExitStack() as stack:
        books = []
        for number in range(daemons):
            (state := tmp_path / str(number)).mkdir()
            books.append(await stack.enter_async_context(office(state, url=url)))
        day = await live(books, weather, daemons, overstating=overstating, troubled=troubled)
    check(books[0], day)
