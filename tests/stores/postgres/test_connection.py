import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import psycopg2
import pytest

from gatewayd.commands.common import new_event_loop
from gatewayd.errors import StoreUnavailable
from gatewayd.stores.postgres import connection
from gatewayd.stores.postgres.address import located
from gatewayd.stores.postgres.connection import Lane, Row, Server, Session
from tests import postgres
from tests.patience import PATIENCE
from tests.pauses import skip
from tests.postgres import PASSWORD

LONG = 1_000.0
"""Seconds that no test lives to see, but for those that skip them."""


def lane(rest: str, *, width: int = 1, seconds: float = 2.5) -> Lane:
    return Lane(Server(located(rest)), width, seconds)


async def backend(session: Session) -> int:
    ((pid,),) = await session.rows("SELECT pg_backend_pid()")
    return int(pid)


async def hang(session: Session) -> list[Row]:
    return list(await session.rows("SELECT pg_sleep(60)"))


async def given_up(calls: Lane, work: Callable[[Session], Awaitable[object]]) -> None:
    """A call that does not end is away when its time is over."""
    calling = asyncio.create_task(calls.run(work))
    await asyncio.sleep(0)  # it waits for the server
    skip(LONG)
    with pytest.raises(StoreUnavailable):
        await calling


async def test_a_connection_is_used_again(rest: str) -> None:
    calls = lane(rest)
    assert await calls.run(backend) == await calls.run(backend)
    calls.close()


async def test_the_server_bounds_what_a_daemon_may_leave_behind(rest: str) -> None:
    async def settings(session: Session) -> list[str]:
        names = ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout", "synchronous_commit")
        shown = [await session.rows(f"SHOW {name}") for name in (*names, "application_name")]
        return [value for ((value,),) in shown]

    calls = lane(rest)
    assert await calls.run(settings) == ["4s", "3s", "5s", "on", "gatewayd"]
    calls.close()


async def test_no_more_calls_than_the_lane_is_wide_are_under_way(rest: str) -> None:
    calls, busy, most = lane(rest, width=2), 0, 0

    async def work(session: Session) -> None:
        nonlocal busy, most
        busy += 1
        most = max(most, busy)
        await session.rows("SELECT pg_sleep(0.01)")
        busy -= 1

    await asyncio.gather(*(calls.run(work) for _ in range(6)))
    assert most == 2
    calls.close()


async def test_a_call_that_takes_too_long_ends_and_the_next_one_has_a_new_connection(rest: str) -> None:
    calls = lane(rest, seconds=LONG)
    before = await calls.run(backend)
    await given_up(calls, hang)
    assert await calls.run(backend) != before
    calls.close()


async def test_a_server_that_does_not_answer_counts_as_gone(postgres: postgres.Server, rest: str) -> None:
    calls, fresh = lane(rest, seconds=LONG), lane(rest, seconds=LONG)
    await calls.run(backend)
    with postgres.frozen():
        for each in (calls, fresh):
            await given_up(each, backend)
    assert await calls.run(backend)
    assert await fresh.run(backend)
    calls.close()
    fresh.close()


async def test_a_statement_that_the_server_cancels_is_no_cancellation_of_ours(rest: str) -> None:
    async def cancelled(session: Session) -> None:
        await session.rows("SET statement_timeout = '20ms'")
        await session.rows("SELECT pg_sleep(60)")

    calls = lane(rest)
    with pytest.raises(StoreUnavailable):
        await calls.run(cancelled)
    assert await calls.run(backend)
    calls.close()


async def test_a_caller_who_leaves_takes_a_connection_in_use_along(rest: str) -> None:
    calls, began = lane(rest), asyncio.Event()

    async def work(session: Session) -> None:
        await session.rows("BEGIN")
        began.set()
        await hang(session)

    before = await calls.run(backend)
    task = asyncio.create_task(calls.run(work))
    await began.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await calls.run(backend) != before
    calls.close()


async def test_a_connection_that_died_while_nobody_used_it_costs_one_call_at_most(
    postgres: postgres.Server, rest: str
) -> None:
    calls = lane(rest)
    pid = await calls.run(backend)
    postgres.execute(f"SELECT pg_terminate_backend({pid}, 5000)")
    try:
        after = await calls.run(backend)
    except StoreUnavailable:
        after = await calls.run(backend)
    assert after != pid
    calls.close()


async def test_a_connection_that_was_seen_to_die_costs_no_call(postgres: postgres.Server, rest: str) -> None:
    calls = lane(rest)
    pid = await calls.run(backend)
    postgres.execute(f"SELECT pg_terminate_backend({pid}, 5000)")
    (idle,) = calls._idle
    async with asyncio.timeout(PATIENCE):
        while not idle.closed:
            await asyncio.sleep(0)
    assert await calls.run(backend) != pid
    calls.close()


