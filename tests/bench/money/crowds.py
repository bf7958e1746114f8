"""What a million users cost against a thousand: those whose units are leased, and those seen for the first time."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import partial
from itertools import count
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter, process_time

from gatewayd.books.ledger import LeasedLedger
from gatewayd.clock import SystemClock
from gatewayd.model import Account
from gatewayd.stores.journal.writer import open_journal
from tests.bench import machine
from tests.bench.declare import AsyncRound, Bench, Figure, Measured, Ratio, on_a_loop, scaled
from tests.bench.money.books import books, posted
from tests.bench.money.requests import LIMIT, PERIOD, UNIT, callers, new_hold, new_id, new_record, user

LEASED_REQUESTS = 60_000
NEW_REQUESTS = 10_000
PARALLEL = 256
SHIP_EVERY = 1_000
MICRO = 1e6


@on_a_loop
@asynccontextmanager
async def leased(scale: float, *, users: int) -> AsyncIterator[AsyncRound]:
    """Everybody's units are here already; nobody takes them back, however long their users stay away."""
    requests, users = scaled(LEASED_REQUESTS, scale), scaled(users, scale)
    with TemporaryDirectory(prefix="bench-") as folder:
        journal = open_journal(Path(folder))
        ledger = LeasedLedger(journal, Path(folder) / "nobody", SystemClock())
        before = machine.resident_bytes()
        for number in range(users):
            lease = ledger._leases.use(Account(user(number), UNIT, PERIOD), LIMIT, 0.0)
            lease.idle, lease.sound = LIMIT, True
        bytes_each = (machine.resident_bytes() - before) / users

        async def measure() -> Measured:
            asked = list(callers(requests, users))
            begun = process_time()
            for number, (request_id, user_id) in enumerate(asked):
                hold = new_hold(request_id, user_id)
                await ledger.hold(hold)
                ledger.settle(new_record(hold))
                if not number % SHIP_EVERY:
                    journal.shipped(journal.position)
            return {"request": (process_time() - begun) / requests * MICRO, "memory": bytes_each}

        yield measure


@on_a_loop
@asynccontextmanager
async def new(scale: float) -> AsyncIterator[AsyncRound]:
    """Everybody comes once: a lease has to be asked for each, and what is left of it goes back."""
    requests = scaled(NEW_REQUESTS, scale, least=PARALLEL)
    names = map(user, count())
    with books() as office:
        async with office.worker() as ledger:

            async def measure() -> Measured:
                waits = [await _first(ledger, next(names)) for _ in range(requests // 20)]
                asked = iter([(new_id(), next(names)) for _ in range(requests)])
                before, wall, begun = office.tally(), perf_counter(), process_time()
                await asyncio.gather(*(_one_after_another(ledger, asked) for _ in range(PARALLEL)))
                ended, wall = process_time(), perf_counter() - wall
                await posted(ledger)
                spent = office.tally() - before
                return {
                    "worker": (ended - begun) / requests * MICRO,
                    "bookkeeper": spent.seconds / requests * MICRO,
                    "rate": requests / wall,
                    "wait": median(waits) * MICRO,
                    "leases": spent.leases / requests,
                }

            yield measure


async def _first(ledger: LeasedLedger, name: str) -> float:
    """Seconds until the hold of a user whom nobody has seen before is granted."""
    hold, begun = new_hold(new_id(), name), perf_counter()
    await ledger.hold(hold)
    took = perf_counter() - begun
    ledger.settle(new_record(hold))
    return took


async def _one_after_another(ledger: LeasedLedger, asked: Iterator[tuple[str, str]]) -> None:
    for request_id, user_id in asked:
        hold = new_hold(request_id, user_id)
        await ledger.hold(hold)
        ledger.settle(new_record(hold))


def _leased(name: str, users: int) -> Bench:
    return Bench(
        f"money.crowds.{name}",
        (
            Figure("request", "µs CPU", f"a leased request, of one of {users:,} users at random"),
            Figure("memory", "bytes", "for each lease, of what the worker has in RAM"),
        ),
        partial(leased, users=users),
    )


BENCHES = (
    _leased("leased_1k", 1_000),
    _leased("leased_200k", 200_000),
    _leased("leased_1m", 1_000_000),
    Bench(
        "money.crowds.new",
        (
            Figure("worker", "µs CPU", f"the worker's part of a new user's first request, {PARALLEL} at once"),
            Figure("bookkeeper", "µs CPU", "the bookkeeper's part, until all is posted to SQLite"),
            Figure("rate", "requests/s", "how many are served"),
            Figure("wait", "µs", "how long the first hold takes of one who comes alone"),
            Figure("leases", "a request", "rounds in which the bookkeeper leases, for each of them"),
        ),
        new,
    ),
)
RATIOS = tuple(
    Ratio(
        f"money.crowds.{name}_to_1k",
        f"a leased request of one of {users} users against one of 1,000",
        f"money.crowds.leased_{name}.request",
        "money.crowds.leased_1k.request",
    )
    for name, users in (("200k", "200,000"), ("1m", "1,000,000"))
)
