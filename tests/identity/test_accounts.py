"""What an operator decided is at hand without waiting, and no older than promised."""

import asyncio
import logging
import threading
from pathlib import Path

import pytest

from gatewayd.errors import StoreError
from gatewayd.identity.accounts import DirectorySnapshot
from gatewayd.identity.remembered import DirectoryFile
from gatewayd.model import Directory, DirectoryPage, Identity, Revocation

SOON = 0.001
LATER = 3600.0


class Book:
    """Decisions in memory, which can fail, be slow, and be waited for; told `most` at a time."""

    def __init__(self, **plans: str) -> None:
        self.made: list[tuple[str, str] | Revocation] = list(plans.items())
        self.most = 1_000
        self.breaks_at = LATER  # the version from which on nothing more can be read
        self.reads = 0
        self.told = 0
        self.failure: Exception | None = None
        self.asked = asyncio.Event()
        self.open = asyncio.Event()
        self.open.set()
        self._read = asyncio.Condition()

    async def directory(self, since: int) -> DirectoryPage:
        self.asked.set()
        await self.open.wait()
        async with self._read:
            self.reads += 1
            self._read.notify_all()
        if self.failure:
            raise self.failure
        if since >= self.breaks_at:
            raise StoreError("broke off")
        since = since if since <= len(self.made) else 0
        found = self.made[since : since + self.most]
        self.told += len(found)
        return DirectoryPage(
            since,
            since + len(found),
            dict(each for each in found if not isinstance(each, Revocation)),
            tuple(each for each in found if isinstance(each, Revocation)),
            since + len(found) < len(self.made),
        )

    def assign(self, user_id: str, plan: str) -> None:
        self.made.append((user_id, plan))

    def revoke(self, *revocations: Revocation) -> None:
        self.made += revocations

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
    assert [(await plans.directory()).plans for _ in range(5)] == [{"alice": "gold"}] * 5
    assert book.reads == 1
    await plans.close()


async def test_concurrent_readers_share_one_read() -> None:
    book = Book(alice="gold")
    book.open.clear()
    plans = DirectorySnapshot(book, interval=LATER)
    readers = [asyncio.create_task(plans.directory()) for _ in range(5)]
    await book.asked.wait()
    book.open.set()
    assert [each.plans for each in await asyncio.gather(*readers)] == [{"alice": "gold"}] * 5
    assert book.reads == 1
    await plans.close()


async def test_an_empty_store_is_not_asked_again_for_being_empty() -> None:
    book = Book()
    plans = DirectorySnapshot(book, interval=LATER)
    assert [(await plans.directory()).plans, (await plans.directory()).plans] == [{}] * 2
    assert book.reads == 1
    await plans.close()


async def test_a_document_that_is_too_old_is_read_again() -> None:
    book = Book(alice="free")
    plans = DirectorySnapshot(book, interval=SOON)
    await plans.directory()
    book.assign("alice", "gold")
    while (await plans.directory()).plans != {"alice": "gold"}:
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


async def test_only_what_was_changed_is_read_again_however_much_there_is() -> None:
    book = Book(**{f"user-{number}": "free" for number in range(1_000)})
    book.most = 30
    plans = DirectorySnapshot(book, interval=LATER)
    await plans.start()
    assert (book.told, len((await plans.directory()).plans)) == (1_000, 1_000)
    book.assign("user-7", "gold")
    book.revoke(Revocation("user", "user-8", 1000.0))
    await plans.refresh()
    assert (book.told, plans.plan_of("user-7"), plans.plan_of("user-9")) == (1_002, "gold", "free")
    assert plans.refuses(identity("user-8"))
    await plans.close()


async def test_a_store_put_back_to_an_older_state_is_read_anew_and_in_force_as_a_whole(tmp_path: Path) -> None:
    book = Book(alice="gold", bob="gold", carol="gold")
    book.revoke(Revocation("user", "eve", 1000.0))
    plans = DirectorySnapshot(book, interval=LATER, file=DirectoryFile(tmp_path))
    told: list[tuple[bool, str | None]] = []
    plans.on_change(lambda: told.append((plans.refuses(identity("eve")), plans.plan_of("bob"))))
    await plans.start()
    book.made = [("alice", "free"), ("bob", "free")]
    book.most = 1
    await plans.refresh()
    assert told == [(True, "gold"), (False, "free")]
    assert (await plans.directory()).plans == {"alice": "free", "bob": "free"}
    await plans.close()
    assert DirectoryFile(tmp_path).read() == Directory(0, {"alice": "free", "bob": "free"})


async def test_a_start_that_breaks_off_in_the_middle_leaves_what_was_known_before(tmp_path: Path) -> None:
    DirectoryFile(tmp_path).write(Directory(7, {"alice": "gold", "zoe": "gold"}))
    book = Book(alice="free", bob="free")
    book.most, book.breaks_at = 1, 1
    plans = DirectorySnapshot(book, interval=LATER, file=DirectoryFile(tmp_path))
    await plans.start()
    assert book.told == 1
    assert (plans.loaded, plans.plan_of("alice"), plans.plan_of("zoe")) == (False, "gold", "gold")
    book.breaks_at = LATER
    await plans.refresh()
    assert (await plans.directory()).plans == {"alice": "free", "bob": "free"}
    await plans.close()


async def test_a_slow_disk_keeps_no_decision_from_being_in_force(tmp_path: Path) -> None:
    writing, written = threading.Event(), threading.Event()

    class Slow(DirectoryFile):
        def write(self, directory: Directory) -> None:
            writing.set()
            assert written.wait(20)
            super().write(directory)

    book = Book(alice="free")
    plans = DirectorySnapshot(book, interval=LATER, file=Slow(tmp_path))
    await plans.start()
    await asyncio.to_thread(writing.wait, 20)
    book.assign("alice", "gold")
    await plans.refresh()
    assert plans.plan_of("alice") == "gold"
    written.set()
    await plans.close()
    assert DirectoryFile(tmp_path).read() == Directory(0, {"alice": "gold"})


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
    assert (await staying).plans == {"alice": "gold"}
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
    await plans.close()
    assert "cannot be kept on disk" in caplog.text
