"""What every LedgerStore, with its reader and its Clerk, promises, whatever it is made of."""

import asyncio
import random
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from gatewayd.books.patrol import difference
from gatewayd.errors import StoreError, StoreUnavailable
from gatewayd.model import Account, Balance, Directory, DirectoryPage, Posting, Revocation
from gatewayd.stores.base import Batch, Grant, LedgerStore
from gatewayd.stores.postgres import clerk as postgres_clerk
from gatewayd.stores.reading import NodeLeases
from tests.clocks import ManualClock
from tests.patience import PATIENCE
from tests.stores.ledgers import ALICE, PLACES, Place, audit, batch, drift, posting, want

NODE = "node-1"
BOB = Account("bob", "api_calls", "2025-11")
DECEMBER = Account("alice", "api_calls", "2025-12")


@pytest.fixture(params=PLACES)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    return PLACES[request.param](tmp_path)


@pytest.fixture
async def store(place: Place, clock: ManualClock) -> AsyncIterator[LedgerStore]:
    store = await place.open(clock)
    yield store
    await store.close()


def balances(place: Place) -> dict[Account, tuple[int, int, int, int]]:
    """Limit, held by leases, in flight and spent, by account, after an audit."""
    with place.read() as reader:
        audit(reader)
        held = reader.leased()
        found = {Account(b.user_id, b.unit, b.period): b for b in reader.balances()}
    assert found.keys() == held.keys()
    return {account: (b.limit, held[account][0], b.held, b.spent) for account, b in found.items()}


def ids(place: Place) -> list[str]:
    with place.read() as reader:
        return [row.id for row in reader.records()]


async def test_a_lease_takes_units_out_of_the_balance_and_tells_how_it_stands(store: LedgerStore, place: Place) -> None:
    assert await store.lease(NODE, [want(most=30)]) == [Grant(units=30, limit=100, spent=0, leased=30, others=0)]
    assert await store.leases(NODE) == {ALICE: 30}
    assert balances(place) == {ALICE: (100, 30, 0, 0)}


@pytest.mark.parametrize(
    ("least", "most", "granted"),
    [
        pytest.param(1, 10, 10, id="most fits"),
        pytest.param(1, 90, 60, id="between the two, what fits"),
        pytest.param(60, 90, 60, id="least fits exactly"),
        pytest.param(61, 90, 0, id="least does not fit"),
        pytest.param(0, 5, 5, id="nothing is needed and some is there"),
    ],
)
async def test_a_want_is_granted_between_its_least_and_its_most(
    store: LedgerStore, place: Place, least: int, most: int, granted: int
) -> None:
    await store.lease(NODE, [want(most=30)])
    await store.post(NODE, batch(posting(quantity=10)))
    (grant,) = await store.lease(NODE, [want(limit=90, least=least, most=most)])
    assert grant == Grant(granted, 90, 10, 20 + granted, 0)
    assert balances(place) == {ALICE: (90, 20 + granted, 0, 10)}


async def test_wants_are_granted_in_their_order_in_one_transaction(store: LedgerStore, place: Place) -> None:
    wants = [want(most=60), want(BOB, most=5), want(least=50, most=60), want(most=60), want()]
    assert [grant.units for grant in await store.lease(NODE, wants)] == [60, 5, 0, 40, 0]
    assert balances(place) == {ALICE: (100, 100, 0, 0), BOB: (100, 5, 0, 0)}


async def test_leases_never_exceed_the_limit_however_many_want_at_once(store: LedgerStore, place: Place) -> None:
    chance = random.Random(4)
    asked = [[want(limit=997, least=1, most=chance.randint(1, 9)) for _ in range(5)] for _ in range(100)]
    answers = await asyncio.gather(*(store.lease(NODE, wants) for wants in asked))
    assert sum(grant.units for grants in answers for grant in grants) == 997
    assert balances(place) == {ALICE: (997, 997, 0, 0)}


