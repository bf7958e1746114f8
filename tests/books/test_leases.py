"""A worker's lease on its own: who may take, who waits, and what is asked for."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewayd.books.leases import AHEAD, CALM, LATE, MOST_AHEAD, Lease, Leases, Waiter
from gatewayd.errors import StoreUnavailable
from gatewayd.model import Account
from tests.stores.ledgers import ALICE

LIMIT = 100


def lease(idle: int = 0, *, limit: int = LIMIT) -> Lease:
    made = Lease(ALICE, limit)
    made.idle, made.sound = idle, True
    return made


def waiters(of: Lease, *units: int, limit: int = LIMIT) -> list[Waiter]:
    made = [Waiter(each, limit, asyncio.get_running_loop().create_future()) for each in units]
    for each in made:
        of.waiting.append(each)
    return made


def test_units_that_are_idle_can_be_taken_once() -> None:
    one = lease(3)
    assert one.take(2, LIMIT)
    assert not one.take(2, LIMIT)
    assert (one.idle, one.in_use, one.outstanding) == (1, 2, 3)


def test_what_was_given_up_may_not_be_taken_again_though_more_comes_free() -> None:
    one = lease(3)
    assert one.take(1, LIMIT)
    assert one.empty() == 2
    one.put_back(1)
    assert not one.take(1, LIMIT)


@pytest.mark.parametrize(
    ("quantity", "drawn", "idle", "sound"),
    [(0, 0, 5, True), (2, 2, 3, True), (5, 5, 0, True), (6, 5, 0, False)],
    ids=["nothing", "as held", "what is idle too", "more than there is"],
)
def test_a_charge_is_drawn_as_far_as_there_are_units(quantity: int, drawn: int, idle: int, sound: bool) -> None:
    one = lease(5)
    one.take(2, LIMIT)
    assert one.draw(2, quantity) == drawn
    assert (one.idle, one.in_use, one.sound) == (idle, 0, sound)


async def test_an_account_that_asks_often_asks_further_ahead_but_not_without_bound() -> None:
    one = lease()
    waiters(one, 1)
    most = [one.demand(number).most for number in range(20)]
    assert most[:4] == [5, 9, 17, 33]
    assert most[-1] == MOST_AHEAD + 1


def test_what_runs_out_is_asked_for_before_anybody_waits_for_it() -> None:
    one = lease(3)
    assert one.take(2, LIMIT)
    assert one.runs_out(2)
    assert not one.runs_out(1)
    wish = one.restock(7, 2)
    assert (wish.number, wish.limit, wish.least, wish.needed, wish.most) == (7, LIMIT, 0, 0, 8)
    assert not one.runs_out(2)
    one.granted(7, 8, sound=True)
    assert not one.runs_out(2)


@pytest.mark.parametrize("ahead", [0, CALM])
def test_nothing_is_asked_for_ahead_where_others_need_what_is_idle(ahead: int) -> None:
    one = lease(1)
    one.ahead = ahead
    assert one.take(1, LIMIT)
    assert not one.runs_out(1)


async def test_those_who_wait_are_served_in_order() -> None:
    one = lease()
    first, second, third = waiters(one, 2, 2, 1)
    one.demand(1)
    one.granted(1, 3, sound=True)
    assert first.future.done()
    assert not second.future.done()
    assert not third.future.done()


async def test_a_refusal_is_for_those_who_need_as_much_and_waited_then() -> None:
    one = lease()
    large, small, same = waiters(one, 5, 1, 5)
    one.demand(1)
    (later,) = waiters(one, 5)
    one.refused(1, 99, 90)
    assert (large.future.result(), same.future.result()) == (99, 99)
    assert list(one.waiting) == [small, later]


async def test_nobody_is_refused_when_units_came_free_meanwhile() -> None:
    one = lease(4)
    one.take(3, LIMIT)
    (waiter,) = waiters(one, 5)
    one.demand(1)
    one.put_back(3)
    one.refused(1, 99, 90)
    assert list(one.waiting) == [waiter]
    assert one.wish is None


async def test_an_answer_to_another_question_refuses_nobody() -> None:
    one = lease()
    (waiter,) = waiters(one, 1)
    one.demand(2)
    one.refused(1, 99, 90)
    assert not waiter.future.done()


async def test_units_granted_under_a_larger_limit_serve_nobody_who_may_have_less() -> None:
    one = lease()
    (large,) = waiters(one, 1, limit=100)
    (small,) = waiters(one, 1, limit=5)
    wish = one.demand(1)
    assert (wish.limit, wish.needed) == (100, 1)
    one.granted(1, 10, sound=True)
    assert large.future.done()
    assert not small.future.done()
    assert not one.take(1, 5)


async def test_units_granted_under_a_smaller_limit_serve_everybody() -> None:
    one = lease()
    (small,) = waiters(one, 1, limit=5)
    (large,) = waiters(one, 1, limit=100)
    wish = one.demand(1)
    assert (wish.limit, wish.needed) == (5, 2)
    one.granted(1, 4, sound=True)
    assert small.future.done()
    assert large.future.done()
    assert one.take(1, 100)
    assert one.take(1, 5)


async def test_a_refusal_under_one_limit_is_none_for_those_who_may_have_more() -> None:
    one = lease()
    (small,) = waiters(one, 1, limit=5)
    (large,) = waiters(one, 1, limit=100)
    (smaller,) = waiters(one, 1, limit=3)
    one.demand(1)
    one.refused(1, 6, 6)
    assert (small.future.result(), smaller.future.result()) == (6, 6)
    assert list(one.waiting) == [large]


async def test_when_nobody_can_say_all_who_wait_are_told() -> None:
    one = lease()
    waiter, gone = waiters(one, 1, 1)
    gone.future.cancel()
    one.failed(StoreUnavailable())
    assert isinstance(waiter.future.exception(), StoreUnavailable)
    assert not one.waiting


async def test_who_waits_no_more_is_asked_for_no_more() -> None:
    one = lease()
    gone, _ = waiters(one, 5, 1)
    gone.future.cancel()
    one.prune()
    assert one.demand(1).least == 1


def test_what_has_nothing_any_more_is_forgotten() -> None:
    leases = Leases()
    leases.use(ALICE, 100, 1.0)
    busy = leases.use(ALICE._replace(unit="tokens"), 100, 1.0)
    busy.idle = 1
    assert leases.unused_since(2.0) == [busy]
    assert leases.all() == [busy]
    assert len(leases) == 1


def stay(leases: Leases, account: Account, requests: int, at: float) -> Lease:
    """An account comes, has so many requests served and goes; its lease."""
    lease = leases.use(account, 100, at)
    lease.idle, lease.sound = requests, True
    for _ in range(requests):
        assert lease.take(1, 100)
    lease.draw(requests, requests)
    assert leases.unused_since(at) == []
    return lease


@pytest.mark.parametrize(("requests", "ahead"), [(AHEAD, AHEAD), (27, 27), (MOST_AHEAD + 1, MOST_AHEAD)])
def test_who_comes_back_is_lent_in_one_step_what_he_used_the_last_time(requests: int, ahead: int) -> None:
    leases = Leases()
    stay(leases, ALICE, requests, 1.0)
    back = leases.use(ALICE, 100, 9.0)
    assert (back.ahead, back.served) == (ahead, 0)


async def test_requests_that_waited_for_units_count_as_used_too() -> None:
    leases = Leases()
    lease = leases.use(ALICE, 100, 1.0)
    waiters(lease, *[1] * 9)
    lease.granted(lease.demand(1).number, 9, sound=True)
    lease.draw(9, 9)
    leases.unused_since(1.0)
    assert leases.use(ALICE, 100, 9.0).ahead == 9


def test_nothing_is_lent_ahead_by_habit_where_others_were_in_need_of_it() -> None:
    leases = Leases()
    lease = leases.use(ALICE, 100, 1.0)
    lease.ahead = CALM
    stay(leases, ALICE, 27, 1.0)
    assert leases.use(ALICE, 100, 9.0).ahead == AHEAD


def test_habits_are_remembered_of_so_many_accounts_and_the_oldest_forgotten() -> None:
    leases = Leases(habits=2)
    crowd = [ALICE._replace(user_id=f"user {number}") for number in range(3)]
    for account in crowd:
        stay(leases, account, 27, 1.0)
    assert [leases.use(account, 100, 9.0).ahead for account in crowd] == [AHEAD, 27, 27]


def test_of_a_crowd_that_has_gone_some_are_looked_through_at_once_and_the_rest_next() -> None:
    leases = Leases(swept=3)
    crowd = [leases.use(ALICE._replace(user_id=f"user {number}"), 100, 1.0) for number in range(7)]
    for each in crowd[::2]:
        each.idle = 1
    found = [leases.unused_since(2.0)]
    while len(leases) > len(found[-1]):
        for each in found[-1]:
            each.give_up()
        found.append(leases.unused_since(2.0))
    assert [each for part in found for each in part] == crowd[::2]
    assert max(map(len, found)) <= 3


@given(st.lists(st.tuples(st.integers(0, 4), st.sampled_from([0.0, 0.03, 0.07, 0.2, 1.0, 3.0])), max_size=60))
def test_just_those_are_found_idle_that_nobody_used_for_so_long(uses: list[tuple[int, float]]) -> None:
    leases, last, now = Leases(), dict[int, float](), 10.0
    for number, pause in uses:
        now += pause
        leases.use(ALICE._replace(user_id=str(number)), 100, now).idle = 1
        last[number] = now
        found = {int(lease.account.user_id) for lease in leases.unused_since(now - 2.0)}
        assert found == {each for each, used in last.items() if used <= now - 2.0}


def test_those_in_use_keep_no_others_from_being_found_however_few_are_looked_through() -> None:
    leases, now = Leases(swept=2), 0.0
    idle = leases.use(ALICE, 100, now)
    idle.idle, sweeps = 1, 0
    while leases.unused_since(now - 2.0) != [idle]:
        now += 0.1
        sweeps += 1
        for number in range(5):
            leases.use(ALICE._replace(user_id=str(number)), 100, now).idle = 1
    assert sweeps <= 21


async def test_what_does_not_fit_beside_what_was_charged_needs_no_more_asking() -> None:
    one = lease(limit=100)
    waiters(one, 20)
    wish = one.demand(1)
    one.refused(wish.number, 99, 90)
    assert [one.hopeless(units, 100) for units in (10, 11)] == [False, True]
    assert not one.hopeless(11, 200)


async def test_who_waited_for_one_lease_is_seen_by_no_other() -> None:
    one, other = lease(0), lease(0)
    (waiter,) = waiters(one, 2)
    assert not other.waiting
    one.demand(1)
    one.granted(1, 2, sound=True)
    assert waiter.future.done()
    waiters(one, 1)
    assert not other.waiting
    one.demand(2)
    one.refused(2, used=100, spent=100)
    waiters(one, 1)
    one.failed(StoreUnavailable())
    assert [*one.waiting, *other.waiting, *lease(0).waiting] == []


def test_a_lease_is_found_by_its_user_unit_and_month_however_they_follow_each_other() -> None:
    leases = Leases()
    wanted = [(ALICE, 1.0), (ALICE, 1.05), (ALICE._replace(unit="tokens"), 1.06), (ALICE, 1.07)]
    wanted += [(ALICE._replace(period="2026-01"), 1.08), (ALICE._replace(user_id="bob"), 1.09), (ALICE, 2.0)]
    for account, now in wanted:
        lease = leases.of(*account, 100, now)
        assert lease is leases.get(account)
        assert (lease.account, lease.used_at) == (account, now)
    assert len(leases) == 4


def test_a_lease_that_was_forgotten_is_not_found_by_its_user() -> None:
    leases = Leases()
    first = leases.of(*ALICE, 100, 1.0)
    other = leases.of(*ALICE._replace(unit="tokens"), 100, 5.0)
    assert leases.unused_since(4.0) == []
    assert leases.get(ALICE) is None
    assert leases.of(*other.account, 100, 5.0) is other
    assert leases.of(*ALICE, 100, 5.0) is not first
    assert leases.unused_since(9.0) == []
    assert (len(leases), len(leases._latest)) == (0, 0)


def test_who_calls_all_the_time_is_looked_for_by_those_who_sweep_last() -> None:
    leases = Leases()
    leases.of(*ALICE, 100, 1.0).idle = 1
    leases.of(*ALICE._replace(user_id="bob"), 100, 1.0).idle = 1
    leases.of(*ALICE, 100, 1.0 + 2 * LATE)
    assert [lease.account.user_id for lease in leases.all()] == ["bob", "alice"]
