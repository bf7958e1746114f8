"""The ledger is compared with itself, a little at a time, and what differs stays said until it does not."""

from collections.abc import Sequence

import pytest

from gatewayd.books import patrol
from gatewayd.books.patrol import MOST_ACCOUNTS, MOST_FAULTS, MOST_RECORDS, PATROL_SECONDS, Patrol
from gatewayd.errors import StoreUnavailable
from gatewayd.model import Account
from gatewayd.stores.base import Examination
from tests.clocks import ManualClock


def account(number: int) -> Account:
    return Account(f"user-{number:06}", "api_calls", "2025-11")


class Ledger:
    """Accounts with so many records of 1 unit each, and how much more their balances say."""

    def __init__(self, accounts: int, records: int = 1) -> None:
        self.records = {account(number): records for number in range(accounts)}
        self.wrong: dict[Account, int] = {}
        self.away = False
        self.seen: list[Account] = []
        self.read = 0

    async def examine(self, account: Account, so_far: Examination | None, most: int) -> Examination:
        if self.away:
            raise StoreUnavailable
        known = self.records.get(account, 0)
        so_far = so_far or Examination(account, known + self.wrong.get(account, 0), 0, known)
        now = min(most, so_far.through - so_far.read)
        self.read += now
        self.seen.append(account)
        return so_far._replace(summed=so_far.summed + now, read=so_far.read + now, done=now < most)

    async def accounts(self, after: Account | None, most: int) -> Sequence[Account]:
        return [each for each in sorted(self.records) if after is None or each > after][:most]


async def looks(watch: Patrol, clock: ManualClock, count: int) -> None:
    for _ in range(count):
        clock.advance(PATROL_SECONDS)
        await watch.look()


async def test_an_account_that_was_charged_is_looked_at_next(clock: ManualClock) -> None:
    ledger = Ledger(10_000)
    watch = Patrol(ledger, clock)
    ledger.wrong[account(9_999)] = -3
    watch.charged([account(9_999)])
    await looks(watch, clock, 1)
    assert watch.drift == 3


async def test_every_account_has_its_turn_whoever_is_charged(clock: ManualClock) -> None:
    ledger = Ledger(200)
    watch = Patrol(ledger, clock)
    ledger.wrong[account(199)] = 5
    for _ in range(2 * 200 // (MOST_ACCOUNTS // 2)):
        watch.charged(account(number) for number in range(50))
        await looks(watch, clock, 1)
    assert watch.drift == 5
    assert set(ledger.seen) == set(ledger.records)


async def test_what_differs_stays_said_until_it_is_whole_again(
    clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    ledger = Ledger(500)
    watch = Patrol(ledger, clock)
    ledger.wrong[account(7)] = 2
    await looks(watch, clock, 40)
    assert watch.drift == 2
    assert caplog.text.count("differ by 2 units: run gatewayd ledger verify") == 1
    ledger.wrong.clear()
    await looks(watch, clock, 2)
    assert watch.drift == 0
    assert "whole again" in caplog.text


async def test_a_look_reads_so_many_records_and_no_more_and_goes_on_at_the_next(clock: ManualClock) -> None:
    ledger = Ledger(3, records=3 * MOST_RECORDS)
    ledger.wrong[account(1)] = 1
    watch = Patrol(ledger, clock)
    for number in range(1, 7):
        await looks(watch, clock, 1)
        assert ledger.read <= number * MOST_RECORDS
    await looks(watch, clock, 6)
    assert watch.drift == 1


async def test_a_look_touches_so_many_accounts_and_no_more(clock: ManualClock) -> None:
    ledger = Ledger(100_000)
    watch = Patrol(ledger, clock)
    watch.charged(ledger.records)
    await looks(watch, clock, 1)
    assert len(ledger.seen) <= MOST_ACCOUNTS
    assert len(watch._touched) <= patrol.MOST_TOUCHED


async def test_nobody_is_asked_before_it_is_time(clock: ManualClock) -> None:
    ledger = Ledger(1)
    watch = Patrol(ledger, clock)
    await watch.look()
    assert not ledger.seen


async def test_a_ledger_that_is_away_leaves_what_is_known(clock: ManualClock) -> None:
    ledger = Ledger(2)
    watch = Patrol(ledger, clock)
    ledger.wrong[account(0)] = 4
    await looks(watch, clock, 2)
    ledger.away = True
    await looks(watch, clock, 3)
    assert watch.drift == 4
    ledger.away = False
    ledger.wrong.clear()
    await looks(watch, clock, 3)
    assert watch.drift == 0


async def test_a_ledger_that_is_all_wrong_is_remembered_up_to_a_bound(clock: ManualClock) -> None:
    ledger = Ledger(2 * MOST_FAULTS)
    ledger.wrong = dict.fromkeys(ledger.records, 1)
    watch = Patrol(ledger, clock)
    await looks(watch, clock, 4 * MOST_FAULTS // MOST_ACCOUNTS * 2)
    assert watch.drift == MOST_FAULTS
