import asyncio
import sqlite3
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from gatewayd.errors import StoreError, StoreUnavailable
from gatewayd.model import Account
from gatewayd.stores.base import Batch, Sheet, Standing
from gatewayd.stores.sqlite import opening
from gatewayd.stores.sqlite.opening import Opened, open_file
from gatewayd.stores.sqlite.reader import open_reader
from gatewayd.stores.sqlite.store import SqliteStore, open_store
from tests.clocks import ManualClock
from tests.stores.ledgers import ALICE, audit, batch, drift, posting, want

NODE = "node-1"
BULKY = replace(posting("bulky"), agent="x" * 100_000)


class Trouble:
    """A database in real trouble, until it is over."""

    def __init__(self, opened: Opened) -> None:
        self.connection = opened.connection
        self.file = opened.file

    def begin(self) -> None:
        raise NotImplementedError

    def end(self) -> None:
        raise NotImplementedError


class Full(Trouble):
    def begin(self) -> None:
        (pages,) = self.connection.execute("PRAGMA page_count").fetchone()
        self.connection.execute(f"PRAGMA max_page_count = {pages}")

    def end(self) -> None:
        self.connection.execute("PRAGMA max_page_count = 1000000")


class ReadOnly(Trouble):
    def begin(self) -> None:
        self.connection.execute("PRAGMA query_only = on")

    def end(self) -> None:
        self.connection.execute("PRAGMA query_only = off")


class Locked(Trouble):
    def begin(self) -> None:
        self.other = sqlite3.connect(self.file, isolation_level=None)
        self.other.execute("BEGIN IMMEDIATE")

    def end(self) -> None:
        self.other.close()


class Damaged(Trouble):
    """A table of ours is missing: what reads and writes it fails, in the middle of a transaction."""

    def begin(self) -> None:
        self.connection.execute("ALTER TABLE usage_leases RENAME TO elsewhere")

    def end(self) -> None:
        self.connection.execute("ALTER TABLE elsewhere RENAME TO usage_leases")


class Moved(Trouble):
    def begin(self) -> None:
        self.file.rename(self.file.with_name("elsewhere.db"))

    def end(self) -> None:
        self.file.with_name("elsewhere.db").rename(self.file)


class Replaced(Moved):
    def begin(self) -> None:
        super().begin()
        self.file.touch()


@pytest.fixture
def opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Opened:
    monkeypatch.setattr(opening, "BUSY_SECONDS", 0.001)
    return open_file(str(tmp_path / "ledger.db"), "process")


@pytest.fixture
async def store(opened: Opened) -> AsyncIterator[SqliteStore]:
    store = SqliteStore(opened)
    yield store
    await store.close()


@pytest.mark.parametrize("kind", [Full, ReadOnly, Locked, Damaged, Moved, Replaced])
async def test_a_database_in_trouble_does_nothing_by_halves_and_works_when_it_is_over(
    store: SqliteStore, opened: Opened, caplog: pytest.LogCaptureFixture, kind: type[Trouble]
) -> None:
    await store.lease(NODE, [want(most=30)])
    trouble = kind(opened)
    trouble.begin()
    bulky = Batch([BULKY, posting("r1")], returned={ALICE: 3}, in_flight={ALICE: 2})
    for _ in range(3):
        with pytest.raises(StoreUnavailable):
            await store.post(NODE, bulky)
    trouble.end()
    assert await store.leases(NODE) == {ALICE: 30}
    await store.post(NODE, bulky)
    assert await store.leases(NODE) == {ALICE: 25}
    with open_reader(str(opened.file)) as reader:
        assert [row.id for row in reader.records()] == ["bulky", "r1"]
        assert audit(reader).total() == 2
    assert [each.levelname for each in caplog.records] == ["ERROR", "WARNING"]
    assert "cannot be written (" in caplog.messages[0]
    assert caplog.messages[1] == f"ledger {opened.file} can be written again"


@pytest.mark.parametrize("kind", [ReadOnly, Locked, Damaged, Moved, Replaced])
async def test_no_lease_is_granted_while_the_database_is_in_trouble(
    store: SqliteStore, opened: Opened, kind: type[Trouble]
) -> None:
    trouble = kind(opened)
    trouble.begin()
    answers = await asyncio.gather(*(store.lease(NODE, [want()]) for _ in range(20)), return_exceptions=True)
    assert all(isinstance(answer, StoreUnavailable) for answer in answers)
    trouble.end()
    assert (await store.lease(NODE, [want(limit=1)]))[0].units == 1


async def test_a_database_that_cannot_be_written_can_still_be_read(store: SqliteStore, opened: Opened) -> None:
    await store.post(NODE, batch(posting()))
    trouble = Locked(opened)
    trouble.begin()
    assert [balance.spent for balance in await store.balances("alice", "2025-11")] == [1]
    assert await drift(store, [ALICE]) == 0
    trouble.end()


