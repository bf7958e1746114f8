"""Workers and their bookkeeper together: who gets units, who is refused, and what the ledger says in the end."""

import asyncio
import gc
import itertools
import socket
from collections.abc import Sequence
from pathlib import Path

import pytest

from gatewayd.books.ledger import LeasedLedger
from gatewayd.model import Hold
from gatewayd.stores.base import Grant, Want
from gatewayd.stores.open import open_reader
from tests.books.offices import Office, office
from tests.patience import PATIENCE
from tests.stores.ledgers import hold, record

ACCOUNT = ("alice", "api_calls", "2025-11")


def held_in(books: Office) -> list[int]:
    with open_reader(books.settings.ledger.url.reveal()) as reader:
        return [balance.held for balance in reader.balances()]


async def test_what_a_worker_settled_is_in_the_ledger_after_a_clean_stop(tmp_path: Path) -> None:
    async with office(tmp_path) as books:
        worker = await books.worker()
        first = hold("r1")
        assert (await worker.hold(first)).granted
        worker.settle(record(first))
        await worker.close()
    assert books.audit() == {ACCOUNT: 1}


@pytest.mark.parametrize("workers", [1, 2, 4])
async def test_parallel_callers_are_admitted_up_to_the_limit_exactly(tmp_path: Path, workers: int) -> None:
    async with office(tmp_path) as books:
        ledgers = [await books.worker() for _ in range(workers)]

        async def call(number: int) -> bool:
            ledger = ledgers[number % workers]
            wanted: Hold = hold(f"r{number}", limit=100)
            if granted := (await ledger.hold(wanted)).granted:
                await asyncio.sleep(0)
                ledger.settle(record(wanted))
            return granted

        assert sum(await asyncio.gather(*(call(number) for number in range(200)))) == 100
        for ledger in ledgers:
            await ledger.close()
    assert books.audit() == {ACCOUNT: 100}


async def test_units_idle_with_one_worker_are_there_for_another(tmp_path: Path) -> None:
    names = (f"r{number}" for number in itertools.count())
    async with office(tmp_path) as books:
        first, second = await books.worker(), await books.worker()
        for _ in range(40):  # long enough to lease far ahead
            each = hold(next(names), limit=100)
            assert (await first.hold(each)).granted
            first.settle(record(each))
        granted = 0
        while (await second.hold(each := hold(next(names), limit=100))).granted:
            second.settle(record(each))
            granted += 1
        assert granted == 60
        await first.close()
        await second.close()
    assert books.audit() == {ACCOUNT: 100}


async def test_a_balance_tells_what_was_done_until_now(tmp_path: Path) -> None:
    async with office(tmp_path) as books:
        worker = await books.worker()
        await worker.hold(first := hold("r1"))
        await worker.hold(hold("r2"))
        worker.settle(record(first))
        (balance,) = await worker.balances("alice", "2025-11")
        assert (balance.limit, balance.held, balance.spent) == (100, 1, 1)
        worker.release("r2")
        (balance,) = await worker.balances("alice", "2025-11")
        assert (balance.limit, balance.held, balance.spent) == (100, 0, 1)
        await worker.close()


async def test_more_spent_than_was_held_refuses_the_next_call_of_every_worker(tmp_path: Path) -> None:
    async with office(tmp_path) as books:
        first, second = await books.worker(), await books.worker()
        for number in range(20):
            each = hold(f"s{number}", limit=100)
            assert (await second.hold(each)).granted
            second.settle(record(each))
        await first.hold(large := hold("large", limit=100))
        if (pending := first.settle(record(large, 90))) is not None:
            await pending
        assert not (await second.hold(hold("next", limit=100))).granted
        assert not (await first.hold(hold("next again", limit=100))).granted
        await first.close()
        await second.close()
    assert books.audit() == {ACCOUNT: 110}


async def test_a_wish_keeps_no_part_back_that_another_worker_might_be_waiting_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with office(tmp_path) as books:
        worker = await books.worker()
        assert (await worker.hold(hold("three", units=3))).granted
        worker.release("three")
        (lease,) = worker._leases.all()
        idle = lease.idle
        said: list[list[object]] = []
        say = worker._link.say

        def listen(*words: object) -> None:
            said.append([words[0], *words[-1:]])
            say(*words)

        monkeypatch.setattr(worker._link, "say", listen)
        assert (await worker.hold(hold("more", units=idle + 2))).granted
        assert said[:1] == [["back", idle]]
        worker.release("more")
        await worker.close()
    assert books.audit() == {}


async def test_a_worker_given_units_just_before_it_says_that_it_overspent_does_not_spend_them(tmp_path: Path) -> None:
    leased, go_on = asyncio.Event(), asyncio.Event()
    async with office(tmp_path) as books:
        assert books.bookkeeper is not None
        worker = await books.worker()
        assert (await worker.hold(hold("large", limit=50))).granted
        (lease,) = worker._leases.all()
        assert (await worker.hold(hold("rest", limit=50, units=lease.idle))).granted
        vault = books.bookkeeper._vault
        lend = vault.lease

        async def late(wants: Sequence[Want]) -> Sequence[Grant]:
            grants = await lend(wants)
            leased.set()
            await go_on.wait()
            return grants

        vault.lease = late  # type: ignore[method-assign]
        asking = asyncio.ensure_future(worker.hold(hold("asking", limit=50)))
        await leased.wait()
        pending = worker.settle(record(hold("large", limit=50), 90))
        assert pending is not None
        go_on.set()
        assert (await asking).granted
        await pending
        assert not (await worker.hold(hold("next", limit=50))).granted
        for name in ("rest", "asking"):
            worker.release(name)
        await worker.close()
    assert books.audit() == {ACCOUNT: 90}


