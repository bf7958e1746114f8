"""The worker's side: what it serves when others are away, and what of it is safe."""

import asyncio
from pathlib import Path

import pytest

from gatewayd.books import ledger
from gatewayd.books.ledger import LeasedLedger
from gatewayd.errors import StoreError, StoreUnavailable
from gatewayd.model import Hold
from gatewayd.stores.journal.troubles import JournalFull
from gatewayd.stores.journal.writer import open_journal
from tests.books.faulty import Weather
from tests.books.offices import office
from tests.daemons import PATIENCE
from tests.pauses import CalmClock
from tests.stores.ledgers import hold, record


def named(number: int) -> Hold:
    """One whose id is as long as a request's, so that what is written of it may gather."""
    return hold(f"{number:032x}")


def is_sealed(worker: LeasedLedger) -> bool:
    return worker._journal.is_sealed


async def test_while_the_ledger_is_away_leases_and_unlimited_units_are_served_and_others_told(
    tmp_path: Path, weather: Weather
) -> None:
    async with office(tmp_path) as books:
        worker = await books.worker()
        for name in ("r1", "r2", "r3"):
            await worker.hold(hold(name, limit=10))
            worker.settle(record(hold(name)))
        weather.away = True
        assert (await worker.hold(hold("leased", limit=10))).granted
        worker.settle(record(hold("leased")))
        assert (await worker.hold(hold("unlimited", unit="tokens", limit=0))).granted
        worker.settle(record(hold("unlimited", unit="tokens", limit=0)))
        with pytest.raises(StoreUnavailable):
            await worker.hold(hold("nobody can say", user="bob"))
        weather.away = False
        while True:
            try:
                assert not (await worker.hold(hold("too much", units=7, limit=10))).granted
                break
            except StoreUnavailable:
                await asyncio.sleep(0.01)
        assert (await worker.hold(hold("all the rest", units=6, limit=10))).granted
        worker.settle(record(hold("all the rest", units=6)))
        await worker.close()
    assert books.audit() == {("alice", "api_calls", "2025-11"): 10, ("alice", "tokens", "2025-11"): 1}


@pytest.mark.parametrize("served", [1, 5, 6, 14, 15])
async def test_whoever_was_just_served_and_has_units_left_has_a_lease_to_go_on_with(
    tmp_path: Path, weather: Weather, served: int
) -> None:
    async with office(tmp_path) as books:
        worker = await books.worker()
        await worker.balances("alice", "2025-11")  # it has met the bookkeeper, and asks for nothing twice
        for number in range(served):
            await worker.hold(hold(f"r{number}", limit=1000))
            worker.settle(record(hold(f"r{number}")))
        await worker.balances("alice", "2025-11")  # asked last, so what was asked before is answered
        weather.away = True
        assert (await worker.hold(hold("next", limit=1000))).granted
        worker.settle(record(hold("next")))
        weather.away = False
        await worker.close()
    assert books.audit() == {("alice", "api_calls", "2025-11"): served + 1}


async def test_idle_leases_are_kept_while_the_ledger_could_not_take_them_back(
    tmp_path: Path, weather: Weather, monkeypatch: pytest.MonkeyPatch
) -> None:
    swept, sleep, between = asyncio.Semaphore(0), asyncio.sleep, 0.0123

    async def counted(seconds: float) -> None:
        if seconds == between:
            swept.release()
        await sleep(seconds)

    monkeypatch.setattr(asyncio, "sleep", counted)
    monkeypatch.setattr(ledger, "SWEEP_SECONDS", between)
    async with office(tmp_path) as books:
        worker = await books.worker()
        await worker.hold(hold("first", limit=10))
        worker.settle(record(hold("first")))
        weather.away = True
        with pytest.raises(StoreUnavailable):
            await worker.hold(hold("nobody can say", user="bob"))
        monkeypatch.setattr(ledger, "IDLE_SECONDS", -1.0)
        swept = asyncio.Semaphore(0)
        async with asyncio.timeout(PATIENCE):
            for _ in range(3):
                await swept.acquire()
        assert (await worker.hold(hold("second", limit=10))).granted
        worker.settle(record(hold("second")))
        weather.away = False
        await worker.close()
    assert books.audit() == {("alice", "api_calls", "2025-11"): 2}


async def test_what_a_crowd_leaves_idle_goes_back_in_one_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[object] = []
    async with office(tmp_path) as books:
        worker = await books.worker()
        names = [f"user {number}" for number in range(20)]
        for name in names:
            await worker.hold(hold(name, user=name))
            worker.settle(record(hold(name, user=name)))
        say = worker._link.say

        def listen(*words: object) -> None:
            said.append(words[0])
            say(*words)

        monkeypatch.setattr(worker._link, "say", listen)
        monkeypatch.setattr(ledger, "IDLE_SECONDS", -1.0)
        assert books.bookkeeper is not None
        async with asyncio.timeout(PATIENCE):
            while any(lease.idle for lease in worker._leases.all()):
                await asyncio.sleep(0.01)
            while books.bookkeeper._staff.outstanding:
                await asyncio.sleep(0.01)
        await worker.close()
    assert said.count("idle") == 1
    assert "back" not in said
    assert sum(books.audit().values()) == 20


async def test_what_waits_for_a_ledger_that_is_away_is_told_as_pending(tmp_path: Path, weather: Weather) -> None:
    async with office(tmp_path) as books:
        assert books.bookkeeper is not None
        worker = await books.worker()
        weather.away = True
        for number in range(2_500):
            served = hold(f"r{number}", limit=0)
            assert (await worker.hold(served)).granted
            worker.settle(record(served))
        while books.bookkeeper.status() != {"up": False, "pending": 2_500, "drift": 0}:
            await asyncio.sleep(0.01)
        weather.away = False
        while books.bookkeeper.status() != {"up": True, "pending": 0, "drift": 0}:
            await asyncio.sleep(0.01)
        await worker.close()
    assert sum(books.audit().values()) == 2_500