async def test_a_lower_limit_grants_nothing_more_and_a_higher_one_at_once(store: LedgerStore, place: Place) -> None:
    await store.lease(NODE, [want(most=30)])
    assert await store.lease(NODE, [want(limit=20)]) == [Grant(0, 20, 0, 30, 0)]
    assert balances(place) == {ALICE: (20, 30, 0, 0)}
    assert [grant.units for grant in await store.lease(NODE, [want(limit=200, most=500)])] == [170]


async def test_a_posting_writes_charges_and_uses_up_the_lease(store: LedgerStore, place: Place) -> None:
    await store.lease(NODE, [want(most=30)])
    await store.post(NODE, batch(posting(quantity=7, drawn=5)))
    assert balances(place) == {ALICE: (100, 25, 0, 7)}
    assert await store.leases(NODE) == {ALICE: 25}
    with place.read() as reader:
        (row,) = reader.records()
    assert row[:-1] == (
        *("request-1", "alice", "free", "email", "email", "api_calls", 7, "delivered", 200),
        *("2025-11-24T16:00:00.000Z", "2025-11-24T16:00:00.250Z", 160, 913),
    )


async def test_a_record_of_a_unit_that_is_not_limited_needs_no_lease(store: LedgerStore, place: Place) -> None:
    await store.post(NODE, batch(posting(quantity=10**12, drawn=0)))
    assert balances(place) == {ALICE: (0, 0, 0, 10**12)}


async def test_a_quantity_above_the_limit_is_charged_in_full_and_the_next_lease_refused(
    store: LedgerStore, place: Place
) -> None:
    await store.lease(NODE, [want(limit=10)])
    await store.post(NODE, batch(posting(quantity=25, drawn=1)))
    assert await store.lease(NODE, [want(limit=10)]) == [Grant(0, 10, 25, 0, 0)]
    assert await store.lease(NODE, [want(limit=10, least=0, most=3)]) == [Grant(0, 10, 25, 0, 0)]


async def test_a_repeated_record_changes_nothing_at_all(store: LedgerStore, place: Place) -> None:
    await store.lease(NODE, [want(most=30)])
    await store.post(NODE, batch(posting(quantity=5)))
    await asyncio.gather(*(store.post(NODE, batch(posting(quantity=n))) for n in (5, 6, 7)))
    await store.post(NODE, batch(posting("request-2"), posting("request-2", quantity=3), posting(quantity=9)))
    assert balances(place) == {ALICE: (100, 24, 0, 6)}
    assert ids(place) == ["request-1", "request-2"]


async def test_records_are_chained_in_the_order_they_were_posted(store: LedgerStore, place: Place) -> None:
    names = [f"r{number}" for number in random.Random(1).sample(range(2_000), 1_500)]
    await store.post(NODE, batch(*(posting(name) for name in names[:700])))
    await store.post(NODE, batch(*(posting(name) for name in names)))
    assert ids(place) == names
    assert balances(place) == {ALICE: (0, 0, 0, 1_500)}


async def test_what_is_drawn_and_returned_is_at_most_what_the_lease_has(store: LedgerStore, place: Place) -> None:
    await store.lease(NODE, [want(most=10), want(BOB, most=10)])
    await store.post(NODE, Batch([posting(quantity=8)], returned={ALICE: 5, BOB: 4}))
    assert balances(place) == {ALICE: (100, 0, 0, 8), BOB: (100, 6, 0, 0)}
    await store.post("node-2", Batch([posting("request-2")], returned={BOB: 4, DECEMBER: 1}))
    assert balances(place) == {ALICE: (100, 0, 0, 9), BOB: (100, 6, 0, 0)}
    assert await store.leases(NODE) == {BOB: 6}


