"""Who gets units when several want them: nobody is refused while somebody else has some idle."""

import asyncio
from collections.abc import Collection, Sequence
from pathlib import Path

import pytest

from gatewayd.books.ledger import LeasedLedger
from gatewayd.errors import StoreUnavailable
from gatewayd.model import Account
from gatewayd.stores.base import Batch, Grant, Recall, Want
from tests.books.offices import Office, office
from tests.patience import PATIENCE
from tests.stores.ledgers import hold, record


async def spend(ledger: LeasedLedger, name: str, times: int, limit: int = 100) -> int:
    """How many calls were admitted, one after the other."""
    admitted = 0
    for number in range(times):
        wanted = hold(f"{name}{number}", limit=limit)
        if (await ledger.hold(wanted)).granted:
            ledger.settle(record(wanted))
            admitted += 1
    return admitted


async def hired(books: Office, workers: int) -> list[LeasedLedger]:
    return [await books.worker() for _ in range(workers)]


async def dismiss(*workers: LeasedLedger) -> None:
    for worker in workers:
        await worker.close()


async def test_every_unit_is_found_wherever_it_lies_idle(tmp_path: Path) -> None:
    async with office(tmp_path) as books:
        workers = await hired(books, 4)
        admitted = [await spend(worker, f"w{number}-", 30) for number, worker in enumerate(workers)]
        assert admitted == [30, 30, 30, 10]
        await dismiss(*workers)


async def test_a_large_request_that_does_not_fit_refuses_no_small_one_beside_it(tmp_path: Path) -> None:
    async with office(tmp_path) as books:
        (worker,) = await hired(books, 1)
        large, small = await asyncio.gather(worker.hold(hold("large", units=101)), worker.hold(hold("small")))
        assert (large.granted, small.granted) == (False, True)
        assert large.balance.spent <= 1
        worker.release("small")
        await dismiss(worker)


async def test_a_smaller_plan_takes_hold_at_once(tmp_path: Path) -> None:
    async with office(tmp_path) as books:
        workers = await hired(books, 2)
        assert await spend(workers[0], "a", 20) == 20
        assert await spend(workers[1], "b", 5, limit=10) == 0
        assert await spend(workers[0], "c", 5, limit=10) == 0
        assert await spend(workers[0], "d", 5, limit=22) == 2
        await dismiss(*workers)
    assert sum(books.audit().values()) == 22


@pytest.mark.parametrize("workers", [1, 2])
async def test_two_plans_of_one_user_at_once_refuse_each_by_its_own_limit(tmp_path: Path, workers: int) -> None:
    """An older token claims another plan, or the account's plan has just changed."""
    async with office(tmp_path) as books:
        staff = await hired(books, workers)
        assert await spend(staff[0], "before", 15) == 15
        spenders = [
            spend(worker, f"{number} {limit}-", 25, limit=limit)
            for number, worker in enumerate(staff * 4)
            for limit in (10, 500)
        ]
        assert await asyncio.gather(*spenders) == [0, 25] * 4 * workers
        await dismiss(*staff)
    assert sum(books.audit().values()) == 15 + 100 * workers


async def test_a_request_that_costs_nothing_is_refused_only_when_more_was_spent_than_there_is(tmp_path: Path) -> None:
    async with office(tmp_path) as books:
        (worker,) = await hired(books, 1)
        assert await spend(worker, "a", 11, limit=10) == 10
        free = hold("free", units=0, limit=10)
        assert (await worker.hold(free)).granted
        if (pending := worker.settle(record(free, 1))) is not None:
            await pending
        assert not (await worker.hold(hold("free again", units=0, limit=10))).granted
        await dismiss(worker)


async def test_a_worker_whose_line_is_cut_is_waited_for_before_anybody_is_refused(tmp_path: Path) -> None:
    async with office(tmp_path) as books:
        first, second = await hired(books, 2)
        assert await spend(first, "a", 60) == 60
        messenger = first._link._messenger
        assert messenger is not None
        messenger.hang_up()
        assert await spend(second, "b", 50) == 40
        await dismiss(first, second)


@pytest.mark.parametrize("turns", range(0, 40, 3))
async def test_who_leaves_while_waiting_holds_nothing(tmp_path: Path, turns: int) -> None:
    async with office(tmp_path) as books:
        (worker,) = await hired(books, 1)
        waiting = asyncio.create_task(worker.hold(hold("r1", units=100)))
        for _ in range(turns):
            await asyncio.sleep(0)
        if not waiting.cancel():
            worker.release("r1")
        await asyncio.wait({waiting})
        assert (await worker.hold(hold("r2", units=100))).granted
        worker.release("r2")
        await dismiss(worker)
    assert books.audit() == {}


async def test_a_request_with_nobody_to_lend_is_told_so_and_not_refused(tmp_path: Path) -> None:
    async with office(tmp_path) as books:
        (worker,) = await hired(books, 1)
        await books.kill()
        waiting = asyncio.create_task(worker.hold(hold("r1")))
        assert (await worker.hold(hold("r2", limit=0))).granted
        worker.release("r2")
        await worker.close()
        with pytest.raises(StoreUnavailable):
            await waiting
        await books.open()