async def test_a_call_that_costs_nothing_is_refused_once_more_was_spent_than_there_was(tmp_path: Path) -> None:
    async with office(tmp_path) as books:
        first, second = await books.worker(), await books.worker()
        assert (await second.hold(hold("all", limit=5, units=5))).granted
        second.settle(record(hold("all", limit=5, units=5)))
        assert (await second.hold(hold("free", limit=5, units=0))).granted
        second.settle(record(hold("free", limit=5, units=0)))
        await first.hold(hold("large", limit=5, units=0))
        if (pending := first.settle(record(hold("large", limit=5, units=0), 3))) is not None:
            await pending
        assert not (await second.hold(hold("free again", limit=5, units=0))).granted
        assert not (await first.hold(hold("free as well", limit=5, units=0))).granted
        await first.close()
        await second.close()
    assert books.audit() == {ACCOUNT: 8}


async def test_a_caller_who_leaves_does_not_keep_others_from_being_told_that_more_was_spent(tmp_path: Path) -> None:
    async with office(tmp_path) as books:
        first, second = await books.worker(), await books.worker()
        for number in range(20):
            assert (await second.hold(hold(f"s{number}"))).granted
            second.settle(record(hold(f"s{number}")))
        await first.hold(large := hold("large"))
        pending = first.settle(record(large, 90))
        assert pending is not None
        leaving = asyncio.ensure_future(asyncio.wait_for(pending, None))
        await asyncio.sleep(0)
        leaving.cancel()
        await asyncio.wait({leaving, *first._telling})
        assert not (await second.hold(hold("next"))).granted
        await first.close()
        await second.close()
    assert books.audit() == {ACCOUNT: 110}


async def test_what_was_in_flight_in_a_worker_and_a_bookkeeper_who_both_died_is_held_no_more(tmp_path: Path) -> None:
    async with office(tmp_path) as books:
        doomed, heir = await books.worker(), await books.worker()
        await doomed.hold(hold("r1", units=3))
        while held_in(books) != [3]:
            await asyncio.sleep(0.01)
        await books.kill()
        await doomed._link.close()
        doomed._journal.close()
        await books.open()
        while not heir._link.up:
            await asyncio.sleep(0.01)
        (balance,) = await heir.balances("alice", "2025-11")
        assert (balance.held, balance.spent) == (0, 3)
        await heir.close()
    assert held_in(books) == [0]


async def test_a_successor_finds_every_unit_that_no_worker_has_however_much_its_predecessor_had_posted(
    tmp_path: Path,
) -> None:
    """It reads journals from their beginning: what is in the ledger already takes nothing more off the leases."""
    names = (f"r{number}" for number in itertools.count())

    async def spend(worker: LeasedLedger, most: int) -> int:
        for admitted in range(most):
            each = hold(next(names), limit=4_000)
            if not (await worker.hold(each)).granted:
                return admitted
            worker.settle(record(each))
        return most

    async with office(tmp_path) as books:
        first, second = await books.worker(), await books.worker()
        assert await spend(first, 2_500) == 2_500
        (lease,) = first._leases.all()
        assert lease.idle, "or there is nothing to be lost"
        first._give_back(lease)
        (balance,) = await first.balances("alice", "2025-11")
        assert (balance.held, balance.spent) == (0, 2_500)
        await books.kill()
        await books.open()
        while not second._link.up:
            await asyncio.sleep(0.01)
        assert await spend(second, 4_000) == 1_500
        await first.close()
        await second.close()
    assert books.audit() == {ACCOUNT: 4_000}
    with open_reader(books.settings.ledger.url.reveal()) as reader:
        assert not any(held or leased for held, leased in reader.leased().values())


@pytest.mark.parametrize("killed", [True, False], ids=["killed", "closed"])
async def test_who_comes_just_when_a_bookkeeper_goes_is_sent_away_and_left_with_no_line(
    tmp_path: Path, killed: bool
) -> None:
    async with office(tmp_path) as books:
        for turns in range(9):  # of the loop, between coming and going
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as worker:
                worker.setblocking(False)
                worker.connect(str(books.path))
                worker.sendall(b'["hello","00000000000000000001-1"]\n')
                for _ in range(turns):
                    await asyncio.sleep(0)
                assert books.bookkeeper is not None
                await (books.kill() if killed else books.bookkeeper.close())
                await books.open()  # it meets whoever was not accepted before
                async with asyncio.timeout(PATIENCE):
                    while b"what have you" not in (said := await asyncio.get_running_loop().sock_recv(worker, 1000)):
                        if not said:
                            break
    gc.collect()  # a socket that nobody closed is found by who clears it away