async def test_denying_refuses_everybody_while_the_ledger_is_away(tmp_path: Path, weather: Weather) -> None:
    weather.away = True
    async with office(tmp_path) as books:
        journal = open_journal(books.settings.server.state_dir / "journal")
        worker = LeasedLedger(journal, books.path, CalmClock(), on_outage="deny")
        await worker.start()
        with pytest.raises(StoreUnavailable):
            await worker.hold(hold("limited"))
        with pytest.raises(StoreUnavailable):
            await worker.hold(hold("unlimited", limit=0))
        await worker.close()
        weather.away = False


async def test_a_full_journal_holds_nothing(tmp_path: Path) -> None:
    async with office(tmp_path) as books:
        journal = open_journal(tmp_path / "journal", segment_bytes=4096, most_bytes=4 * 4096)
        worker = LeasedLedger(journal, books.path, CalmClock())
        await worker.start()
        names = [f"r{number}" for number in range(90)]
        answers = await asyncio.gather(*(worker.hold(hold(name)) for name in names), return_exceptions=True)
        held = [name for name, answer in zip(names, answers, strict=True) if not isinstance(answer, JournalFull)]
        assert len(held) < len(names)
        for name in held:
            worker.release(name)
        assert (await worker.hold(hold("all", units=100))).granted
        worker.release("all")
        await worker.close()


async def test_on_disk_means_that_a_flush_was_waited_for_and_its_failure_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with office(tmp_path) as books:
        journal = open_journal(tmp_path / "journal")
        worker = LeasedLedger(journal, books.path, CalmClock(), durability="disk")
        await worker.start()
        await worker.hold(hold("r1"))
        await worker.hold(hold("r2"))
        safe = worker.settle(record(hold("r1")))
        assert safe is not None
        await safe

        def fail() -> None:
            raise StoreError("the disk is gone")

        monkeypatch.setattr(worker._flusher, "_flush", fail)
        unsafe = worker.settle(record(hold("r2")))
        assert unsafe is not None
        with pytest.raises(StoreError, match="the disk is gone"):
            await unsafe
        await worker.close()


async def test_what_a_turn_held_and_settled_is_written_at_its_end_or_when_it_is_sealed(tmp_path: Path) -> None:
    async with office(tmp_path) as books:
        worker = await books.worker()
        journal, clock = worker._journal, books.clock
        await worker.hold(named(0))  # in full
        for number in (1, 2):
            assert worker.hold_at_once(named(number), clock.monotonic()) is not None
            assert worker.settle(record(named(number))) is None
            assert not is_sealed(worker)
            if number == 1:
                worker.seal()
                assert is_sealed(worker)
        before = journal.position
        await asyncio.sleep(0)
        assert is_sealed(worker)
        assert journal.position > before
        worker.settle(record(named(0)))
        await worker.close()
    assert sum(books.audit().values()) == 3


async def test_the_bookkeeper_is_told_nothing_before_what_was_done_is_written(tmp_path: Path) -> None:
    async with office(tmp_path) as books:
        worker = await books.worker()
        await worker.hold(named(0))
        worker.hold_at_once(named(1), books.clock.monotonic())
        assert not is_sealed(worker)
        worker._tell_grown()
        assert is_sealed(worker)
        worker.settle(record(named(0)))
        worker.settle(record(named(1)))
        assert not is_sealed(worker)
        worker._say_all()  # the position stands behind all that was drawn
        assert is_sealed(worker)
        await worker.close()
    assert sum(books.audit().values()) == 2


async def test_what_is_to_survive_power_loss_is_written_before_it_is_flushed(tmp_path: Path) -> None:
    async with office(tmp_path) as books:
        journal = open_journal(tmp_path / "journal", gathers=True)
        worker = LeasedLedger(journal, books.path, CalmClock(), durability="disk")
        await worker.start()
        for number in (0, 1):
            await worker.hold(named(number))
        safe = worker.settle(record(named(1)))
        assert journal.is_sealed
        assert safe is not None
        await safe
        worker.release(named(0).id)
        await worker.close()


async def test_a_repeat_of_the_end_changes_nothing(tmp_path: Path) -> None:
    async with office(tmp_path) as books:
        worker = await books.worker()
        await worker.hold(hold("r1"))
        worker.settle(record(hold("r1")))
        assert worker.settle(record(hold("r1"))) is None
        assert worker.release("r1") is None
        with pytest.raises(ValueError, match="utf-8"):
            await worker.hold(hold("r2", user="half \ud800 a pair"))
        await worker.close()
    assert books.audit() == {("alice", "api_calls", "2025-11"): 1}


async def test_what_a_dead_worker_was_serving_is_recorded_and_the_rest_is_free(tmp_path: Path) -> None:
    async with office(tmp_path) as books:
        doomed, heir = await books.worker(), await books.worker()
        for name in ("r1", "r2"):
            assert (await doomed.hold(hold(name, units=10, cost=3))).granted
        await doomed._link.close()
        doomed._journal._lock.release()
        granted = False
        while not granted:
            try:
                granted = (await heir.hold(hold("all the rest", units=94))).granted
            except StoreUnavailable:
                await asyncio.sleep(0.01)
        assert not (await heir.hold(hold("one more"))).granted
        heir.release("all the rest")
        await heir.close()
        assert doomed._sweeper is not None
        doomed._sweeper.cancel()
    assert books.audit() == {("alice", "api_calls", "2025-11"): 6}
