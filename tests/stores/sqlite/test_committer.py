import asyncio
import logging
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable

import pytest

from gatewayd.errors import StoreUnavailable
from gatewayd.stores.sqlite.committer import BATCH, Committer

DOWN = sqlite3.OperationalError("database or disk is full")
FAULT = KeyError("a slip")


class Database:
    """A real one in memory, and works for it; the thread stands still in `wait` while `gate` is closed."""

    def __init__(self) -> None:
        self.connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        self.connection.execute("CREATE TABLE done (name TEXT)")
        self.commits = 0
        self.connection.set_trace_callback(self.trace)
        self.gate = threading.Event()
        self.gate.set()
        self.failure: Exception | None = None
        self.entered = asyncio.Event()
        self.loop = asyncio.get_running_loop()
        self.closed = False

    def trace(self, statement: str) -> None:
        self.commits += statement == "COMMIT"

    def write(self, name: str) -> Callable[[sqlite3.Connection], str]:
        def work(connection: sqlite3.Connection) -> str:
            connection.execute("INSERT INTO done VALUES (?)", (name,))
            if self.failure is not None:
                raise self.failure
            return f"did {name}"

        return work

    def wait(self, connection: sqlite3.Connection) -> str:
        self.loop.call_soon_threadsafe(self.entered.set)
        self.gate.wait()
        return "waited"

    def fail(self, connection: sqlite3.Connection) -> str:
        connection.execute("INSERT INTO done VALUES ('half')")
        raise FAULT

    async def busy(self, committer: Committer) -> asyncio.Task[str]:
        """Keep the thread inside a work until the gate opens."""
        self.gate.clear()
        self.entered.clear()
        task = asyncio.create_task(committer.change(self.wait))
        await self.entered.wait()
        return task

    def close(self) -> None:
        self.connection.close()
        self.closed = True


def done(connection: sqlite3.Connection) -> list[str]:
    return [name for (name,) in connection.execute("SELECT name FROM done")]


@pytest.fixture
async def database() -> Database:
    return Database()


@pytest.fixture
async def committer(database: Database) -> AsyncIterator[Committer]:
    committer = Committer(database.connection, database.close, name="ledger var/x.db", capacity=200)
    yield committer
    database.gate.set()
    await committer.close()


async def test_each_gets_the_answer_to_its_own_work(committer: Committer, database: Database) -> None:
    answers = await asyncio.gather(*(committer.change(database.write(name)) for name in "abc"))
    assert answers == ["did a", "did b", "did c"]


async def test_what_waits_while_one_commits_is_the_next_commit(committer: Committer, database: Database) -> None:
    first = await database.busy(committer)
    others = [asyncio.create_task(committer.change(database.write(str(number)))) for number in range(BATCH + 1)]
    await asyncio.sleep(0)
    before = database.commits
    database.gate.set()
    await asyncio.gather(first, *others)
    assert database.commits - before == 3
    assert await committer.inquire(done) == [str(number) for number in range(BATCH + 1)]


async def test_an_inquiry_sees_the_changes_submitted_before_it(committer: Committer, database: Database) -> None:
    first = await database.busy(committer)
    changes = [asyncio.create_task(committer.change(database.write(name))) for name in "ab"]
    inquiry = asyncio.create_task(committer.inquire(done))
    await asyncio.sleep(0)
    database.gate.set()
    await asyncio.gather(first, *changes)
    assert await inquiry == ["a", "b"]


async def test_beyond_its_capacity_it_refuses_at_once(committer: Committer, database: Database) -> None:
    first = await database.busy(committer)
    others = [asyncio.create_task(committer.change(database.write("x"))) for _ in range(200)]
    await asyncio.sleep(0)
    with pytest.raises(StoreUnavailable):
        await committer.change(database.write("one too many"))
    database.gate.set()
    await asyncio.gather(first, *others)


async def test_a_database_that_refuses_undoes_all_and_tells_everyone(committer: Committer, database: Database) -> None:
    first = await database.busy(committer)
    others = [asyncio.create_task(committer.change(database.write(name))) for name in "abc"]
    await asyncio.sleep(0)
    database.failure = DOWN
    database.gate.set()
    answers = await asyncio.gather(first, *others, return_exceptions=True)
    assert [type(answer) for answer in answers] == [str, *[StoreUnavailable] * 3]
    assert await committer.inquire(done) == []
    database.failure = None
    assert await committer.change(database.write("d")) == "did d"


async def test_an_outage_is_logged_once_and_its_end_once(
    committer: Committer, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    database.failure = DOWN
    for _ in range(5):
        with pytest.raises(StoreUnavailable):
            await committer.change(database.write("a"))
        await committer.inquire(done)
    database.failure = None
    for _ in range(2):
        await committer.change(database.write("a"))
    assert [(each.levelno, each.message) for each in caplog.records] == [
        (logging.ERROR, f"ledger var/x.db cannot be written ({DOWN})"),
        (logging.WARNING, "ledger var/x.db can be written again"),
    ]


async def test_an_inquiry_that_fails_is_told_too(
    committer: Committer, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    database.failure = DOWN
    with pytest.raises(StoreUnavailable):
        await committer.inquire(database.write("a"))
    assert await committer.inquire(done) == []
    assert caplog.messages == [f"ledger var/x.db cannot be read ({DOWN})", "ledger var/x.db can be read again"]


async def test_a_fault_of_one_work_undoes_only_that_one(
    committer: Committer, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    first = await database.busy(committer)
    works = (database.write("a"), database.fail, database.write("b"))
    others = [asyncio.create_task(committer.change(work)) for work in works]
    await asyncio.sleep(0)
    database.gate.set()
    answers = await asyncio.gather(first, *others, return_exceptions=True)
    assert isinstance(answers[2], StoreUnavailable)
    assert await committer.inquire(done) == ["a", "b"]
    (told,) = caplog.records
    assert told.exc_info
    assert told.exc_info[1] is FAULT


async def test_a_caller_who_left_disturbs_nobody(committer: Committer, database: Database) -> None:
    first = await database.busy(committer)
    second = asyncio.create_task(committer.change(database.write("b")))
    await asyncio.sleep(0)
    first.cancel()
    database.gate.set()
    assert await second == "did b"


async def test_closing_does_what_was_submitted_and_then_gives_up_the_database(
    committer: Committer, database: Database
) -> None:
    tasks = [asyncio.create_task(committer.change(database.write(name))) for name in "abc"]
    await asyncio.sleep(0)
    await committer.close()
    assert [task.result() for task in tasks] == ["did a", "did b", "did c"]
    assert database.closed
    await committer.close()
    with pytest.raises(StoreUnavailable):
        await committer.inquire(done)


async def test_a_close_that_is_cancelled_still_closes(committer: Committer, database: Database) -> None:
    first = await database.busy(committer)
    closing = asyncio.create_task(committer.close())
    await asyncio.sleep(0)
    closing.cancel()
    await asyncio.wait([closing])
    database.gate.set()
    await committer.close()
    assert await first == "waited"
    assert database.closed


def test_a_loop_that_ended_without_closing_leaves_the_thread_at_work() -> None:
    done_after_all = threading.Event()
    gate = threading.Event()

    async def leave() -> None:
        database = Database()
        committer = Committer(database.connection, database.close, name="ledger")

        def work(connection: sqlite3.Connection) -> None:
            gate.wait()
            done_after_all.set()

        task = asyncio.create_task(committer.change(work))
        await asyncio.sleep(0)
        task.cancel()

    asyncio.run(leave())
    gate.set()
    assert done_after_all.wait(timeout=10)
