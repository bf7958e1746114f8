"""What an operator decided is at hand without waiting, and no older than promised."""

import asyncio
import logging
from pathlib import Path

import pytest

from gatewayd.errors import StoreError
from gatewayd.identity.accounts import DirectorySnapshot
from gatewayd.identity.remembered import DirectoryFile
from gatewayd.model import Directory, Identity, Revocation

SOON = 0.001
LATER = 3600.0


class Book:
    """Decisions in memory, which can fail, be slow, and be waited for."""

    def __init__(self, **plans: str) -> None:
        self.kept = Directory(1, plans)
        self.reads = 0
        self.told = 0
        self.failure: Exception | None = None
        self.asked = asyncio.Event()
        self.open = asyncio.Event()
        self.open.set()
        self._read = asyncio.Condition()

    async def directory(self, unless: int | None = None) -> Directory | None:
        self.asked.set()
        await self.open.wait()
        async with self._read:
            self.reads += 1
            self._read.notify_all()
        if self.failure:
            raise self.failure
        if unless == self.kept.version:
            return None
        self.told += 1
        return self.kept

    def assign(self, user_id: str, plan: str) -> None:
        kept = self.kept
        self.kept = Directory(kept.version + 1, {**kept.plans, user_id: plan}, kept.revocations)

    def revoke(self, *revocations: Revocation) -> None:
        kept = self.kept
        self.kept = Directory(kept.version + 1, kept.plans, (*kept.revocations, *revocations))

    async def read(self, times: int) -> None:
        """Until it was read so many times in all."""
        async with self._read:
            await self._read.wait_for(lambda: self.reads >= times)


def identity(user: str, token_id: str | None = None, issued_at: float | None = 1000.0) -> Identity:
    return Identity(user, None, frozenset(), token_id, issued_at, 9e9)


async def test_plans_are_at_hand_once_started() -> None:
    plans = DirectorySnapshot(Book(alice="gold"), interval=LATER)
    assert (plans.loaded, plans.plan_of("alice")) == (False, None)
    await plans.start()
    assert (plans.loaded, plans.plan_of("alice"), plans.plan_of("bob")) == (True, "gold", None)
    await plans.close()


async def test_a_plan_set_elsewhere_comes_into_force_by_itself() -> None:
    book = Book(alice="free")
    plans = DirectorySnapshot(book, interval=SOON)
    await plans.start()
    book.assign("alice", "gold")
    await book.read(book.reads + 2)
    assert plans.plan_of("alice") == "gold"
    await plans.close()


async def test_a_plan_set_here_is_in_force_at_once() -> None:
    book = Book()
    plans = DirectorySnapshot(book, interval=LATER)
    await plans.start()
    book.assign("alice", "gold")
    assert (await plans.refresh()).plans == {"alice": "gold"}
    assert plans.plan_of("alice") == "gold"
    assert (await plans.directory()).plans == {"alice": "gold"}
    await plans.close()


async def test_readers_share_the_document_of_the_refresher() -> None:
    book = Book(alice="gold")
    plans = DirectorySnapshot(book, interval=LATER)
    await plans.start()
    assert [await plans.directory() for _ in range(5)] == [book.kept] * 5
    assert book.reads == 1
    await plans.close()


async def test_concurrent_readers_share_one_read() -> None:
    book = Book(alice="gold")
    book.open.clear()
    plans = DirectorySnapshot(book, interval=LATER)
    readers = [asyncio.create_task(plans.directory()) for _ in range(5)]
    await book.asked.wait()
    book.open.set()
    assert await asyncio.gather(*readers) == [book.kept] * 5
    assert book.reads == 1
    await plans.close()


async def test_an_empty_store_is_not_asked_again_for_being_empty() -> None:
    book = Book()
    plans = DirectorySnapshot(book, interval=LATER)
    assert [await plans.directory(), await plans.directory()] == [book.kept] * 2
    assert book.reads == 1
    await plans.close()


async def test_a_document_that_is_too_old_is_read_again() -> None:
    book = Book(alice="free")
    plans = DirectorySnapshot(book, interval=SOON)
    await plans.directory()
    book.assign("alice", "gold")
    while await plans.directory() != book.kept:
        await asyncio.sleep(0)
    assert book.reads == 2
    await plans.close()


async def test_a_directory_that_did_not_change_is_not_told_again() -> None:
    book = Book(alice="gold")
    plans = DirectorySnapshot(book, interval=SOON)
    await plans.start()
    await book.read(5)
    assert (book.told, plans.plan_of("alice")) == (1, "gold")
    await plans.close()


