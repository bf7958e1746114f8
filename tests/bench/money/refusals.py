"""What a 402 costs: nobody is refused before everybody was asked for idle units, so it is dearer than a request."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from statistics import median
from time import perf_counter, process_time

from gatewayd.books.ledger import LeasedLedger
from tests.bench.declare import AsyncRound, Bench, Figure, Measured, on_a_loop, scaled
from tests.bench.money.books import books
from tests.bench.money.requests import new_hold, new_id, new_record, user

REFUSALS = 2_000
PARALLEL = 64
MICRO = 1e6


@on_a_loop
@asynccontextmanager
async def refuse(scale: float, *, parallel: int, users: int) -> AsyncIterator[AsyncRound]:
    """Users with a quota of one unit, which they have used, go on asking, in a daemon of two workers."""
    each = scaled(REFUSALS // parallel, scale, least=2)
    names = [user(number % users) for number in range(parallel)]
    with books() as office:
        async with office.worker() as ledger, office.worker():
            for name in {*names}:
                hold = new_hold(new_id(), name, limit=1)
                assert (await ledger.hold(hold)).granted
                ledger.settle(new_record(hold))

            async def measure() -> Measured:
                await _ask(ledger, names[0], 2)
                before, begun = office.tally(), process_time()
                found = await asyncio.gather(*(_ask(ledger, name, each) for name in names))
                ended, spent = process_time(), office.tally() - before
                took = [seconds for one in found for seconds in one]
                return {
                    "worker": (ended - begun) / len(took) * MICRO,
                    "bookkeeper": spent.seconds / len(took) * MICRO,
                    "p50": median(took) * MICRO,
                    "messages": spent.messages / len(took),
                    "transactions": (spent.leases + spent.posts) / len(took),
                }

            yield measure


async def _ask(ledger: LeasedLedger, name: str, refusals: int) -> Sequence[float]:
    """Seconds that each took."""
    took = []
    for _ in range(refusals):
        begun = perf_counter()
        assert not (await ledger.hold(new_hold(new_id(), name, limit=1))).granted
        took.append(perf_counter() - begun)
    return took


def _bench(name: str, what: str, parallel: int, users: int) -> Bench:
    return Bench(
        f"money.refusals.{name}",
        (
            Figure("worker", "µs CPU", f"the worker's part of a refusal; {what}"),
            Figure("bookkeeper", "µs CPU", "the bookkeeper's part, SQLite included"),
            Figure("p50", "µs", "how long a refusal takes"),
            Figure("messages", "a refusal", "messages from workers to the bookkeeper"),
            Figure("transactions", "a refusal", "transactions in the ledger"),
        ),
        partial(refuse, parallel=parallel, users=users),
    )


BENCHES = (
    _bench("alone", "one caller who asks again and again", 1, 1),
    _bench("together", f"{PARALLEL} callers of one user at once", PARALLEL, 1),
    _bench("many", f"{PARALLEL} users at once", PARALLEL, PARALLEL),
)
