import asyncio
import random
import signal

import pytest

from gatewayd.errors import StoreError, StoreUnavailable
from gatewayd.model import Account
from gatewayd.stores.base import Batch, LedgerStore
from gatewayd.stores.postgres.connection import CALL_SECONDS
from gatewayd.stores.postgres.reader import open_reader
from tests import postgres
from tests.pauses import skip
from tests.stores.ledgers import ALICE, batch, drift, posting, want
from tests.stores.postgres.stores import audited, opened

BOB = Account("bob", "api_calls", "2025-11")


async def test_two_daemons_that_open_an_empty_database_at_once_make_one_ledger(rest: str) -> None:
    async def begin(node: str) -> int:
        async with opened(rest) as store:
            return (await store.lease(node, [want(most=3)]))[0].units

    assert await asyncio.gather(*(begin(f"node-{n}") for n in range(4))) == [3, 3, 3, 3]
    assert audited(rest) == {ALICE: (100, 12, 0)}


@pytest.mark.parametrize("seed", range(8))
async def test_daemons_that_lease_from_one_balance_are_given_its_limit_exactly(rest: str, seed: int) -> None:
    draw = random.Random(seed)
    limits = {ALICE: draw.randint(1, 60), BOB: draw.randint(1, 60)}

    async def spend(store: LedgerStore, node: str) -> int:
        spent = 0
        for turn in range(12):
            accounts = draw.sample(list(limits), draw.randint(1, 2))
            wants = [want(account, limit=limits[account], most=draw.randint(1, 9)) for account in accounts]
            grants = await store.lease(node, wants)
            used = [
                posting(
                    f"{node}-{turn}-{each.account.user_id}", account=each.account, quantity=draw.randint(0, grant.units)
                )
                for each, grant in zip(wants, grants, strict=True)
                if grant.units
            ]
            await store.post(node, Batch(used, returned=await store.leases(node) if draw.random() < 0.3 else {}))
            spent += sum(each.quantity for each in used)
        return spent

    async with opened(rest) as one, opened(rest) as two:
        stores = {"a1": one, "a2": one, "b1": two, "b2": two}
        spent = sum(await asyncio.gather(*(spend(store, node) for node, store in stores.items())))
        standing = audited(rest)
        assert sum(row[2] for row in standing.values()) == spent
        assert all(held + spent <= limit for limit, held, spent in standing.values())
        # Whatever was not leased still is there to lease, and not one unit more.
        for account, (limit, held, used) in standing.items():
            last = await asyncio.gather(
                *(s.lease("z", [want(account, limit=limit) for _ in range(60)]) for s in (one, two))
            )
            assert sum(grant.units for grants in last for grant in grants) == limit - held - used
        assert await drift(one, [ALICE, BOB]) == 0


async def test_batches_of_two_daemons_make_one_chain(rest: str) -> None:
    async with opened(rest) as one, opened(rest) as two:
        batches = [
            (store, batch(*(posting(f"{node}-{n}-{m}") for m in range(20))))
            for n in range(5)
            for node, store in (("a", one), ("b", two))
        ]
        await asyncio.gather(*(store.post("node", each) for store, each in batches))
    assert audited(rest)[ALICE] == (0, 0, 200)


async def test_a_lease_waits_for_no_batch(postgres: postgres.Server, rest: str) -> None:
    async with opened(rest) as store, opened(rest) as other:
        blocked = asyncio.Event()

        async def hold_the_chain() -> None:
            async with asyncio.TaskGroup() as group:
                group.create_task(other._books.run(block))  # type: ignore[attr-defined]

        async def block(session: object) -> None:
            await session.rows("BEGIN; SELECT * FROM ledger_meta FOR UPDATE")  # type: ignore[attr-defined]
            blocked.set()
            await done.wait()
            await session.rows("COMMIT")  # type: ignore[attr-defined]

        done = asyncio.Event()
        task = asyncio.create_task(hold_the_chain())
        await blocked.wait()
        post = asyncio.create_task(store.post("a", batch(posting())))
        assert (await store.lease("a", [want(most=5)]))[0].units == 5
        assert not post.done()
        done.set()
        await task
        await post


async def test_a_server_that_stands_still_is_away_within_the_deadline_and_nothing_is_doubled_after_it(
    postgres: postgres.Server, rest: str
) -> None:
    async with opened(rest) as store:
        await store.lease("a", [want(most=5)])
        await store.post("a", batch(posting("r0")))
        lost = batch(posting("r0"), posting("r1"), posting("r2"))
        with postgres.frozen():
            calls = (store.post("a", lost), store.lease("a", [want(most=5)]), store.recalled("a"))
            calling = asyncio.gather(*calls, return_exceptions=True)
            await asyncio.sleep(0)  # all wait for the server
            skip(CALL_SECONDS)
            answers = await calling
        assert [type(answer) for answer in answers] == [StoreUnavailable] * 3
        await store.post("a", lost)
        await store.post("a", lost)
        leased = await store.leases("a")
    assert leased[ALICE] in {2, 7}  # the lease may have been done all the same
    assert audited(rest) == {ALICE: (100, leased[ALICE], 3)}