async def test_a_revocation_made_elsewhere_comes_into_force_and_is_told_once() -> None:
    book = Book(alice="gold")
    plans = DirectorySnapshot(book, interval=SOON)
    told: list[bool] = []
    plans.on_change(lambda: told.append(plans.refuses(identity("alice"))))
    await plans.start()
    assert (plans.refuses(identity("alice")), told) == (False, [])
    book.assign("bob", "gold")
    await book.read(book.reads + 2)
    assert told == []
    book.revoke(Revocation("user", "alice", 1000.0))
    await book.read(book.reads + 3)
    assert told == [True]
    assert not plans.refuses(identity("bob"))
    await plans.close()


async def test_every_listener_is_told_also_of_what_was_revoked_before_the_start() -> None:
    book = Book()
    book.revoke(Revocation("token", "t1", 1000.0))
    plans = DirectorySnapshot(book, interval=LATER)
    told: list[str] = []
    plans.on_change(lambda: told.append("first"))
    plans.on_change(lambda: told.append("second"))
    await plans.start()
    assert told == ["first", "second"]
    assert plans.refuses(identity("bob", "t1"))
    await plans.close()


@pytest.mark.parametrize("failure", [StoreError("sqlite: gone"), OSError("no route"), KeyError("a bug")])
async def test_an_outage_keeps_the_last_plans_and_is_told_once(
    failure: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="gatewayd.identity.accounts")
    book = Book(alice="gold")
    book.revoke(Revocation("user", "eve", 1000.0))
    plans = DirectorySnapshot(book, interval=SOON)
    await plans.start()
    book.failure = failure
    await book.read(book.reads + 4)
    assert plans.plan_of("alice") == "gold"
    assert plans.refuses(identity("eve"))
    assert (await plans.directory()).plans == {"alice": "gold"}
    assert [record.levelname for record in caplog.records] == ["WARNING"]

    book.failure = None
    book.assign("alice", "free")
    await book.read(book.reads + 2)
    assert plans.plan_of("alice") == "free"
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
    await plans.close()


async def test_a_store_that_is_away_at_the_start_stops_nothing() -> None:
    book = Book(alice="gold")
    book.failure = StoreError("postgresql: gone")
    plans = DirectorySnapshot(book, interval=LATER)
    await plans.start()
    assert (plans.loaded, plans.plan_of("alice")) == (False, None)
    book.failure = None
    await plans.refresh()
    assert (plans.loaded, plans.plan_of("alice")) == (True, "gold")
    await plans.close()


async def test_a_reader_that_leaves_spoils_nothing_for_the_others() -> None:
    book = Book(alice="gold")
    book.open.clear()
    plans = DirectorySnapshot(book, interval=LATER)
    leaving, staying = (asyncio.create_task(plans.directory()) for _ in range(2))
    await book.asked.wait()
    leaving.cancel()
    book.open.set()
    assert await staying == book.kept
    await plans.close()


async def test_closing_does_not_wait_for_the_next_refresh_and_leaves_no_task() -> None:
    plans = DirectorySnapshot(Book(), interval=LATER)
    await plans.start()
    await plans.close()
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_closing_waits_for_a_read_under_way() -> None:
    book = Book(alice="free")
    plans = DirectorySnapshot(book, interval=SOON)
    await plans.start()
    book.assign("alice", "gold")
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
    await DirectorySnapshot(Book()).close()


async def test_what_was_decided_is_known_although_the_source_is_away_at_the_start(tmp_path: Path) -> None:
    book = Book(alice="gold")
    book.revoke(Revocation("token", "stolen", 0.0))
    before = DirectorySnapshot(book, interval=LATER, file=DirectoryFile(tmp_path))
    await before.start()
    await before.close()
    book.failure = StoreError("away")
    plans = DirectorySnapshot(book, interval=SOON, file=DirectoryFile(tmp_path))
    await plans.start()
    assert not plans.loaded
    assert plans.plan_of("alice") == "gold"
    assert plans.refuses(identity("bob", "stolen"))
    book.failure = None
    book.assign("alice", "free")
    await book.read(book.reads + 2)
    assert (plans.loaded, plans.plan_of("alice")) == (True, "free")
    await plans.close()


async def test_a_disk_that_takes_nothing_costs_no_decision(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    book = Book(alice="gold")
    plans = DirectorySnapshot(book, interval=LATER, file=DirectoryFile(tmp_path / "missing"))
    await plans.start()
    assert plans.plan_of("alice") == "gold"
    assert "cannot be kept on disk" in caplog.text
    await plans.close()
