"""What a worker asks is answered with all that any worker did until then."""

import asyncio
import random
from functools import partial
from math import inf
from operator import eq
from pathlib import Path

import pytest

from gatewayd.books import questions
from gatewayd.errors import StoreUnavailable
from gatewayd.identity.accounts import DirectorySnapshot
from gatewayd.model import DirectoryPage, Identity, Revocation
from gatewayd.stores.open import open_clerk
from gatewayd.stores.sqlite import store
from tests.books.offices import Office, office
from tests.books.unthreaded import Unthreaded
from tests.clocks import ManualClock
from tests.stores.ledgers import hold, record
from tests.timeless import LoopClock, TimelessLoop


async def test_a_balance_counts_what_another_worker_did_just_now(tmp_path: Path) -> None:
    async with office(tmp_path) as books:
        doer, asker = await books.worker(), await books.worker()
        await doer.hold(hold("r1"))
        doer.settle(record(hold("r1")))
        await doer.hold(hold("r2", unit="tokens", limit=0, units=5))
        balances = {balance.unit: balance for balance in await asker.balances("alice", "2025-11")}
        assert (balances["api_calls"].spent, balances["tokens"].held) == (1, 5)
        doer.release("r2")
        await doer.close()
        await asker.close()


async def test_decisions_are_told_once_in_pages_and_then_what_is_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(questions, "MOST_DECISIONS", 2)
    async with office(tmp_path) as books:
        worker = await books.worker()
        decide(books, ann="pro", bob="pro")
        with open_clerk(books.settings.ledger.url.reveal()) as clerk:
            clerk.revoke(Revocation("user", "bob", 7.0))
        assert await worker.directory(0) == DirectoryPage(0, 2, {"ann": "pro", "bob": "pro"}, more=True)
        assert await worker.directory(2) == DirectoryPage(2, 3, {}, (Revocation("user", "bob", 7.0),))
        assert await worker.directory(3) == DirectoryPage(3, 3, {})
        await worker.close()


async def test_workers_who_ask_for_the_same_share_one_read(tmp_path: Path, clock: ManualClock) -> None:
    async with office(tmp_path, clock) as books:
        first, second = await books.worker(), await books.worker()
        before = await first.directory(0)
        decide(books, ann="pro")
        assert await second.directory(0) == before
        clock.advance(questions.DIRECTORY_SECONDS)
        assert await second.directory(0) == await first.directory(0) == DirectoryPage(0, 1, {"ann": "pro"})
        await first.close()
        await second.close()


async def test_a_worker_of_an_older_gatewayd_is_told_the_whole_directory_when_it_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(questions, "MOST_DECISIONS", 2)
    async with office(tmp_path) as books:
        worker = await books.worker()
        decide(books, ann="pro", bob="free", carol="pro")
        with open_clerk(books.settings.ledger.url.reveal()) as clerk:
            clerk.revoke(Revocation("user", "bob", 7.0))
        whole = [4, {"ann": "pro", "bob": "free", "carol": "pro"}, [["user", "bob", 7.0]]]
        assert await worker._link.ask("directory", None) == whole
        assert await worker._link.ask("directory", 3) == whole
        assert await worker._link.ask("directory", 4) is None
        await worker.close()


def test_a_decision_reaches_every_worker_within_a_second_whenever_it_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a time that only what waits makes pass: it is the waiting that is promised, not the machine's speed."""
    chance = random.Random(4)
    monkeypatch.setattr(store, "Committer", partial(Unthreaded, chance))
    with asyncio.Runner(loop_factory=TimelessLoop) as runner:
        waits = runner.run(decided_now_and_then(tmp_path, chance))
    assert max(waits) <= 1.0
    assert max(waits) > 0.5  # or nobody looked


async def decided_now_and_then(state: Path, chance: random.Random) -> list[float]:
    """Seconds from each of many decisions until all of three workers went by it, and had told who cuts streams."""
    loop = asyncio.get_running_loop()
    async with office(state, LoopClock(loop)) as books:
        workers = [await books.worker() for _ in range(3)]
        snapshots = [DirectorySnapshot(worker) for worker in workers]
        told = [0] * len(snapshots)

        def tell(place: int) -> None:
            told[place] += 1

        for place, each in enumerate(snapshots):
            each.on_change(partial(tell, place))
            await each.start()
            await asyncio.sleep(chance.random())  # so that they do not ask at the same moments
        waits = []
        for number in range(60):
            await asyncio.sleep(chance.random())
            decide(books, ann=f"plan-{number}")
            decided = loop.time()
            while any(each.plan_of("ann") != f"plan-{number}" for each in snapshots):
                await asyncio.sleep(0.001)
            waits.append(loop.time() - decided)
        for number in range(20):
            await asyncio.sleep(chance.random())
            eve, before = Identity(f"eve-{number}", None, frozenset(), None, None, inf), [*told]
            with open_clerk(books.settings.ledger.url.reveal()) as clerk:
                clerk.revoke(Revocation("user", eve.user, 7.0))
            decided = loop.time()
            while not all(each.refuses(eve) for each in snapshots) or any(map(eq, told, before)):
                await asyncio.sleep(0.001)
            waits.append(loop.time() - decided)
        for snapshot, worker in zip(snapshots, workers, strict=True):
            await snapshot.close()
            await worker.close()
    return waits


def decide(books: Office, **plans: str) -> None:
    with open_clerk(books.settings.ledger.url.reveal()) as clerk:
        for user, plan in plans.items():
            clerk.assign(user, plan)


async def test_a_question_to_a_bookkeeper_who_is_gone_is_an_error(tmp_path: Path) -> None:
    async with office(tmp_path) as books:
        worker = await books.worker()
        await books.kill()
        with pytest.raises(StoreUnavailable):
            await worker.balances("alice", "2025-11")
        await books.open()
        await worker.close()