async def test_what_was_returned_can_be_leased_again(store: LedgerStore) -> None:
    await store.lease(NODE, [want(most=100)])
    assert [grant.units for grant in await store.lease(NODE, [want()])] == [0]
    await store.post(NODE, Batch(returned={ALICE: 40}))
    assert [grant.units for grant in await store.lease(NODE, [want(most=100)])] == [40]


async def test_requests_in_flight_show_in_the_balance_and_idle_leases_do_not(store: LedgerStore, place: Place) -> None:
    await store.lease(NODE, [want(most=30)])
    await store.post(NODE, Batch(in_flight={ALICE: 4}))
    assert await store.balances("alice", "2025-11") == [Balance(*ALICE, limit=100, held=4, spent=0)]
    assert await store.balances("alice", "2025-11", but=NODE) == [Balance(*ALICE, limit=100, held=0, spent=0)]
    assert (await store.in_flight(NODE), await store.in_flight("node-2")) == ({ALICE: 4}, {})
    await store.post(NODE, Batch(in_flight={ALICE: 1}))
    assert balances(place) == {ALICE: (100, 30, 1, 0)}
    await store.post(NODE, Batch(in_flight={ALICE: 0}))
    assert balances(place) == {ALICE: (100, 30, 0, 0)}
    assert await store.in_flight(NODE) == {}


async def test_requests_in_flight_of_a_unit_that_is_not_limited_come_and_go(store: LedgerStore, place: Place) -> None:
    await store.post(NODE, Batch(in_flight={ALICE: 2}))
    assert balances(place) == {ALICE: (0, 0, 2, 0)}
    assert await store.leases(NODE) == {}
    await store.post(NODE, Batch([posting(drawn=0)], in_flight={ALICE: 0}))
    assert balances(place) == {ALICE: (0, 0, 0, 1)}


async def test_a_lease_that_is_used_up_still_counts_its_requests_in_flight(store: LedgerStore, place: Place) -> None:
    await store.lease(NODE, [want(most=2)])
    await store.post(NODE, Batch([posting(quantity=2)], in_flight={ALICE: 3}))
    assert balances(place) == {ALICE: (100, 0, 3, 2)}


async def test_a_request_counts_in_the_period_it_began_in(store: LedgerStore, place: Place) -> None:
    await store.lease(NODE, [want(most=5), want(DECEMBER, most=5)])
    await store.post(NODE, batch(posting("r1"), posting("r2", account=DECEMBER, quantity=2)))
    assert balances(place) == {ALICE: (100, 4, 0, 1), DECEMBER: (100, 3, 0, 2)}
    assert await drift(store, [ALICE, DECEMBER]) == 0


async def test_balances_are_by_unit_and_empty_before_the_first_use(store: LedgerStore) -> None:
    assert await store.balances("alice", "2025-11") == []
    accounts = [Account("alice", "tokens", "2025-11"), ALICE, BOB, DECEMBER]
    await store.post(NODE, batch(*(posting(f"r{n}", account=account) for n, account in enumerate(accounts))))
    assert [b.unit for b in await store.balances("alice", "2025-11")] == ["api_calls", "tokens"]


@pytest.mark.parametrize(
    "absurd",
    [
        pytest.param(posting("r2", quantity=2**53, drawn=1), id="quantity"),
        pytest.param(posting("r2", drawn=2**70), id="drawn"),
        pytest.param(posting("r2", account=Account("\ud800", "api_calls", "2025-11")), id="text that is no text"),
        pytest.param(posting("\udcff"), id="id that is no text"),
        pytest.param(posting("r2", at=1e20), id="a time beyond the calendar"),
    ],
)
async def test_a_posting_that_cannot_be_stored_is_logged_and_spoils_nothing(
    store: LedgerStore, place: Place, absurd: Posting, caplog: pytest.LogCaptureFixture
) -> None:
    await store.lease(NODE, [want(most=30)])
    await store.post(NODE, Batch([posting("r1"), absurd, posting("r3")], returned={ALICE: 2}))
    assert ids(place) == ["r1", "r3"]
    assert balances(place) == {ALICE: (100, 26, 0, 2)}
    assert "cannot be stored" in caplog.text


