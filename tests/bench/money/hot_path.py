"""What a request pays for its money while its user's units are leased: no round trip, whatever it says elsewhere."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter, process_time

from gatewayd.books.leases import Leases
from gatewayd.books.ledger import LeasedLedger
from gatewayd.model import Ending, Hold, Outcome
from gatewayd.stores.journal.writer import Journal, open_journal
from tests.bench.declare import AsyncRound, Bench, Figure, Measured, Round, at_most, on_a_loop, scaled
from tests.bench.money.books import books, posted
from tests.bench.money.requests import LIMIT, STARTED_AT, callers, new_hold, new_record

REQUESTS = 60_000
USERS = 100
AT_ONCE = 64
"""Requests between two looks of the event loop at its sockets."""
MICRO = 1e6


async def serve(ledger: LeasedLedger, requests: Sequence[tuple[str, str]]) -> None:
    """Hold, record and settle each, one after the other."""
    for number, (request_id, user_id) in enumerate(requests):
        hold = new_hold(request_id, user_id)
        await ledger.hold(hold)
        ledger.settle(new_record(hold))
        if not number % AT_ONCE:
            await asyncio.sleep(0)


async def settle(ledger: LeasedLedger, holds: Sequence[Hold]) -> None:
    """As `serve`, of holds that are made already."""
    for number, hold in enumerate(holds):
        await ledger.hold(hold)
        ledger.settle(new_record(hold))
        if not number % AT_ONCE:
            await asyncio.sleep(0)


@on_a_loop
@asynccontextmanager
async def whole(scale: float) -> AsyncIterator[AsyncRound]:
    requests = scaled(REQUESTS, scale)
    with books() as office:
        async with office.worker() as ledger:

            async def measure() -> Measured:
                await serve(ledger, list(callers(requests // 2 + USERS, USERS)))  # leases were given back meanwhile
                served, held = list(callers(requests, USERS)), [new_hold(*each) for each in callers(requests, USERS)]
                wall, begun = perf_counter(), process_time()
                await serve(ledger, served)
                middle, wall = process_time(), perf_counter() - wall
                await settle(ledger, held)
                ended = process_time()
                await posted(ledger)
                return {
                    "whole": (middle - begun) / requests * MICRO,
                    "elapsed": wall / requests * MICRO,
                    "settled": (ended - middle) / requests * MICRO,
                }

            yield measure


@contextmanager
def parts(scale: float) -> Iterator[Round]:
    requests = scaled(REQUESTS, scale)
    with TemporaryDirectory(prefix="bench-") as folder:
        journal = open_journal(Path(folder))

        def measure() -> Measured:
            given = list(callers(requests, USERS))
            moments = [process_time()]
            holds = [new_hold(*each) for each in given]
            moments.append(process_time())
            _lease(holds)
            moments.append(process_time())
            _write(journal, holds)
            moments.append(process_time())
            for hold in holds:
                new_record(hold)
            moments.append(process_time())
            each = [(after - before) / requests * MICRO for before, after in pairwise(moments)]
            return dict(zip(("hold", "lease", "journal", "record"), each, strict=True))

        try:
            yield measure
        finally:
            journal.close()


def _lease(holds: Sequence[Hold]) -> None:
    leases = Leases()
    for hold in holds:
        lease = leases.use(hold.account, LIMIT, 0.0)
        if not lease.take(hold.units, LIMIT):
            lease.idle, lease.sound = LIMIT, True
            lease.take(hold.units, LIMIT)
        lease.draw(hold.units, 1)


def _write(journal: Journal, holds: Sequence[Hold]) -> None:
    """All of it counts as shipped now and then, so that segments come and go as they do in a daemon."""
    for number, hold in enumerate(holds):
        journal.intend(hold)
        journal.conclude(hold.id, Ending(1, 1, Outcome.DELIVERED, 200, STARTED_AT + 0.25, 160, 913))
        if not number % 1_000:
            journal.shipped(journal.position)


BENCHES = (
    Bench(
        "money.hot_path",
        (
            Figure("whole", "µs CPU", "hold and record made, hold, settle: all that a leased request pays", at_most(6)),
            Figure("settled", "µs CPU", "the same of holds that are made already: lease, journal, record", at_most(6)),
            Figure("elapsed", "µs", "by the wall clock, waiting for the next lease now and then included"),
        ),
        whole,
    ),
    Bench(
        "money.parts",
        (
            Figure("hold", "µs CPU", "a Hold is made"),
            Figure("lease", "µs CPU", "the account is named, its lease found, taken from and drawn from"),
            Figure("journal", "µs CPU", "intent and conclusion written, segments made and deleted"),
            Figure("record", "µs CPU", "a UsageRecord is made of the hold"),
        ),
        parts,
    ),
)