async def test_a_connection_that_dies_in_use_wakes_its_caller(postgres: postgres.Server, rest: str) -> None:
    calls, found = lane(rest, seconds=LONG), asyncio.get_running_loop().create_future()

    async def work(session: Session) -> None:
        found.set_result(await backend(session))
        await hang(session)

    task = asyncio.create_task(calls.run(work))
    pid = await found
    await asyncio.to_thread(postgres.execute, f"SELECT pg_terminate_backend({pid}, 5000)")
    async with asyncio.timeout(PATIENCE):
        with pytest.raises(StoreUnavailable):
            await task
    calls.close()


async def test_an_error_of_the_work_costs_the_connection_and_its_transaction(rest: str) -> None:
    async def work(session: Session) -> None:
        await session.rows("BEGIN; CREATE TABLE half (done int)")
        raise KeyError("ours")

    calls = lane(rest)
    with pytest.raises(KeyError):
        await calls.run(work)
    with pytest.raises(StoreUnavailable) as gone:
        await calls.run(lambda session: session.rows("SELECT * FROM half"))
    assert isinstance(gone.value.__cause__, psycopg2.errors.UndefinedTable)
    calls.close()


async def test_the_server_is_said_to_be_away_once_and_back_once_and_never_with_its_password(
    rest: str, caplog: pytest.LogCaptureFixture
) -> None:
    calls = lane(rest, seconds=LONG)
    await calls.run(backend)
    for _ in range(2):
        await given_up(calls, hang)
    await calls.run(backend)
    await calls.run(backend)
    said = [(entry.levelno, entry.getMessage()) for entry in caplog.records if entry.name.startswith("gatewayd")]
    assert [level for level, _ in said] == [logging.ERROR, logging.WARNING]
    assert "no answer within 1000 s" in said[0][1]
    assert "answers again" in said[1][1]
    assert postgres.PASSWORD not in caplog.text
    calls.close()


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]", "127.0.0.1,localhost"])
async def test_a_host_where_nobody_listens_is_away(host: str) -> None:
    with pytest.raises(StoreUnavailable) as away:
        await lane(f"//{host}:1/ledger").run(backend)
    assert "refused" in str(away.value.__cause__)


async def test_a_name_that_nobody_knows_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    async def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", unknown)
    with pytest.raises(StoreUnavailable) as away:
        await lane("//nowhere.invalid/ledger").run(backend)
    assert "not known" in str(away.value.__cause__)


async def test_a_connection_that_cannot_be_prepared_is_not_left_open(
    rest: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "SESSION", "SET nothing_of_that_name = 1")
    with pytest.raises(StoreUnavailable):
        await lane(rest).run(backend)


async def test_a_closed_lane_connects_no_more(rest: str) -> None:
    calls = lane(rest)
    await calls.run(backend)
    calls.close()
    with pytest.raises(StoreUnavailable):
        await calls.run(backend)


@asynccontextmanager
async def over_tcp(server: postgres.Server) -> AsyncIterator[int]:
    """The port at which it can be reached, which only has a Unix socket of its own."""

    async def copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        while data := await source.read(65536):
            target.write(data)
        target.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        theirs, ours = await asyncio.open_unix_connection(f"{server.directory}/.s.PGSQL.5432")
        await asyncio.gather(copy(reader, ours), copy(theirs, writer))
        await asyncio.gather(ours.wait_closed(), writer.wait_closed())
        done.set()

    done = asyncio.Event()

    listener = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield listener.sockets[0].getsockname()[1]
        async with asyncio.timeout(PATIENCE):
            await done.wait()
    finally:
        listener.close()


@pytest.mark.parametrize("places", ["127.0.0.1:1,127.0.0.1:{port}", "[::1]:{port},127.0.0.1:{port}"])
async def test_where_one_address_refuses_the_next_one_is_tried(postgres: postgres.Server, places: str) -> None:
    async with over_tcp(postgres) as port:
        calls = lane(f"//gatewayd:{PASSWORD}@{places.format(port=port)}/postgres")
        assert await calls.run(backend)
        calls.close()


def test_on_the_loop_that_daemons_use_a_refused_connection_spoils_no_later_one() -> None:
    """libpq closes its socket behind the loop's back, and uvloop remembers the number."""

    async def refused(calls: Lane) -> None:
        for _ in range(4):
            with pytest.raises(StoreUnavailable):
                await calls.run(backend)

    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(refused(lane("//127.0.0.1:1/ledger")))