async def test_bytes_and_a_sum_that_no_column_holds_are_passed_over(store: LedgerStore, place: Place) -> None:
    many = posting("r1")
    await store.post(NODE, batch(replace(many, bytes_out=2**63), posting("r2")))
    most = 2**53 - 1
    for chunk in range(3):
        await store.post(NODE, batch(*(posting(f"{chunk}-{n}", quantity=most, drawn=0) for n in range(400))))
    assert balances(place) == {ALICE: (0, 0, 0, 1 + 1_024 * most)}
    assert await drift(store, [ALICE]) == 0


@pytest.mark.parametrize("user", ["", "zo\u00eb", "'; DROP TABLE usage_records; --", "x" * 1_000, "%s {} ?"], ids=ascii)
async def test_any_text_is_a_user_and_an_id_of_its_own(store: LedgerStore, place: Place, user: str) -> None:
    account = Account(user, "api_calls", "2025-11")
    await store.lease(NODE, [want(account, most=3)])
    await store.post(NODE, batch(posting(user, account=account), posting("other")))
    await store.post(NODE, batch(posting(user, account=account)))
    assert balances(place) == {account: (100, 2, 0, 1), ALICE: (0, 0, 0, 1)}
    assert ids(place) == [user, "other"]


async def test_what_was_committed_is_there_after_a_restart(
    store: LedgerStore, place: Place, clock: ManualClock
) -> None:
    await store.lease(NODE, [want(most=30)])
    await store.post(NODE, Batch([posting("r1")], in_flight={ALICE: 3}))
    await store.close()
    again = await place.open(clock)
    assert await again.leases(NODE) == {ALICE: 29}
    await again.post(NODE, batch(posting("r2")))
    await again.close()
    assert balances(place) == {ALICE: (100, 28, 3, 2)}


async def test_drift_is_none_until_somebody_alters_the_tables(store: LedgerStore, place: Place) -> None:
    await store.lease(NODE, [want(most=30), want(BOB, most=5)])
    await store.post(NODE, batch(posting("r1", quantity=9), posting("r2", account=BOB)))
    assert await drift(store, [ALICE, BOB, DECEMBER]) == 0
    assert await drift(store, []) == 0
    place.tamper("UPDATE usage_balances SET held = held + 2 WHERE user_id = 'alice'")
    place.tamper("UPDATE usage_balances SET spent = spent - 1 WHERE user_id = 'bob'")
    assert await drift(store, [ALICE, BOB]) == 3
    assert await drift(store, [BOB]) == 1
    place.tamper("DELETE FROM usage_records WHERE id = 'r1'")
    assert await drift(store, [ALICE]) == 11


async def test_an_account_is_examined_in_pieces_as_it_stood_when_that_began(store: LedgerStore, place: Place) -> None:
    await store.post(NODE, batch(*(posting(f"r{number}", quantity=number) for number in range(10))))
    found = await store.examine(ALICE, None, 4)
    assert (found.read, found.done, found.spent, found.summed) == (4, False, 45, 6)
    await store.post(NODE, batch(posting("later", quantity=100)))
    found = await store.examine(ALICE, found, 4)
    found = await store.examine(ALICE, found, 4)
    assert (found.read, found.done, difference(found)) == (10, True, 0)
    place.tamper("UPDATE usage_records SET quantity = 8 WHERE id = 'r9'")
    assert await drift(store, [ALICE], most=3) == 1


async def test_accounts_are_told_in_order_and_each_once(store: LedgerStore) -> None:
    await store.post(NODE, batch(*(posting(f"r{each}", account=each) for each in (BOB, DECEMBER, ALICE))))
    first = await store.accounts(None, 2)
    assert [*first, *await store.accounts(first[-1], 2)] == sorted([ALICE, BOB, DECEMBER])
    assert await store.accounts(max(ALICE, BOB, DECEMBER), 2) == []


