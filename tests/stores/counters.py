"""Every kind of counters there is, ready to use: the one behaviour suite runs over all of them."""

import weakref
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from gatewayd.clock import Clock
from gatewayd.model import Bundle, Tally, Window
from gatewayd.stores.base import Counters
from gatewayd.stores.gcra import SECOND
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


class InPassing:
    """Counters as the policy asks them: in passing where that does, the long way where not."""

    def __init__(self, counters: SharedCounters, clock: Clock) -> None:
        self._counters = counters
        self._clock = clock
        self._bundles: dict[tuple[Window, ...], Bundle] = {}
        self.passed = 0

    async def take(self, windows: Sequence[Window]) -> Sequence[Tally]:
        """As `at_once`."""
        return self.at_once(windows)

    def at_once(self, windows: Sequence[Window]) -> Sequence[Tally]:
        """Equal windows are the same ones each time."""
        bundle = self._bundles.setdefault(tuple(windows), Bundle(windows))
        now = self._clock.monotonic()
        if self._counters.take_in_passing(bundle, now):
            self.passed += 1
            return [Tally(True, window.remaining, window.refilled_in / SECOND, 0.0) for window in bundle.each]
        tallies = self._counters.take_at_once(bundle.each, now)
        assert tallies is not None
        return tallies

    def take_in_passing(self, bundle: Bundle, now: float) -> bool:
        return self._counters.take_in_passing(bundle, now)

    def take_at_once(self, windows: Sequence[Window], now: float) -> Sequence[Tally] | None:
        return self._counters.take_at_once(windows, now)

    async def close(self) -> None:
        await self._counters.close()


@asynccontextmanager
async def shared(clock: ManualClock) -> AsyncIterator[Counters]:
    """As a worker beside others counts."""
    async with memory(clock) as counters:
        assert isinstance(counters, SharedCounters)
        yield InPassing(counters, clock)


@asynccontextmanager
async def kept(clock: ManualClock) -> AsyncIterator[Counters]:
    """As a worker counts that is alone."""
    kept = SharedMemory.create(capacity=1_000)
    assert kept.keep()
    counters = InPassing(SharedCounters(kept, clock), clock)
    yield counters
    await counters.close()
    kept.close()


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
PLACES: dict[str, Place] = {"memory": memory, "memory shared": shared, "memory kept": kept, "redis": redis}
