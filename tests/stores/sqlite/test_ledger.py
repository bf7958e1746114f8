import asyncio
import sqlite3
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from gatewayd.errors import StoreError, StoreUnavailable
from gatewayd.stores.sqlite import opening
from gatewayd.stores.sqlite.ledger import SqliteLedger, open_ledger
from gatewayd.stores.sqlite.opening import Opened, open_file
from gatewayd.stores.sqlite.reader import open_reader
from tests.clocks import ManualClock
from tests.stores.ledgers import audit, hold, record


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


@pytest.fixture
def opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Opened:
    monkeypatch.setattr(opening, "BUSY_SECONDS", 0.001)
    return open_file(str(tmp_path / "ledger.db"), "process")


@pytest.fixture
async def ledger(opened: Opened) -> AsyncIterator[SqliteLedger]:
    ledger = SqliteLedger(opened, retry_seconds=0.005)
    yield ledger
    await ledger.close()


@pytest.mark.parametrize("kind", [Full, ReadOnly, Locked])
async def test_a_database_in_trouble_refuses_holds_and_loses_no_settlement(
    ledger: SqliteLedger, opened: Opened, caplog: pytest.LogCaptureFixture, kind: type[Trouble]
) -> None:
    settled, released, bulky = hold("r1"), hold("r2"), hold("r3")
    for request in (settled, released, bulky):
        await ledger.hold(request)
    trouble = kind(opened)
    trouble.begin()
    settlements = [
        ledger.settle(replace(record(bulky), agent="x" * 100_000)),
        ledger.settle(record(settled)),
        ledger.release(released.id),
    ]
    with pytest.raises(StoreUnavailable):
        await ledger.hold(hold("r4"))
    with pytest.raises(StoreUnavailable):
        await ledger.hold(hold("r5"))
    assert ledger.pending == 3
    trouble.end()
    await asyncio.gather(*settlements)
    assert (await ledger.hold(hold("r4"))).balance.held == 1
    await ledger.release("r4")
    with open_reader(str(opened.file)) as reader:
        assert [row.id for row in reader.records()] == ["r3", "r1"]
        assert audit(reader).total() == 2
    assert len([each for each in caplog.records if "cannot be written" in each.message]) == 1
    assert len([each for each in caplog.records if "can be written again" in each.message]) == 1


async def test_what_a_stop_could_not_write_is_charged_as_unknown_at_the_next_start(
    tmp_path: Path, ledger: SqliteLedger, opened: Opened, clock: ManualClock
) -> None:
    await ledger.hold(hold("r1", cost=3))
    opened.connection.execute("PRAGMA query_only = on")
    ledger.settle(record(hold("r1"), quantity=1))
    await ledger.close()
    await open_ledger(str(opened.file), "process", clock).close()
    with open_reader(str(opened.file)) as reader:
        assert [(row.outcome, row.quantity) for row in reader.records()] == [("unknown", 3)]
        audit(reader)


async def test_a_start_that_cannot_close_what_was_left_open_is_refused_and_frees_the_file(
    tmp_path: Path, clock: ManualClock
) -> None:
    path = tmp_path / "ledger.db"
    ledger = open_ledger(str(path), "process", clock)
    await ledger.hold(hold())
    await ledger.close()
    connection = sqlite3.connect(path)
    connection.execute("CREATE TRIGGER no BEFORE DELETE ON usage_holds BEGIN SELECT raise(FAIL, 'no'); END")
    connection.close()
    for _ in range(2):
        with pytest.raises(StoreError, match=f"ledger {path} cannot be used"):
            open_ledger(str(path), "process", clock)


async def test_an_end_before_the_beginning_is_put_at_the_beginning(tmp_path: Path, clock: ManualClock) -> None:
    path = str(tmp_path / "ledger.db")
    ledger = open_ledger(path, "process", clock)
    await ledger.hold(hold())
    await ledger.close()
    await open_ledger(path, "process", ManualClock(utc=1_000.0)).close()
    with open_reader(path) as reader:
        (row,) = reader.records()
    assert row.ended_at == row.started_at
