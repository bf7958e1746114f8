"""Records on their way into the ledger: what the store takes, and what the whole way from the journal's file takes."""

import gc
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractContextManager, asynccontextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter, process_time
from typing import NamedTuple

from gatewayd.books.bookkeeper import Bookkeeper
from gatewayd.books.vault import JOURNALS, node_of
from gatewayd.clock import SystemClock
from gatewayd.model import Account, Ending, Hold, Outcome, posting_of
from gatewayd.process.bookkeeping import collect_seldom
from gatewayd.stores.base import Batch, LedgerStore, Want
from gatewayd.stores.journal.writer import open_journal
from gatewayd.stores.open import open_store
from tests.bench.declare import AsyncRound, Bench, Figure, Measured, Target, at_least, on_a_loop, scaled
from tests.bench.money.books import settings_in
from tests.bench.money.places import postgres, sqlite
from tests.bench.money.requests import LIMIT, STARTED_AT, callers, new_hold, new_record

RECORDS = 20_000
USERS = 100
MANY = 1_000_000
AT_ONCE = 1_000
"""Records in a batch, as the bookkeeper makes them."""

MICRO = 1e6

Place = Callable[[], AbstractContextManager[str]]


@on_a_loop
@asynccontextmanager
async def ship(scale: float, *, place: Place) -> AsyncIterator[AsyncRound]:
    records = scaled(RECORDS, scale)
    with place() as url, TemporaryDirectory(prefix="bench-") as folder:
        state = Path(folder)

        async def measure() -> Measured:
            store = await _post(url, _holds(records, USERS))
            distinct = await _post(url, _holds(records, MANY))
            journal = await _post_journal(url, state, _holds(records, USERS))
            return {
                "store": records / store.elapsed,
                "store_cpu": store.cpu / records * MICRO,
                "store_all_distinct": records / distinct.elapsed,
                "journal": records / journal.elapsed,
                "journal_cpu": journal.cpu / records * MICRO,
            }

        yield measure


class Seconds(NamedTuple):
    """By the wall clock, and of CPU in this process."""

    elapsed: float
    cpu: float

    @classmethod
    def read(cls) -> "Seconds":
        return cls(perf_counter(), process_time())

    def passed(self) -> "Seconds":
        """Since it was read."""
        return Seconds(perf_counter() - self.elapsed, process_time() - self.cpu)


def _holds(count: int, users: int) -> list[Hold]:
    return [new_hold(*each) for each in callers(count, users)]


async def _post(url: str, holds: Sequence[Hold]) -> Seconds:
    """What `LedgerStore.post` alone takes."""
    postings = [posting_of(new_record(hold), 1) for hold in holds]
    store = await open_store(url, "process", SystemClock())
    try:
        await _lease(store, "bench", holds)
        begun = Seconds.read()
        for start in range(0, len(postings), AT_ONCE):
            await store.post("bench", Batch(postings[start : start + AT_ONCE]))
        return begun.passed()
    finally:
        await store.close()


async def _post_journal(url: str, state: Path, holds: Sequence[Hold]) -> Seconds:
    """What a bookkeeper takes from its start until it has posted the journal of a worker that is dead."""
    store = await open_store(url, "process", SystemClock())
    await _lease(store, node_of(state), holds)
    await store.close()
    journal = open_journal(state / JOURNALS)
    for hold in holds:
        journal.intend(hold)
        journal.conclude(hold.id, Ending(1, 1, Outcome.DELIVERED, 200, STARTED_AT + 0.25, 160, 913))
    journal.close()
    keeper = Bookkeeper(settings_in(state, url), SystemClock())
    collecting = gc.get_threshold()
    collect_seldom()  # as the bookkeeper's process does
    begun = Seconds.read()
    await keeper.start(_listening(state))
    took = begun.passed()
    gc.set_threshold(*collecting)
    assert not keeper.status()["pending"]
    await keeper.close()
    return took


async def _lease(store: LedgerStore, node: str, holds: Sequence[Hold]) -> None:
    """What the holds draw from, as it would have been leased before."""
    units: dict[Account, int] = {}
    for hold in holds:
        units[hold.account] = units.get(hold.account, 0) + hold.units
    await store.lease(node, [Want(account, LIMIT, each, each) for account, each in units.items()])


def _listening(state: Path) -> socket.socket:
    path = state / "books.sock"
    path.unlink(missing_ok=True)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.bind(str(path))
    sock.listen(1)
    return sock


def _bench(name: str, place: Place, target: Target) -> Bench:
    figures = (
        Figure("store", "records/s", f"`post` in batches of {AT_ONCE:,}, {USERS} users", target),
        Figure("store_cpu", "µs CPU", "for each of these records, in the process that posts"),
        Figure("store_all_distinct", "records/s", "the same, every record another user's"),
        Figure("journal", "records/s", f"from the journal's file, read by a bookkeeper, {USERS} users", target),
        Figure("journal_cpu", "µs CPU", "for each of these, in the bookkeeper"),
    )
    return Bench(f"money.shipping.{name}", figures, partial(ship, place=place), pinned=False)


BENCHES = (
    _bench("sqlite", sqlite, at_least(20_000)),
    _bench("postgres", partial(postgres, "on"), at_least(10_000)),
    _bench("postgres_no_fsync", partial(postgres, "off"), at_least(10_000)),
)
