"""What the books promise within a time, in one that only what waits makes pass: a machine's speed is not promised."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest

from gatewayd.books.ledger import LEASE_PATIENCE, LeasedLedger
from gatewayd.errors import StoreUnavailable
from gatewayd.model import Outcome
from gatewayd.stores.open import open_reader
from tests.books.faulty import Weather
from tests.books.offices import Office, office
from tests.stores.ledgers import hold, record
from tests.timeless import LoopClock, TimelessLoop

RECORDED = 2.0
"""Seconds after which a record is in the table (contract, section 7)."""
SEEDS = pytest.mark.parametrize("seed", range(4))


@pytest.fixture
def timeless(unthreaded: random.Random) -> Iterator[asyncio.Runner]:
    unthreaded.seed(4)
    with asyncio.Runner(loop_factory=TimelessLoop) as runner:
        yield runner


@asynccontextmanager
async def staffed(state: Path, workers: int = 1) -> AsyncIterator[tuple[Office, list[LeasedLedger]]]:
    """An office by its loop's time, and workers who go home in the end."""
    async with office(state, LoopClock(asyncio.get_running_loop())) as books:
        staff = [await books.worker() for _ in range(workers)]
        yield books, staff
        for worker in staff:
            await worker.close()


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """By the loop's time."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    yield
    assert loop.time() - began <= seconds


async def until(true: Callable[[], bool]) -> None:
    while not true():
        await asyncio.sleep(0.001)


def recorded(books: Office) -> dict[str, str]:
    with open_reader(books.settings.ledger.url.reveal()) as reader:
        return {row.id: row.outcome for row in reader.records()}


def held(books: Office, user: str = "") -> int:
    """In the table; by everybody where nobody is named."""
    with open_reader(books.settings.ledger.url.reveal()) as reader:
        return sum(units for account, (units, _) in reader.leased().items() if user in ("", account.user_id))


async def serve(worker: LeasedLedger, name: str, limit: int = 100) -> None:
    wanted = hold(name, limit=limit)
    assert (await worker.hold(wanted)).granted
    worker.settle(record(wanted))


def play(runner: asyncio.Runner, scene: Callable[[], Awaitable[None]]) -> None:
    async def played() -> None:
        await scene()

    runner.run(played())


@SEEDS
@pytest.mark.parametrize("limit", [0, 100], ids=["unlimited", "leased"])
def test_a_record_is_in_the_table_within_two_seconds_of_whenever_it_was_written(
    tmp_path: Path, timeless: asyncio.Runner, seed: int, limit: int
) -> None:
    chance = random.Random(seed)

    async def scene() -> None:
        async with staffed(tmp_path, 2) as (books, workers):
            for number in range(20):
                await asyncio.sleep(chance.random())
                await serve(chance.choice(workers), name := f"r{number}", limit)
                with within(RECORDED):
                    await until(lambda name=name: name in recorded(books))  # type: ignore[misc]

    play(timeless, scene)


@SEEDS
def test_what_an_outage_kept_from_the_table_is_there_within_two_seconds_of_its_end(
    tmp_path: Path, weather: Weather, timeless: asyncio.Runner, seed: int
) -> None:
    chance = random.Random(seed)

    async def scene() -> None:
        async with staffed(tmp_path, 2) as (books, workers):
            for number in range(5):
                weather.away = True
                await serve(chance.choice(workers), name := f"r{number}", limit=0)
                await asyncio.sleep(chance.random())
                weather.away = False
                with within(RECORDED):
                    await until(lambda name=name: name in recorded(books))  # type: ignore[misc]

    play(timeless, scene)


def test_idle_leases_are_back_in_the_ledger_within_five_seconds(tmp_path: Path, timeless: asyncio.Runner) -> None:
    async def scene() -> None:
        async with staffed(tmp_path) as (books, [worker]):
            await serve(worker, "r1")
            await asyncio.sleep(1.5)
            await serve(worker, "r2")
            await until(lambda: held(books) > 0)  # out for so long that the table has it
            with within(5.0):
                await until(lambda: not held(books))

    play(timeless, scene)


@SEEDS
def test_what_a_request_holds_is_in_the_table_a_second_after_it_began(
    tmp_path: Path, timeless: asyncio.Runner, seed: int
) -> None:
    chance = random.Random(seed)

    async def scene() -> None:
        async with staffed(tmp_path) as (books, [worker]):
            for number in range(5):
                await asyncio.sleep(chance.random())
                wanted = hold(f"r{number}", user=f"user {number}", units=7)
                assert (await worker.hold(wanted)).granted
                with within(1.1):
                    await until(lambda user=wanted.user_id: held(books, user) >= 7)  # type: ignore[misc]
                worker.settle(record(wanted, 1))

    play(timeless, scene)


def test_a_lease_that_is_idle_soon_is_never_in_the_table(tmp_path: Path, timeless: asyncio.Runner) -> None:
    async def scene() -> None:
        async with staffed(tmp_path) as (books, [worker]):
            await serve(worker, "r1")
            assert books.bookkeeper is not None
            for _ in range(60):
                await asyncio.sleep(0.1)
                assert held(books) == 0
            assert not books.bookkeeper._vault._till._leased, "and it is back"

    play(timeless, scene)


@SEEDS
def test_what_a_dead_worker_held_is_recorded_or_free_within_two_seconds_of_its_successors_start(
    tmp_path: Path, timeless: asyncio.Runner, seed: int
) -> None:
    async def scene() -> None:
        async with staffed(tmp_path) as (books, [doomed]):
            for name in ("r1", "r2"):
                assert (await doomed.hold(hold(name, units=10, cost=3))).granted
            await asyncio.sleep(random.Random(seed).random())
            await die(doomed)
            successor = await books.worker()
            with within(RECORDED):
                await until(lambda: recorded(books) == dict.fromkeys(("r1", "r2"), Outcome.UNKNOWN))
                assert (await successor.hold(hold("all the rest", units=94))).granted
            successor.release("all the rest")
            await successor.close()

    play(timeless, scene)


async def die(worker: LeasedLedger) -> None:
    """As a process does, of which nothing is left but its journal."""
    assert worker._sweeper is not None
    worker._sweeper.cancel()
    await worker._link.close()
    worker._journal._lock.release()


def test_whoever_waits_for_units_that_nobody_lends_is_told_so_in_time(
    tmp_path: Path, timeless: asyncio.Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scene() -> None:
        async with staffed(tmp_path) as (_, [worker]):
            with monkeypatch.context() as patch, within(LEASE_PATIENCE + 0.01):
                patch.setattr(worker._link, "say", lambda *_: None)  # a bookkeeper who hears nothing
                with pytest.raises(StoreUnavailable):
                    await worker.hold(hold("r1"))

    play(timeless, scene)
