"""Every kind of counters there is, ready to use: the one behaviour suite runs over all of them."""

import weakref
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from gatewayd.clock import Clock
from gatewayd.stores.base import Counters
from gatewayd.stores.redis.counters import open_counters
from gatewayd.stores.shared.counters import SharedCounters
from gatewayd.stores.shared.memory import SharedMemory
from tests.clocks import ManualClock
from tests.patience import PATIENCE
from tests.stores.standins import PlainLocal
from tests.valkey import valkey


def small(clock: Clock) -> SharedCounters:
    """Counters for one test, whose memory goes with its clock."""
    shared = SharedMemory.create(capacity=64)
    counters = SharedCounters(shared, clock)
    weakref.finalize(clock, shared.close).atexit = False  # a forked child has no part in it
    return counters


Place = Callable[[ManualClock], AbstractAsyncContextManager[Counters]]


@asynccontextmanager
async def memory(clock: ManualClock) -> AsyncIterator[Counters]:
    shared = SharedMemory.create(capacity=1_000)
    counters = SharedCounters(shared, clock)
    yield counters
    await counters.close()
    shared.close()


@asynccontextmanager
async def redis(clock: ManualClock) -> AsyncIterator[Counters]:
    def now() -> int:
        return round(clock.monotonic() * 1_000_000)

    with valkey() as server:
        counters = open_counters(
            server.url, on_outage="deny", local=PlainLocal(clock), clock=clock, patience=PATIENCE, now=now
        )
        yield counters
        await counters.close()


# A name for each; the counters tell the time by the clock they are given, and each entry begins with empty ones.
PLACES: dict[str, Place] = {"memory": memory, "redis": redis}
