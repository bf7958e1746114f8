"""What `durability = "disk"` adds to a request: the wait for a flush, shared by all who wait at that moment.

The unit is not limited, so that nobody waits for a lease, and the ledger's own commits go to the same disk.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from statistics import quantiles
from time import perf_counter

from gatewayd.books.ledger import LeasedLedger
from tests.bench.declare import AsyncRound, Bench, Figure, Measured, on_a_loop, scaled
from tests.bench.money.books import books, posted
from tests.bench.money.requests import callers, new_hold, new_record

PARALLEL = (1, 16, 64)
REQUESTS = 300
"""Of each of those who ask in parallel."""
MILLI = 1e3


async def one_after_another(ledger: LeasedLedger, requests: Sequence[tuple[str, str]]) -> list[float]:
    """Seconds that each took, from the hold to the moment when its answer may go out."""
    took = []
    for request_id, user_id in requests:
        begun = perf_counter()
        hold = new_hold(request_id, user_id, limit=0)
        await ledger.hold(hold)
        if (safe := ledger.settle(new_record(hold))) is not None:
            await safe
        took.append(perf_counter() - begun)
        await asyncio.sleep(0)
    return took


async def in_parallel(ledger: LeasedLedger, callers_at_once: int, requests: int) -> list[float]:
    queues = [list(callers(requests, 1)) for _ in range(callers_at_once)]
    took = await asyncio.gather(*(one_after_another(ledger, queue) for queue in queues))
    return [seconds for each in took for seconds in each]


@on_a_loop
@asynccontextmanager
async def disk(scale: float) -> AsyncIterator[AsyncRound]:
    requests = scaled(REQUESTS, scale, least=2)
    with books() as memory, books("disk") as durable:
        async with memory.worker() as quick, durable.worker() as safe:

            async def measure() -> Measured:
                found = {}
                for parallel in PARALLEL:
                    for ledger in (quick, safe):
                        await in_parallel(ledger, parallel, 2)  # a disk that is awake
                    without = await in_parallel(quick, parallel, requests)
                    with_disk = await in_parallel(safe, parallel, requests)
                    found[f"added_{parallel}"] = (_mean(with_disk) - _mean(without)) * MILLI
                    found[f"p99_{parallel}"] = quantiles(with_disk, n=100)[98] * MILLI
                await posted(quick)
                await posted(safe)
                return found

            yield measure


def _mean(seconds: Sequence[float]) -> float:
    return sum(seconds) / len(seconds)


BENCHES = (
    Bench(
        "money.disk",
        tuple(
            figure
            for parallel in PARALLEL
            for figure in (
                Figure(f"added_{parallel}", "ms", f"what a request waits longer, {parallel} at once"),
                Figure(f"p99_{parallel}", "ms", f"what all but one in a hundred wait at most, {parallel} at once"),
            )
        ),
        disk,
    ),
)
