import asyncio
import logging
import sqlite3
import threading
from collections.abc import AsyncIterator, Sequence

import pytest

from gatewayd.errors import StoreUnavailable
from gatewayd.stores.sqlite.writer import BATCH, Writer

DOWN = sqlite3.OperationalError("database or disk is full")


class Table:
    """Stands for the database: the batches it took; closed while `gate` is, and failing while `failure` is set."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.gate.set()
        self.failure: Exception | None = None
        self.entered = asyncio.Event()
        self.batches: list[list[str]] = []
        self.refused: list[list[str]] = []
        self.closed = False
        self.loop = asyncio.get_running_loop()

    def commit(self, batch: Sequence[str]) -> Sequence[object | Exception]:
        self.loop.call_soon_threadsafe(self.entered.set)
        self.gate.wait()
        if self.failure is not None:
            self.refused.append(list(batch))
            raise self.failure
        self.batches.append(list(batch))
        return [ValueError(work) if work == "faulty" else f"did {work}" for work in batch]

    def close(self) -> None:
        self.closed = True

    async def busy(self, writer: Writer[str]) -> asyncio.Future[str]:
        """Submit one that stays inside `commit` until the gate opens."""
        self.gate.clear()
        self.entered.clear()
        future = writer.submit("first")
        await self.entered.wait()
        return future

    async def attempts(self, number: int) -> None:
        """Return when so many more commits have begun."""
        for _ in range(number):
            self.entered.clear()
            await self.entered.wait()


@pytest.fixture
async def table() -> Table:
    return Table()


@pytest.fixture
async def writer(table: Table) -> AsyncIterator[Writer[str]]:
    writer: Writer[str] = Writer(table.commit, table.close, name="ledger var/x.db", capacity=8, retry_seconds=0.005)
    yield writer
    table.failure = None
    table.gate.set()
    await writer.close()


async def test_each_gets_the_answer_to_its_own_work(writer: Writer[str]) -> None:
    futures = [writer.submit(work) for work in ("a", "faulty", "b")]
    answers = await asyncio.gather(*futures, return_exceptions=True)
    assert [str(answer) for answer in answers] == ["did a", "faulty", "did b"]
    assert isinstance(answers[1], ValueError)


async def test_what_is_queued_while_one_commits_is_the_next_commit(writer: Writer[str], table: Table) -> None:
    await_first = await table.busy(writer)
    others = [writer.submit(f"w{number}") for number in range(5)]
    assert writer.pending == 6
    table.gate.set()
    await asyncio.gather(await_first, *others)
    assert table.batches == [["first"], ["w0", "w1", "w2", "w3", "w4"]]
    assert writer.pending == 0


async def test_a_commit_is_of_a_bounded_size(writer: Writer[str], table: Table) -> None:
    first = await table.busy(writer)
    kept = [writer.submit(str(number), kept=True) for number in range(BATCH + 1)]
    table.gate.set()
    await asyncio.gather(first, *kept)
    assert [len(batch) for batch in table.batches] == [1, BATCH, 1]


async def test_beyond_its_capacity_it_refuses_at_once_all_but_kept_work(writer: Writer[str], table: Table) -> None:
    first = await table.busy(writer)
    others = [writer.submit(f"w{number}") for number in range(7)]
    with pytest.raises(StoreUnavailable):
        await writer.submit("one too many")
    kept = writer.submit("kept", kept=True)
    table.gate.set()
    await asyncio.gather(first, *others, kept)
    assert table.batches[1][-1] == "kept"


async def test_a_failed_commit_refuses_what_may_be_refused_and_retries_the_rest_in_order(
    writer: Writer[str], table: Table
) -> None:
    first = await table.busy(writer)
    kept = [writer.submit("k0", kept=True)]
    refused = writer.submit("hold")
    kept.append(writer.submit("k1", kept=True))
    table.failure = DOWN
    table.gate.set()
    with pytest.raises(StoreUnavailable):
        await first
    with pytest.raises(StoreUnavailable):
        await refused
    assert writer.pending == 2
    kept.append(writer.submit("k2", kept=True))
    await table.attempts(3)
    table.failure = None
    assert await asyncio.gather(*kept) == ["did k0", "did k1", "did k2"]
    assert table.batches == [["k0", "k1", "k2"]]


async def test_while_kept_work_waits_nothing_new_is_let_in(writer: Writer[str], table: Table) -> None:
    table.failure = DOWN
    kept = writer.submit("kept", kept=True)
    await table.attempts(2)
    with pytest.raises(StoreUnavailable):
        await writer.submit("hold")
    assert all(batch == ["kept"] for batch in table.refused)
    table.failure = None
    await kept
    assert await writer.submit("hold") == "did hold"


async def test_a_failure_that_kept_nothing_lets_the_next_one_try(writer: Writer[str], table: Table) -> None:
    table.failure = DOWN
    with pytest.raises(StoreUnavailable):
        await writer.submit("hold")
    table.failure = None
    assert await writer.submit("hold") == "did hold"


async def test_a_failure_is_logged_once_and_the_recovery_once(
    writer: Writer[str], table: Table, caplog: pytest.LogCaptureFixture
) -> None:
    table.failure = DOWN
    kept = writer.submit("kept", kept=True)
    await table.attempts(5)
    table.failure = None
    await kept
    await writer.submit("more")
    assert [(each.levelno, each.message) for each in caplog.records] == [
        (logging.ERROR, f"ledger var/x.db cannot be written ({DOWN}): callers with a quota get 503"),
        (logging.WARNING, "ledger var/x.db can be written again"),
    ]
    assert not caplog.records[0].exc_info


async def test_a_fault_of_our_own_is_logged_with_its_trace_and_stops_nothing(
    writer: Writer[str], table: Table, caplog: pytest.LogCaptureFixture
) -> None:
    table.failure = KeyError("a slip")
    with pytest.raises(StoreUnavailable):
        await writer.submit("hold")
    assert caplog.records[0].exc_info
    table.failure = None
    assert await writer.submit("hold") == "did hold"


async def test_closing_writes_what_is_queued_and_then_gives_up_the_database(writer: Writer[str], table: Table) -> None:
    futures = [writer.submit(f"w{number}") for number in range(5)]
    await writer.close()
    assert [future.result() for future in futures] == [f"did w{number}" for number in range(5)]
    assert table.closed
    await writer.close()
    with pytest.raises(StoreUnavailable):
        await writer.submit("late")


async def test_closing_waits_for_a_database_that_comes_back(writer: Writer[str], table: Table) -> None:
    table.failure = DOWN
    kept = writer.submit("kept", kept=True)
    closing = asyncio.create_task(writer.close())
    await table.attempts(3)
    assert not closing.done()
    table.failure = None
    await closing
    assert kept.result() == "did kept"


async def test_closing_gives_up_in_the_end_and_says_how_much_was_lost(
    writer: Writer[str], table: Table, caplog: pytest.LogCaptureFixture
) -> None:
    table.failure = DOWN
    kept = [writer.submit(f"k{number}", kept=True) for number in range(3)]
    await writer.close()
    assert "ledger var/x.db: 3 settlements could not be written before the stop" in caplog.text
    assert all(isinstance(future.exception(), StoreUnavailable) for future in kept)
    assert writer.pending == 0
    assert table.closed


async def test_a_caller_who_gave_up_does_not_disturb_the_others(writer: Writer[str], table: Table) -> None:
    first = await table.busy(writer)
    second = writer.submit("second")
    first.cancel()
    table.gate.set()
    assert await second == "did second"
    assert writer.pending == 0


async def test_a_close_that_is_cancelled_still_closes(writer: Writer[str], table: Table) -> None:
    await table.busy(writer)
    closing = asyncio.create_task(writer.close())
    await asyncio.sleep(0)
    closing.cancel()
    await asyncio.wait([closing])
    table.gate.set()
    await writer.close()
    assert table.closed


def test_a_loop_that_ended_without_closing_leaves_the_thread_at_work() -> None:
    done = threading.Semaphore(0)

    def commit(batch: Sequence[str]) -> Sequence[object]:
        gate.wait()
        for _ in batch:
            done.release()
        return batch

    async def leave() -> Writer[str]:
        writer: Writer[str] = Writer(commit, lambda: None, name="ledger")
        writer.submit("first", kept=True)
        writer.submit("second", kept=True)
        return writer

    gate = threading.Event()
    writer = asyncio.run(leave())
    gate.set()
    assert done.acquire(timeout=10)
    assert done.acquire(timeout=10)
    asyncio.run(writer.close())
