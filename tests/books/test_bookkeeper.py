"""Workers and their bookkeeper together: who gets units, who is refused, and what the ledger says in the end."""

import asyncio
import itertools
from pathlib import Path

import pytest

from gatewayd.model import Hold
from tests.books.offices import office
from tests.stores.ledgers import hold, record

ACCOUNT = ("alice", "api_calls", "2025-11")


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
