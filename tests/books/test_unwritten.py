"""Leases that only the bookkeeper's memory had when it died, or whoever had them: nothing is lost and nothing twice."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gatewayd.books.ledger import LeasedLedger
from gatewayd.model import Outcome
from gatewayd.stores.open import open_reader
from tests.books.faulty import Weather
from tests.books.offices import Office, office, reached
from tests.patience import PATIENCE
from tests.stores.ledgers import hold, record

pytestmark = pytest.mark.parametrize("seconds", [1_000.0, 0.0], ids=["no row yet", "in rows"])


@pytest.fixture
async def books(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds: float) -> AsyncIterator[Office]:
    monkeypatch.setattr("gatewayd.books.till.ROW_SECONDS", seconds)
    async with office(tmp_path) as books:
        yield books
    books.audit()
    assert leased(books) == 0, "after a clean stop nothing is held"


def leased(books: Office) -> int:
    with open_reader(books.settings.ledger.url.reveal()) as reader:
        return sum(units for units, _ in reader.leased().values())


async def die(worker: LeasedLedger) -> None:
    await worker._link.close()
    if worker._sweeper is not None:
        worker._sweeper.cancel()
    worker._journal.close()


async def test_a_successor_lends_what_is_left_beside_what_workers_were_granted_from_memory(books: Office) -> None:
    first, second = await books.worker(), await books.worker()
    wanted = hold("r1", units=60)
    assert (await first.hold(wanted)).granted
    await books.kill()
    await books.open()
    await reached(second)
    assert not (await second.hold(hold("too much", units=41))).granted
    rest = hold("r2", units=40)
    assert (await second.hold(rest)).granted
    for worker, each in ((first, wanted), (second, rest)):
        worker.settle(record(each, each.units))
        await worker.close()
    assert sum(books.audit().values()) == 100


async def test_what_a_bookkeeper_took_back_just_before_it_died_is_there_for_everybody(books: Office) -> None:
    first, second = await books.worker(), await books.worker()
    assert (await first.hold(hold("r1", units=60))).granted
    first.release("r1")
    first._give_back(first._leases.all()[0])
    await asyncio.sleep(0)
    await books.kill()
    await books.open()
    await reached(second)
    assert (await second.hold(hold("all", units=100))).granted
    second.release("all")
    await first.close()
    await second.close()


async def test_when_all_die_at_once_what_was_granted_from_memory_is_charged_or_free(books: Office) -> None:
    first, second = await books.worker(), await books.worker()
    await first.hold(done := hold("done", units=20))
    first.settle(record(done, 20))
    await first.hold(hold("under way", units=30, cost=5))
    await second.hold(hold("idle", units=40))
    second.release("idle")
    await books.kill()
    await die(first)
    await die(second)
    await books.open()
    worker = await books.worker()
    assert not (await worker.hold(hold("too much", units=76))).granted
    assert (await worker.hold(hold("the rest", units=75))).granted
    worker.release("the rest")
    await worker.close()
    with open_reader(books.settings.ledger.url.reveal()) as reader:
        assert {row.id: (row.outcome, row.quantity) for row in reader.records()} == {
            "done": (Outcome.DELIVERED, 20),
            "under way": (Outcome.UNKNOWN, 5),
        }


async def test_nothing_is_lent_before_every_living_worker_has_said_what_it_has(books: Office) -> None:
    """As one of an older generation that is still draining, or one that stands still."""
    slow, other = await books.worker(), await books.worker()
    wanted = hold("r1", units=60)
    assert (await slow.hold(wanted)).granted
    assert slow._link._keeper is not None
    slow._link._keeper.cancel()  # it finds nobody any more
    await books.kill()
    await books.open()
    asked = asyncio.ensure_future(other.hold(hold("r2", units=40)))
    async with asyncio.timeout(PATIENCE):
        while not other._link.up:
            await asyncio.sleep(0.01)
    assert books.bookkeeper is not None
    for _ in range(20):
        await asyncio.sleep(0.01)
        assert not asked.done(), "nobody can say what is left"
    slow._link._keeper = asyncio.create_task(slow._link._keep(asyncio.Event()))
    assert (await asked).granted
    assert not (await other.hold(hold("r3"))).granted
    slow.settle(record(wanted, 60))
    other.release("r2")
    await slow.close()
    await other.close()
    assert sum(books.audit().values()) == 60


async def test_a_worker_that_dies_before_it_could_tell_the_successor_leaves_what_its_journal_says(
    books: Office,
) -> None:
    doomed, other = await books.worker(), await books.worker()
    assert (await doomed.hold(hold("r1", units=60, cost=10))).granted
    await books.kill()
    await die(doomed)
    await books.open()
    await reached(other)
    assert not (await other.hold(hold("too much", units=91))).granted
    assert (await other.hold(hold("r2", units=90))).granted
    other.release("r2")
    await other.close()
    assert sum(books.audit().values()) == 10


async def test_a_dead_workers_units_are_free_again_though_no_row_told_of_them(books: Office) -> None:
    doomed, other = await books.worker(), await books.worker()
    assert (await doomed.hold(hold("idle", units=90))).granted
    doomed.release("idle")
    await die(doomed)
    async with asyncio.timeout(PATIENCE):
        while not (await other.hold(hold("all", units=100))).granted:
            await asyncio.sleep(0.01)
    other.release("all")
    await other.close()


async def test_a_bookkeeper_that_ends_in_order_leaves_rows_of_all_that_is_out(books: Office) -> None:
    """Also who takes over with an older gatewayd, and who looks meanwhile, is told the truth by them."""
    worker = await books.worker()
    wanted = hold("r1", units=60)
    assert (await worker.hold(wanted)).granted
    assert (await worker.hold(hold("idle", user="bob", units=5))).granted
    worker.release("idle")
    assert books.bookkeeper is not None
    await books.bookkeeper.close()
    assert leased(books) == sum(lease.outstanding for lease in worker._leases.all()) > 65
    await books.open()
    await reached(worker)
    worker.settle(record(wanted, 60))
    await worker.close()
    assert sum(books.audit().values()) == 60


@pytest.mark.parametrize("seed", range(6))
async def test_a_commit_of_which_nobody_knows_whether_it_was_done_changes_nothing_of_what_is_out(
    tmp_path: Path, weather: Weather, monkeypatch: pytest.MonkeyPatch, seconds: float, seed: int
) -> None:
    monkeypatch.setattr("gatewayd.books.till.ROW_SECONDS", seconds)
    weather.seed(seed)
    async with office(tmp_path) as books:
        first, second = await books.worker(), await books.worker()
        wanted = hold("r1", units=60)
        assert (await first.hold(wanted)).granted
        weather.likely = 0.5
        first.settle(record(wanted, 50))
        await asyncio.sleep(0.3)
        weather.likely = 0.0
        await reached(second)
        assert not (await second.hold(hold("too much", units=51))).granted
        assert (await second.hold(hold("r2", units=50))).granted
        second.release("r2")
        await first.close()
        await second.close()
    assert sum(books.audit().values()) == 50
    assert leased(books) == 0