@pytest.mark.parametrize("seed", range(3))
async def test_a_server_that_crashes_in_the_middle_loses_nothing_it_acknowledged(rest: str, seed: int) -> None:
    server = postgres.shared_server()
    draw, told, granted = random.Random(seed), set[str](), 0
    async with opened(rest) as store:
        await store.lease("a", [want(limit=10_000, most=5_000)])

        async def ship() -> None:
            for turn in range(200):
                rows = [posting(f"{turn}-{n}") for n in range(20)]
                await store.post("a", Batch(rows))
                told.update(each.id for each in rows)

        async def take() -> None:
            nonlocal granted
            for _ in range(2_000):
                granted += (await store.lease("b", [want(limit=10_000)]))[0].units

        work = asyncio.gather(ship(), take(), return_exceptions=True)
        while len(told) < 20 * draw.randint(1, 8):
            await store.recalled("a")
        await asyncio.to_thread(server.stop)
        assert all(isinstance(answer, StoreUnavailable) for answer in await work)
        with pytest.raises(StoreUnavailable):
            await store.leases("a")
        await asyncio.to_thread(server.start)
        again = batch(*(posting(name) for name in sorted(told)))
        await store.post("a", again)
        leases = {ALICE: (await store.leases("a"))[ALICE], BOB: (await store.leases("b")).get(ALICE, 0)}
    with open_reader(rest) as reader:
        there = {row.id for row in reader.records()}
    assert told <= there
    assert len(there) - len(told) in {0, 20}  # a commit whose answer was lost
    assert leases[BOB] - granted in {0, 1}
    assert audited(rest) == {ALICE: (10_000, leases[ALICE] + leases[BOB], len(there))}
    assert leases[ALICE] == 5_000 - len(there)


async def test_a_cancelled_call_leaves_no_broken_connection_behind(rest: str) -> None:
    draw = random.Random(4)
    async with opened(rest) as store:
        for turn in range(25):
            task = asyncio.create_task(store.post("a", batch(*(posting(f"{turn}-{n}") for n in range(50)))))
            for _ in range(draw.randint(1, 12)):
                await asyncio.sleep(0)
            if draw.random() < 0.5:
                await store.recalled("a")
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await store.post("a", batch(posting(f"after-{turn}")))
    assert audited(rest)[ALICE][2] >= 25


async def test_a_server_that_is_away_at_the_start_is_no_error_of_the_configuration() -> None:
    with pytest.raises(StoreUnavailable):
        async with opened("//u:s3cret@127.0.0.1:1/ledger"):
            pass
    with pytest.raises(StoreUnavailable):
        async with opened("//u:s3cret@/ledger?host=%2Fnonexistent"):
            pass


async def test_what_only_people_can_mend_is_said_without_the_password(
    postgres: postgres.Server, caplog: pytest.LogCaptureFixture
) -> None:
    for rest in (postgres.rest("nowhere"), postgres.rest("postgres", password="wr0ng"), "//db:wr0ng"):
        with pytest.raises(StoreError) as refused:
            async with opened(rest):
                pass
        assert "ledger.url" in str(refused.value)
        assert "wr0ng" not in str(refused.value) + caplog.text
        assert "s3cret" not in str(refused.value) + caplog.text


async def test_a_user_who_may_not_make_tables_is_told_so(postgres: postgres.Server) -> None:
    database = postgres.database()
    postgres.execute("CREATE ROLE poor LOGIN PASSWORD 'x'")
    with pytest.raises(StoreError, match=r"permission denied .*what the server grants"):
        async with opened(postgres.rest(database, "poor", "x")):
            pass


async def test_nothing_is_asked_of_a_closed_store(rest: str) -> None:
    async with opened(rest) as store:
        pass
    with pytest.raises(StoreUnavailable):
        await store.leases("a")


async def test_a_call_after_an_orderly_restart_of_the_server_finds_it_again(rest: str) -> None:
    server = postgres.shared_server()
    async with opened(rest) as store:
        await store.post("a", Batch([posting(drawn=0)]))
        await asyncio.to_thread(server.stop, signal.SIGINT)
        await asyncio.to_thread(server.start)
        try:
            await store.leases("a")
        except StoreUnavailable:
            assert await store.leases("a") == {}
