"""What every Ledger, with its Accounts and its reader, promises, whatever it is made of."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from gatewayd.errors import StoreUnavailable
from gatewayd.model import Balance, Hold, Holding, Outcome
from gatewayd.stores.open import LedgerStore
from tests.clocks import ManualClock
from tests.stores.ledgers import NOVEMBER, PLACES, Place, audit, hold, record

DECEMBER = NOVEMBER + 8 * 86_400


@pytest.fixture(params=PLACES)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    return PLACES[request.param](tmp_path)


@pytest.fixture
async def ledger(place: Place, clock: ManualClock) -> AsyncIterator[LedgerStore]:
    ledger = place.open(clock)
    yield ledger
    await ledger.close()


async def standing(ledger: LedgerStore, period: str = "2025-11") -> list[tuple[int, int, int]]:
    return [(b.limit, b.held, b.spent) for b in await ledger.balances("alice", period)]


async def test_a_hold_sets_units_aside_and_tells_the_balance_after_it(ledger: LedgerStore) -> None:
    assert await ledger.hold(hold(units=3)) == Holding(
        True, Balance("alice", "api_calls", "2025-11", limit=100, held=3, spent=0)
    )


async def test_holds_are_granted_up_to_the_limit_exactly(ledger: LedgerStore) -> None:
    answers = await asyncio.gather(*(ledger.hold(hold(f"r{n}", limit=7)) for n in range(20)))
    assert sum(answer.granted for answer in answers) == 7
    assert await standing(ledger) == [(7, 7, 0)]


async def test_a_refused_hold_changes_nothing_and_tells_where_the_user_stands(ledger: LedgerStore) -> None:
    await ledger.hold(hold("r1", units=6, limit=10))
    assert await ledger.hold(hold("r2", units=5, limit=10)) == Holding(
        False, Balance("alice", "api_calls", "2025-11", limit=10, held=6, spent=0)
    )
    assert (await ledger.hold(hold("r3", units=4, limit=10))).granted


async def test_an_unlimited_unit_is_always_granted_and_still_counted(ledger: LedgerStore) -> None:
    assert (await ledger.hold(hold(units=10**12, limit=0))).granted
    assert await standing(ledger) == [(0, 10**12, 0)]


async def test_the_limit_is_the_one_the_latest_hold_came_with(ledger: LedgerStore) -> None:
    await ledger.hold(hold("r1", units=6, limit=10))
    assert not (await ledger.hold(hold("r2", limit=5))).granted
    assert await standing(ledger) == [(5, 6, 0)]
    assert (await ledger.hold(hold("r3", limit=20))).granted


async def test_a_settlement_frees_the_units_and_charges_the_quantity(ledger: LedgerStore, place: Place) -> None:
    request = hold(units=5)
    await ledger.hold(request)
    await ledger.settle(record(request, quantity=2))
    assert await standing(ledger) == [(100, 0, 2)]
    with place.read() as reader:
        (row,) = reader.records()
    assert row[:-1] == (
        *("request-1", "alice", "free", "email", "email", "api_calls", 2, "delivered", 200),
        *("2025-11-24T16:00:00.000Z", "2025-11-24T16:00:00.250Z", 160, 913),
    )


async def test_a_quantity_above_the_hold_is_charged_in_full_and_the_next_call_refused(
    ledger: LedgerStore,
) -> None:
    request = hold(units=1, limit=10)
    await ledger.hold(request)
    await ledger.settle(record(request, quantity=25))
    refused = await ledger.hold(hold("request-2", limit=10))
    assert not refused.granted
    assert refused.balance.remaining == 0


async def test_a_repeated_settlement_changes_nothing(ledger: LedgerStore, place: Place) -> None:
    request = hold()
    await ledger.hold(request)
    await asyncio.gather(*(ledger.settle(record(request, quantity=n)) for n in (1, 2, 3)))
    await ledger.settle(record(request, quantity=4))
    assert await standing(ledger) == [(100, 0, 1)]
    with place.read() as reader:
        assert len(list(reader.records())) == 1


async def test_a_record_without_a_hold_is_written_and_charged(ledger: LedgerStore, place: Place) -> None:
    await ledger.settle(record(hold("r1"), quantity=4))
    assert await standing(ledger) == [(0, 0, 4)]
    await ledger.hold(hold("r2", limit=10))
    await ledger.settle(record(hold("r3"), quantity=1))
    assert await standing(ledger) == [(10, 1, 5)]
    with place.read() as reader:
        assert audit(reader).total() == 5


async def test_a_settlement_is_submitted_when_called_awaited_or_not(ledger: LedgerStore) -> None:
    request = hold()
    await ledger.hold(request)
    ledger.settle(record(request))
    assert await standing(ledger) == [(100, 0, 1)]


async def test_a_settlement_survives_the_cancellation_of_who_awaits_it(ledger: LedgerStore) -> None:
    request = hold()
    await ledger.hold(request)
    waiting = asyncio.ensure_future(ledger.settle(record(request)))
    waiting.cancel()
    with suppress(asyncio.CancelledError):
        await waiting
    assert await standing(ledger) == [(100, 0, 1)]


async def test_a_release_frees_the_units_and_leaves_no_record(ledger: LedgerStore, place: Place) -> None:
    await ledger.hold(hold(units=5))
    await asyncio.gather(ledger.release("request-1"), ledger.release("request-1"), ledger.release("nobody"))
    assert await standing(ledger) == [(100, 0, 0)]
    with place.read() as reader:
        assert list(reader.records()) == []


async def test_a_release_after_the_settlement_changes_nothing(ledger: LedgerStore) -> None:
    request = hold()
    await ledger.hold(request)
    await ledger.settle(record(request))
    await ledger.release(request.id)
    assert await standing(ledger) == [(100, 0, 1)]


@pytest.mark.parametrize("settled", [False, True], ids=["held", "settled"])
async def test_an_id_is_held_only_once(ledger: LedgerStore, settled: bool) -> None:
    await ledger.hold(hold())
    if settled:
        await ledger.settle(record(hold()))
    with pytest.raises(ValueError, match="used before"):
        await ledger.hold(hold())


@pytest.mark.parametrize("turns", range(12))
async def test_a_caller_cancelled_while_waiting_holds_nothing(ledger: LedgerStore, turns: int) -> None:
    waiting = [asyncio.create_task(ledger.hold(hold(f"r{number}"))) for number in range(20)]
    for _ in range(turns):
        await asyncio.sleep(0)
    for task in waiting:
        task.cancel()
    answers = await asyncio.gather(*waiting, return_exceptions=True)
    granted = sum(isinstance(answer, Holding) for answer in answers)
    balances = await ledger.balances("alice", "2025-11")
    assert sum(balance.held for balance in balances) == granted


async def test_a_request_counts_in_the_period_it_began_in(ledger: LedgerStore) -> None:
    old, new = hold("r1", at=NOVEMBER), hold("r2", at=DECEMBER)
    await ledger.hold(old)
    await ledger.hold(new)
    await ledger.settle(record(old))
    assert await standing(ledger, "2025-11") == [(100, 0, 1)]
    assert await standing(ledger, "2025-12") == [(100, 1, 0)]


async def test_balances_are_by_unit_and_empty_before_the_first_use(ledger: LedgerStore) -> None:
    assert await standing(ledger) == []
    await ledger.hold(hold("r1", unit="tokens"))
    await ledger.hold(hold("r2", unit="api_calls"))
    await ledger.hold(hold("r3", user="bob"))
    assert [b.unit for b in await ledger.balances("alice", "2025-11")] == ["api_calls", "tokens"]


@pytest.mark.parametrize(
    "absurd",
    [
        pytest.param(hold("r2", units=2**53), id="units"),
        pytest.param(hold("r2", limit=2**53), id="limit"),
        pytest.param(hold("r2", cost=2**70), id="cost"),
        pytest.param(hold("r2", user="\ud800"), id="text that is no text"),
        pytest.param(hold("r2", at=1e20), id="a time beyond the calendar"),
    ],
)
async def test_a_hold_that_cannot_be_stored_is_refused_and_spoils_nothing(ledger: LedgerStore, absurd: Hold) -> None:
    holds = (hold("r1"), absurd, hold("r3"))
    answers = await asyncio.gather(*map(ledger.hold, holds), return_exceptions=True)
    assert [isinstance(answer, Holding) for answer in answers] == [True, False, True]
    assert isinstance(answers[1], (ValueError, OverflowError))
    assert await standing(ledger) == [(100, 2, 0)]


async def test_a_record_that_cannot_be_stored_is_told_logged_and_spoils_nothing(
    ledger: LedgerStore, caplog: pytest.LogCaptureFixture
) -> None:
    good, bad = hold("r1"), hold("r2", user="\ud800")
    answers = await asyncio.gather(ledger.settle(record(bad)), ledger.settle(record(good)), return_exceptions=True)
    assert isinstance(answers[0], ValueError)
    assert await standing(ledger) == [(0, 0, 1)]
    assert "usage record r2 cannot be stored" in caplog.text


@pytest.mark.parametrize("user", ["", "a\0b", "zo\u00eb", "'; DROP TABLE usage_records; --", "x" * 5_000], ids=ascii)
async def test_any_text_is_a_user_of_its_own(ledger: LedgerStore, place: Place, user: str) -> None:
    request = hold(user=user)
    await ledger.hold(request)
    await ledger.settle(record(request))
    with place.read() as reader:
        assert list(audit(reader)) == [(user, "api_calls", "2025-11")]


async def test_what_was_committed_is_there_after_a_restart(
    ledger: LedgerStore, place: Place, clock: ManualClock
) -> None:
    await ledger.settle(record(hold("r1")))
    await ledger.assign("alice", "pro")
    await ledger.close()
    again = place.open(clock)
    await again.settle(record(hold("r2")))
    assert await standing(again) == [(0, 0, 2)]
    assert await again.plans() == {"alice": "pro"}
    await again.close()
    with place.read() as reader:
        assert audit(reader).total() == 2


async def test_what_a_dead_process_left_open_becomes_unknown_and_is_charged_its_cost(
    ledger: LedgerStore, place: Place, clock: ManualClock
) -> None:
    await ledger.hold(hold("r1", units=9, cost=2))
    await ledger.hold(hold("r2", unit="tokens", units=5, at=DECEMBER))
    await ledger.close()
    clock.advance(60)
    again = place.open(clock)
    assert await standing(again) == [(100, 0, 2)]
    assert await standing(again, "2025-12") == [(100, 0, 5)]
    await again.settle(record(hold("r1"), quantity=50))
    await again.close()
    with place.read() as reader:
        rows = {row.id: row for row in reader.records()}
        assert audit(reader).total() == 7
    assert rows["r1"].outcome == Outcome.UNKNOWN
    assert rows["r1"].status == 0
    assert (rows["r1"].started_at, rows["r1"].ended_at) == (
        "2025-11-24T16:00:00.000Z",
        "2025-11-24T16:01:00.000Z",
    )
    assert rows["r2"].started_at == rows["r2"].ended_at == "2025-12-02T16:00:00.000Z"


async def test_closing_writes_what_was_submitted(place: Place, clock: ManualClock) -> None:
    ledger = place.open(clock)
    for number in range(50):
        ledger.settle(record(hold(f"r{number}")))
    await ledger.close()
    with place.read() as reader:
        assert audit(reader).total() == 50


async def test_a_closed_ledger_says_so_and_may_be_closed_again(ledger: LedgerStore) -> None:
    await ledger.close()
    await ledger.close()
    with pytest.raises(StoreUnavailable):
        await ledger.hold(hold())
    with pytest.raises(StoreUnavailable):
        await ledger.settle(record(hold()))
    ledger.release("nobody awaits this one")


async def test_pending_counts_what_is_not_committed_yet(ledger: LedgerStore) -> None:
    settlements = [ledger.settle(record(hold(f"r{number}"))) for number in range(3)]
    assert ledger.pending == 3
    await asyncio.gather(*settlements)
    assert ledger.pending == 0


async def test_an_account_has_the_plan_it_was_given_last(ledger: LedgerStore, place: Place) -> None:
    assert await ledger.plans() == {}
    await ledger.assign("alice", "free")
    await ledger.assign("bob", "pro")
    await ledger.assign("alice", "pro")
    assert await ledger.plans() == {"alice": "pro", "bob": "pro"}
    with place.read() as reader:
        assert reader.plans() == {"alice": "pro", "bob": "pro"}


async def test_a_reader_lists_balances_of_all_of_a_user_or_of_a_period(ledger: LedgerStore, place: Place) -> None:
    for number, (user, at) in enumerate([("bob", NOVEMBER), ("alice", DECEMBER), ("alice", NOVEMBER)]):
        await ledger.settle(record(hold(f"r{number}", user=user, at=at)))
    with place.read() as reader:
        assert [(b.user_id, b.period) for b in reader.balances()] == [
            ("alice", "2025-11"),
            ("alice", "2025-12"),
            ("bob", "2025-11"),
        ]
        assert [b.period for b in reader.balances(user_id="alice")] == ["2025-11", "2025-12"]
        assert [b.user_id for b in reader.balances(period="2025-11")] == ["alice", "bob"]
        assert reader.balances(user_id="alice", period="2026-01") == []


async def test_a_reader_tells_of_one_moment_while_the_ledger_goes_on(ledger: LedgerStore, place: Place) -> None:
    await ledger.settle(record(hold("r1")))
    with place.read() as reader:
        await ledger.settle(record(hold("r2")))
        assert audit(reader).total() == 1
    with place.read() as reader:
        assert audit(reader).total() == 2


async def test_a_reader_knows_the_plan_of_each_users_latest_request(ledger: LedgerStore, place: Place) -> None:
    for name, user, plan in [("r3", "alice", "free"), ("r1", "alice", "pro"), ("r2", "bob", "free")]:
        await ledger.settle(record(replace(hold(name, user=user), plan=plan)))
    with place.read() as reader:
        assert reader.last_plans() == {"alice": "pro", "bob": "free"}
    await ledger.hold(replace(hold("r0", user="bob"), plan="team"))
    with place.read() as reader:
        assert reader.last_plans() == {"alice": "pro", "bob": "team"}
