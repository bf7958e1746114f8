"""An operator's plan is at hand without waiting, and no older than promised."""

import asyncio
import logging
from collections.abc import Mapping

import pytest

from gatewayd.errors import StoreError
from gatewayd.identity.accounts import AccountPlans

SOON = 0.001
LATER = 3600.0


class Book:
    """Accounts in memory, which can fail, be slow, and be waited for."""

    def __init__(self, **plans: str) -> None:
        self.kept = plans
        self.reads = 0
        self.failure: Exception | None = None
        self.asked = asyncio.Event()
        self.open = asyncio.Event()
        self.open.set()
        self._read = asyncio.Condition()

    async def plans(self) -> Mapping[str, str]:
        self.asked.set()
        await self.open.wait()
        async with self._read:
            self.reads += 1
            self._read.notify_all()
        if self.failure:
            raise self.failure
        return self.kept

    async def assign(self, user_id: str, plan: str) -> None:
        self.kept = {**self.kept, user_id: plan}

    async def read(self, times: int) -> None:
        """Until the store was read so many times in all."""
        async with self._read:
            await self._read.wait_for(lambda: self.reads >= times)


async def test_plans_are_at_hand_once_started() -> None:
    plans = AccountPlans(Book(alice="gold"), interval=LATER)
    assert (plans.loaded, plans.plan_of("alice")) == (False, None)
    await plans.start()
    assert (plans.loaded, plans.plan_of("alice"), plans.plan_of("bob")) == (True, "gold", None)
    await plans.close()


async def test_a_plan_set_elsewhere_comes_into_force_by_itself() -> None:
    book = Book(alice="free")
    plans = AccountPlans(book, interval=SOON)
    await plans.start()
    await book.assign("alice", "gold")
    await book.read(book.reads + 2)
    assert plans.plan_of("alice") == "gold"
    await plans.close()


async def test_a_plan_set_here_is_in_force_at_once() -> None:
    book = Book()
    plans = AccountPlans(book, interval=LATER)
    await plans.start()
    await book.assign("alice", "gold")
    assert await plans.refresh() == {"alice": "gold"}
    assert plans.plan_of("alice") == "gold"
    assert await plans.snapshot() == {"alice": "gold"}
    await plans.close()


async def test_readers_share_the_document_of_the_refresher() -> None:
    book = Book(alice="gold")
    plans = AccountPlans(book, interval=LATER)
    await plans.start()
    assert [await plans.snapshot() for _ in range(5)] == [{"alice": "gold"}] * 5
    assert book.reads == 1
    await plans.close()


async def test_concurrent_readers_share_one_read() -> None:
    book = Book(alice="gold")
    book.open.clear()
    plans = AccountPlans(book, interval=LATER)
    readers = [asyncio.create_task(plans.snapshot()) for _ in range(5)]
    await book.asked.wait()
    book.open.set()
    assert await asyncio.gather(*readers) == [{"alice": "gold"}] * 5
    assert book.reads == 1
    await plans.close()


async def test_an_empty_store_is_not_asked_again_for_being_empty() -> None:
    book = Book()
    plans = AccountPlans(book, interval=LATER)
    assert [await plans.snapshot(), await plans.snapshot()] == [{}, {}]
    assert book.reads == 1
    await plans.close()


async def test_a_document_that_is_too_old_is_read_again() -> None:
    book = Book(alice="free")
    plans = AccountPlans(book, interval=SOON)
    await plans.snapshot()
    await book.assign("alice", "gold")
    while await plans.snapshot() != {"alice": "gold"}:
        await asyncio.sleep(0)
    assert book.reads == 2
    await plans.close()


async def test_a_snapshot_cannot_be_changed_by_its_reader_or_its_store() -> None:
    book = Book(alice="gold")
    plans = AccountPlans(book, interval=LATER)
    snapshot = await plans.snapshot()
    book.kept["alice"] = "free"
    with pytest.raises(TypeError):
        snapshot["alice"] = "free"  # type: ignore[index]
    assert plans.plan_of("alice") == "gold"
    await plans.close()


@pytest.mark.parametrize("failure", [StoreError("sqlite: gone"), OSError("no route"), KeyError("a bug")])
async def test_an_outage_keeps_the_last_plans_and_is_told_once(
    failure: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="gatewayd.identity.accounts")
    book = Book(alice="gold")
    plans = AccountPlans(book, interval=SOON)
    await plans.start()
    book.failure = failure
    await book.read(book.reads + 4)
    assert plans.plan_of("alice") == "gold"
    assert await plans.snapshot() == {"alice": "gold"}
    assert [record.levelname for record in caplog.records] == ["WARNING"]

    book.failure = None
    await book.assign("alice", "free")
    await book.read(book.reads + 2)
    assert plans.plan_of("alice") == "free"
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
    await plans.close()


async def test_a_store_that_is_away_at_the_start_stops_nothing() -> None:
    book = Book(alice="gold")
    book.failure = StoreError("postgresql: gone")
    plans = AccountPlans(book, interval=LATER)
    await plans.start()
    assert (plans.loaded, plans.plan_of("alice")) == (False, None)
    book.failure = None
    await plans.refresh()
    assert (plans.loaded, plans.plan_of("alice")) == (True, "gold")
    await plans.close()


async def test_a_reader_that_leaves_spoils_nothing_for_the_others() -> None:
    book = Book(alice="gold")
    book.open.clear()
    plans = AccountPlans(book, interval=LATER)
    leaving, staying = (asyncio.create_task(plans.snapshot()) for _ in range(2))
    await book.asked.wait()
    leaving.cancel()
    book.open.set()
    assert await staying == {"alice": "gold"}
    await plans.close()


async def test_closing_does_not_wait_for_the_next_refresh_and_leaves_no_task() -> None:
    plans = AccountPlans(Book(), interval=LATER)
    await plans.start()
    await plans.close()
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_closing_waits_for_a_read_under_way() -> None:
    book = Book(alice="free")
    plans = AccountPlans(book, interval=SOON)
    await plans.start()
    await book.assign("alice", "gold")
    book.open.clear()
    book.asked.clear()
    await book.asked.wait()
    closing = asyncio.create_task(plans.close())
    done, _ = await asyncio.wait({closing}, timeout=SOON)
    assert not done
    book.open.set()
    await closing
    assert plans.plan_of("alice") == "gold"


async def test_plans_that_never_started_can_be_closed() -> None:
    await AccountPlans(Book()).close()