async def test_leases_of_a_daemon_that_has_the_file_no_longer_are_free_again(
    store: SqliteStore, opened: Opened, caplog: pytest.LogCaptureFixture
) -> None:
    others = [Account(f"user-{n}", "api_calls", "2025-11") for n in range(3)]
    await store.lease("node-0", [want(most=60), *(want(account, most=7) for account in others)])
    assert [grant.units for grant in await store.lease("node-2", [want(most=90)])] == [90]
    assert [grant.units for grant in await store.lease("node-1", [want(most=95)])] == [95]
    assert await store.leases("node-0") == await store.leases("node-2") == {}
    assert caplog.messages == [
        f"leases of {node}, a daemon that has this ledger no longer, are free again" for node in ("node-0", "node-2")
    ]
    await store.post("node-0", batch(posting(quantity=4)))
    assert await store.leases("node-1") == {ALICE: 95}
    with open_reader(str(opened.file)) as reader:
        assert audit(reader).total() == 4
        assert {account: held for account, (held, _) in reader.leased().items() if held} == {ALICE: 95}


async def test_a_want_that_cannot_be_stored_is_granted_nothing_and_spoils_nothing(
    store: SqliteStore, caplog: pytest.LogCaptureFixture
) -> None:
    absurd = [want(Account("\ud800", "api_calls", "2025-11")), want(limit=2**53), want(limit=5, most=2**70)]
    grants = await store.lease(NODE, [want(most=2), *absurd, want(most=3)])
    assert [grant.units for grant in grants] == [2, 0, 0, 0, 3]
    assert caplog.text.count("cannot be stored") == 3


async def test_a_file_locked_by_another_program_at_the_start_may_be_free_in_a_moment(
    tmp_path: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening, "BUSY_SECONDS", 0.0)
    path = str(tmp_path / "ledger.db")
    await (await open_store(path, "process", clock)).close()
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(StoreUnavailable) as refused:
        await open_store(path, "process", clock)
    assert "is locked by another program" in str(refused.value.__cause__)
    assert path not in str(refused.value)
    other.close()
    await (await open_store(path, "process", clock)).close()


async def test_a_second_daemon_on_the_file_is_refused(tmp_path: Path, clock: ManualClock) -> None:
    first = await open_store(str(tmp_path / "ledger.db"), "process", clock)
    with pytest.raises(StoreError, match="in use by another gatewayd"):
        await open_store(str(tmp_path / "ledger.db"), "process", clock)
    await first.close()


@pytest.mark.parametrize("kind", [Moved, Replaced, Locked])
async def test_a_balance_of_a_file_that_could_not_be_written_cannot_be_looked_up_to_lend_of_it(
    store: SqliteStore, opened: Opened, kind: type[Trouble]
) -> None:
    await store.lease(NODE, [want(most=30)])
    trouble = kind(opened)
    trouble.begin()
    with pytest.raises(StoreUnavailable):
        await store.standings([want()])
    trouble.end()
    assert await store.standings([want()]) == [Standing(100, 0)]


async def test_standings_are_as_last_committed_and_none_of_what_cannot_be_stored(
    store: SqliteStore, caplog: pytest.LogCaptureFixture
) -> None:
    new = ALICE._replace(user_id="new")
    await store.post(NODE, batch(posting(quantity=7, drawn=0)))
    await store.lease(NODE, [want(most=30)])
    broken = want(ALICE._replace(user_id="\ud800"))
    assert await store.standings([want(), want(new), broken]) == [Standing(100, 7), Standing(None, 0), None]
    assert "cannot be stored (a text is not Unicode)" in caplog.text


async def test_rows_of_what_is_leased_say_what_they_are_told_to_with_the_records_of_a_batch(
    store: SqliteStore, opened: Opened
) -> None:
    bob = ALICE._replace(user_id="bob")
    await store.enter(NODE, batch(posting(quantity=2)), Sheet({ALICE: 50, bob: 60}, {ALICE: 30, bob: 4}, ()))
    assert await store.leases(NODE) == {ALICE: 28, bob: 4}
    await store.enter(NODE, Batch([posting("r2")], in_flight={bob: 3}), Sheet({}, {ALICE: 0, bob: 0}, (ALICE,)))
    assert (await store.leases(NODE), await store.in_flight(NODE)) == ({}, {bob: 3})
    await store.enter(NODE, Batch(in_flight={bob: 0}), Sheet({}, {}, ()))
    with open_reader(str(opened.file)) as reader:
        assert audit(reader).total() == 3
        assert reader.leased() == {ALICE: (0, 0), bob: (0, 0)}
        assert reader.nodes() == []
        assert {each.user_id: each.limit for each in reader.balances()} == {"alice": 50, "bob": 60}


async def test_a_record_that_fails_takes_the_rows_of_its_batch_with_it(store: SqliteStore, opened: Opened) -> None:
    trouble = Full(opened)
    trouble.begin()
    with pytest.raises(StoreUnavailable):
        await store.enter(NODE, Batch([BULKY]), Sheet({ALICE: 50}, {ALICE: 30}, ()))
    trouble.end()
    assert (await store.leases(NODE), await store.standings([want()])) == ({}, [Standing(None, 0)])