async def test_of_the_directory_what_changed_since_a_version_is_told(store: LedgerStore, place: Place) -> None:
    assert await store.directory(0, 10) == DirectoryPage(0, 0, {})
    with place.clerk() as clerk:
        clerk.assign("alice", "free")
        clerk.assign("bob", "pro")
        clerk.assign("alice", "pro")
    whole = await store.directory(0, 10)
    assert whole == DirectoryPage(0, 3, {"bob": "pro", "alice": "pro"})
    assert await store.directory(2, 10) == DirectoryPage(2, 3, {"alice": "pro"})
    assert await store.directory(3, 10) == DirectoryPage(3, 3, {})
    with place.read() as reader:
        assert reader.directory() == Directory(3, {"alice": "pro", "bob": "pro"})


async def test_the_directory_is_told_in_pages_in_the_order_of_the_decisions(store: LedgerStore, place: Place) -> None:
    with place.clerk() as clerk:
        clerk.assign("alice", "free")
        clerk.revoke(Revocation("user", "zoe", 1.5))
        clerk.assign("bob", "pro")
        clerk.revoke(Revocation("all", "", 2.5))
    assert await store.directory(0, 2) == DirectoryPage(
        0, 2, {"alice": "free"}, (Revocation("user", "zoe", 1.5),), True
    )
    with place.clerk() as clerk:
        clerk.assign("alice", "pro")
    assert await store.directory(2, 2) == DirectoryPage(2, 4, {"bob": "pro"}, (Revocation("all", "", 2.5),), True)
    assert await store.directory(4, 2) == DirectoryPage(4, 5, {"alice": "pro"})


async def test_who_knows_a_version_that_the_ledger_never_came_to_is_told_everything(
    store: LedgerStore, place: Place
) -> None:
    with place.clerk() as clerk:
        clerk.assign("alice", "free")
    assert await store.directory(7, 10) == DirectoryPage(0, 1, {"alice": "free"})


async def test_of_two_revocations_the_later_time_stands(store: LedgerStore, place: Place) -> None:
    with place.clerk() as clerk:
        for revocation in (
            Revocation("user", "alice", 1_000.5),
            Revocation("user", "alice", 2_000.5),
            Revocation("user", "alice", 1_500.0),
            Revocation("token", "alice", 10.0),
            Revocation("all", "", 7.0),
            Revocation("all", "", 7.0),
        ):
            clerk.revoke(revocation)
    found = await store.directory(0, 10)
    assert set(found.revocations) == {
        Revocation("user", "alice", 2_000.5),
        Revocation("token", "alice", 10.0),
        Revocation("all", "", 7.0),
    }
    with place.clerk() as clerk:
        clerk.revoke(Revocation("token", "bob", 1.0))
    assert await store.directory(found.version, 10) == DirectoryPage(6, 7, {}, (Revocation("token", "bob", 1.0),))


async def test_a_clerk_writes_before_the_first_start(place: Place, clock: ManualClock) -> None:
    with place.clerk() as clerk:
        clerk.assign("alice", "pro")
    with place.clerk() as clerk:
        clerk.revoke(Revocation("all", "", 7.0))
    store = await place.open(clock)
    assert await store.directory(0, 10) == DirectoryPage(0, 2, {"alice": "pro"}, (Revocation("all", "", 7.0),))
    await store.post(NODE, batch(posting()))
    await store.close()
    assert balances(place) == {ALICE: (0, 0, 0, 1)}