async def test_everybody_is_told_when_the_ledger_goes_while_another_is_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gatewayd.books.ledger.LEASE_PATIENCE", 1_000.0)
    async with office(tmp_path) as books:
        assert books.bookkeeper is not None
        (worker,) = await hired(books, 1)
        assert await spend(worker, "a", 10, limit=10) == 10
        vault = books.bookkeeper._vault
        lend = vault.lease

        async def lease(wants: Sequence[Want]) -> Sequence[Grant]:
            return [Grant(each.units, each.limit, each.spent, each.leased, 1) for each in await lend(wants)]

        async def recall(_account: Account) -> list[Recall]:
            raise StoreUnavailable

        monkeypatch.setattr(vault, "lease", lease)
        monkeypatch.setattr(vault, "recall", recall)
        calls = [worker.hold(hold(name, user=name, limit=limit)) for name, limit in (("alice", 10), ("bob", 100))]
        first, second = await asyncio.gather(*calls, return_exceptions=True)
        assert isinstance(first, StoreUnavailable)
        if not isinstance(second, StoreUnavailable):
            assert not isinstance(second, BaseException)
            worker.release("bob")
        await dismiss(worker)
    assert sum(books.audit().values()) == 10


async def test_a_used_up_quota_is_refused_again_without_asking_and_a_larger_plan_is_seen_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with office(tmp_path) as books:
        (worker,) = await hired(books, 1)
        assert await spend(worker, "a", 11, limit=10) == 10
        said: list[object] = []
        with monkeypatch.context() as patch:
            patch.setattr(worker._link, "say", lambda *words: said.append(words[0]))
            assert await spend(worker, "b", 5, limit=10) == 0
        assert "want" not in said
        assert await spend(worker, "c", 5, limit=12) == 2
        await dismiss(worker)
    assert sum(books.audit().values()) == 12


async def test_nobody_waits_for_records_of_others_to_be_posted_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gatewayd.books.posting.MOST_RECORDS", 10)
    async with office(tmp_path) as books:
        assert books.bookkeeper is not None
        (worker,) = await hired(books, 1)
        assert await spend(worker, "limited", 110, limit=100) == 100
        vault, staff = books.bookkeeper._vault, books.bookkeeper._staff
        post, posted = vault.post, asyncio.Semaphore(3)

        async def slowly(batch: Batch, charged: Collection[Account], *, whole: bool) -> None:
            await posted.acquire()
            await post(batch, charged, whole=whole)

        monkeypatch.setattr(vault, "post", slowly)
        assert await spend(worker, "unlimited", 200, limit=0) == 200
        wanted = hold("wanted", user="bob")
        assert (await asyncio.wait_for(worker.hold(wanted), PATIENCE)).granted
        assert len(staff.backlog) > 100
        limited = asyncio.ensure_future(worker.hold(hold("more", limit=250)))
        for _ in range(1_000):
            posted.release()
        assert not (await limited).granted
        worker.release("wanted")
        await dismiss(worker)
    assert sum(books.audit().values()) == 300


async def test_wishes_are_served_and_refused_exactly_while_what_was_drawn_waits_to_be_posted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gatewayd.books.posting.POST_SECONDS", 1_000.0)
    async with office(tmp_path) as books:
        assert books.bookkeeper is not None
        first, second = await hired(books, 2)
        backlog = books.bookkeeper._staff.backlog
        assert await spend(first, "a", 60) == 60
        assert await spend(second, "b", 60) == 40
        assert (await second.hold(hold("free", units=0))).granted
        second.release("free")
        refused = await first.hold(hold("one more"))
        assert (refused.granted, refused.balance.spent) == (False, 100)
        assert backlog.posted == 0, "or nothing was shown"
        assert (await first.balances("alice", "2025-11"))[0].spent == 100  # who asks is told what is posted
        await dismiss(first, second)
    assert sum(books.audit().values()) == 100


async def test_what_is_told_to_be_spent_counts_what_waits_to_be_posted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So a worker refuses by itself at once, and a call that costs nothing is judged by all that was spent."""
    monkeypatch.setattr("gatewayd.books.posting.POST_SECONDS", 1_000.0)
    async with office(tmp_path) as books:
        assert books.bookkeeper is not None
        (worker,) = await hired(books, 1)
        assert await spend(worker, "a", 11, limit=10) == 10
        assert books.bookkeeper._staff.backlog.posted == 0
        (lease,) = worker._leases.all()
        assert lease.hopeless(1, 10)
        assert not (await worker.hold(hold("free", units=0, limit=9))).granted
        await dismiss(worker)
    assert sum(books.audit().values()) == 10


async def test_who_waits_for_what_was_spent_without_a_lease_waits_for_no_more_records_to_gather(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gatewayd.books.posting.POST_SECONDS", 1_000.0)
    async with office(tmp_path) as books:
        (worker,) = await hired(books, 1)
        assert (await worker.hold(hold("large", units=10, limit=20))).granted
        pending = worker.settle(record(hold("large", units=10, limit=20), 30))
        assert pending is not None
        async with asyncio.timeout(PATIENCE):
            await pending
            assert not (await worker.hold(hold("next", limit=20))).granted
        await dismiss(worker)
    assert sum(books.audit().values()) == 30
