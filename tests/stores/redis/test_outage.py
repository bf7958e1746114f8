from typing import get_args

import pytest

from gatewayd.errors import StoreUnavailable
from gatewayd.model import Rate, Tally, Window
from gatewayd.stores.redis.census import Census
from gatewayd.stores.redis.outage import DEBTORS, RETURNING, Debts, OnOutage, Pace, Standin, roomy
from tests.clocks import ManualClock
from tests.stores.standins import PlainLocal

SECOND = 1_000_000_000
MINUTE = Window("{user:ann}minute", "user-minute", Rate(60, "minute", burst=6))


def standin(clock: ManualClock, daemons: int, on_outage: OnOutage = "local") -> Standin:
    census = Census("one", clock)
    if daemons:
        census.heard(b"1 %d epoch" % daemons)
    return Standin(on_outage, PlainLocal(clock), census, clock, workers=1)


def taken(debts: Debts, times: int, pace: Pace) -> Debts:
    for _ in range(times):
        debts.add(MINUTE, pace)
    return debts


def test_a_daemon_of_three_admits_a_third_and_begins_with_nothing(clock: ManualClock) -> None:
    here = standin(clock, 3)
    here.begin()
    admitted = []
    for _ in range(90):
        admitted.append(here.take([MINUTE])[0].admitted)
        clock.advance(0.1)
    assert sum(admitted) == 2
    assert not any(admitted[:30])


def test_a_burst_smaller_than_the_daemons_admits_nothing_and_still_says_when_to_come_back(clock: ManualClock) -> None:
    here = standin(clock, 9)
    here.begin()
    clock.advance(60)
    (tally,) = here.take([MINUTE])
    assert not tally.admitted
    assert 0 < tally.retry_in < 60


def test_a_lone_daemon_knows_what_the_server_admitted(clock: ManualClock) -> None:
    here = standin(clock, 1)
    for _ in range(6):
        here.mirror([MINUTE])
    here.begin()
    assert here.take([MINUTE]) == [Tally(False, 0, 6.0, 1.0)]


def test_a_daemon_left_alone_does_not_know_what_the_others_took(clock: ManualClock) -> None:
    here = standin(clock, 2)
    here._census.heard(b"2 1 epoch")
    here.begin()
    assert not here.take([MINUTE])[0].admitted


def test_what_is_written_down_late_still_fits() -> None:
    assert roomy(Rate(600, "minute", burst=6)) == Rate(600, "minute", burst=17)


def test_every_answer_to_an_outage_is_known(clock: ManualClock) -> None:
    assert set(get_args(OnOutage)) == {"local", "allow", "deny"}
    assert standin(clock, 1, "allow").take([MINUTE]) == [Tally(True, 6, 0.0, 0.0)]
    with pytest.raises(StoreUnavailable):
        standin(clock, 1, "deny").take([MINUTE])


def test_after_an_outage_nobody_goes_above_a_share_for_a_moment(clock: ManualClock) -> None:
    here = standin(clock, 2)
    here.begin()
    here.end()
    assert here.returning
    clock.advance(RETURNING)
    assert not here.returning


def test_a_server_that_forgot_is_told_that_all_was_used_up_when_the_outage_began(clock: ManualClock) -> None:
    here = standin(clock, 2)
    assert here.least([MINUTE]) == ()
    here.begin()
    clock.advance(2)
    here.lost()
    here.end()
    assert here.least([MINUTE]) == [4_000_000]
    clock.advance(5)
    assert here.least([MINUTE]) == [0]


def test_a_lone_daemon_tells_how_each_stood_and_takes_nothing_by_it(clock: ManualClock) -> None:
    here = standin(clock, 1)
    here.mirror([MINUTE])
    here.begin()
    here.end()
    assert [here.least([MINUTE]), here.least([MINUTE])] == [[1_000_000]] * 2


def test_a_debt_is_not_let_off_while_the_bucket_refills_from_before(clock: ManualClock) -> None:
    debts = taken(Debts(), 4, Pace(0, 0, 2))
    (owed,) = debts.some(9, Pace(6 * SECOND, 0, 2))
    assert owed.level == 4 * 60 * SECOND
    assert not len(debts)


def test_later_a_debt_is_let_off_at_the_speed_of_a_share() -> None:
    (owed,) = taken(Debts(), 4, Pace(0, 0, 2)).some(9, Pace(10 * SECOND, 0, 2))
    assert owed.level == 2 * 60 * SECOND


def test_debts_that_were_not_told_are_owed_still() -> None:
    pace = Pace(0, 0, 2)
    debts = taken(Debts(), 3, pace)
    untold = debts.some(9, pace)
    taken(debts, 1, pace).restore(untold, pace)
    assert debts.some(9, pace)[0].level == 4 * 60 * SECOND


def test_debts_are_kept_of_the_callers_seen_last() -> None:
    debts, pace = Debts(), Pace(0, 0, 1)
    for number in range(DEBTORS + 1):
        debts.add(Window(str(number), "w", MINUTE.rate), pace)
    assert len(debts) == DEBTORS
    assert debts.some(1, pace)[0].key == "1"


def test_a_lone_daemon_owes_nothing(clock: ManualClock) -> None:
    here = standin(clock, 1)
    here.begin()
    here.take([MINUTE])
    assert here.due(9) == []