async def test_a_reader_lists_balances_of_all_of_a_user_or_of_a_period(store: LedgerStore, place: Place) -> None:
    accounts = [BOB, DECEMBER, ALICE]
    await store.post(NODE, batch(*(posting(f"r{n}", account=account) for n, account in enumerate(accounts))))
    await store.post(NODE, Batch(in_flight={BOB: 2}))
    with place.read() as reader:
        assert [(b.user_id, b.period, b.held) for b in reader.balances()] == [
            ("alice", "2025-11", 0),
            ("alice", "2025-12", 0),
            ("bob", "2025-11", 2),
        ]
        assert [b.period for b in reader.balances(user_id="alice")] == ["2025-11", "2025-12"]
        assert [b.user_id for b in reader.balances(period="2025-11")] == ["alice", "bob"]
        assert reader.balances(user_id="alice", period="2026-01") == []


async def test_a_reader_tells_of_one_moment_while_the_ledger_goes_on(store: LedgerStore, place: Place) -> None:
    await store.post(NODE, batch(posting("r1")))
    with place.read() as reader:
        await store.post(NODE, batch(posting("r2")))
        assert audit(reader).total() == 1
    with place.read() as reader:
        assert audit(reader).total() == 2


async def test_a_reader_knows_the_plan_of_each_users_latest_record(store: LedgerStore, place: Place) -> None:
    for name, account, plan in [("r3", ALICE, "free"), ("r1", ALICE, "pro"), ("r2", BOB, "free")]:
        made = posting(name, account=account)
        await store.post(NODE, batch(replace(made, plan=plan, drawn=0)))
    with place.read() as reader:
        assert reader.last_plans() == {"alice": "pro", "bob": "free"}


async def test_a_ledger_of_one_daemon_has_nobody_to_recall_units_from(store: LedgerStore) -> None:
    await store.lease(NODE, [want(most=30)])
    assert list(await store.recall(NODE, [ALICE])) == []
    assert await store.recalled(NODE) == {}
    assert list(await store.unanswered([])) == []
    await store.post(NODE, Batch(answered={ALICE: 1}))
    assert await store.leases(NODE) == {ALICE: 30}


async def test_a_closed_store_says_so_and_may_be_closed_again(store: LedgerStore) -> None:
    await store.close()
    await store.close()
    with pytest.raises(StoreUnavailable):
        await store.lease(NODE, [want()])
    with pytest.raises(StoreUnavailable):
        await store.post(NODE, batch(posting()))
    with pytest.raises(StoreUnavailable):
        await store.balances("alice", "2025-11")


async def test_what_a_daemon_left_that_is_gone_is_told_and_can_be_freed_and_no_other_daemons(
    place: Place, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_clerk, "ANSWER_SECONDS", 0.2)
    store = await place.open(clock)
    await store.post(NODE, batch(posting(quantity=5)))
    await store.lease(NODE, [want(most=30), want(BOB, most=7)])
    await store.post(NODE, Batch(in_flight={ALICE: 3}))
    await store.close()
    with place.read() as reader:
        assert list(reader.nodes()) == [NodeLeases(NODE, 2, 37, 3)]
    with place.clerk() as clerk:
        assert clerk.release("another") == 0
        assert clerk.release(NODE) == 37
        assert clerk.release(NODE) == 0
    with place.read() as reader:
        assert list(reader.nodes()) == []
        assert audit(reader).total() == 5
    assert balances(place) == {ALICE: (100, 0, 0, 5), BOB: (100, 0, 0, 0)}


async def test_the_units_of_a_daemon_that_is_there_are_not_freed(
    store: LedgerStore, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_clerk, "ANSWER_SECONDS", PATIENCE)
    await store.lease(NODE, [want(most=30)])

    def release() -> None:
        with place.clerk() as clerk, pytest.raises(StoreError, match="stop"):
            clerk.release(NODE)

    releasing = asyncio.create_task(asyncio.to_thread(release))
    while not releasing.done():  # as a bookkeeper does
        if asked := await store.recalled(NODE):
            await store.post(NODE, Batch(answered=asked))
        await asyncio.sleep(0.02)
    await releasing
    assert await store.leases(NODE) == {ALICE: 30}
