"""Some minutes of counts: rates, the last minute, and no more memory than that."""

from gatewayd.admin.counts import Counts, RouteCounts
from gatewayd.admin.history import STEP, STEPS, History


def at(second: float, total: int, failed: int = 0) -> Counts:
    return Counts(second, {"email": RouteCounts(total, 0, failed)})


def test_the_last_minute_is_what_came_on_top_in_it() -> None:
    history = History()
    for second in range(200):
        history.add(at(1000 + second, 10 * second), uptime=5000)
    found = history.lately(at(1199, 1990))
    assert found.of("email").total == 600
    assert found.at == 60
    assert history.lately(at(1199, 1990), 10).of("email").total == 100


def test_a_young_daemon_is_counted_from_its_start() -> None:
    history = History()
    history.add(at(1000, 30), uptime=10)
    found = history.lately(at(1000, 30))
    assert (found.at, found.of("email").total) == (10, 30)


def test_of_an_old_daemon_that_was_not_looked_at_before_nothing_is_said() -> None:
    history = History()
    history.add(at(1000, 30_000), uptime=10_000)
    assert history.lately(at(1000, 30_000)).of("email").total == 0
    assert history.lately(at(1000.5, 30_002)).of("email").total == 2


def test_before_the_first_count_there_was_nothing() -> None:
    assert History().lately(at(5, 5)).of("email").total == 0
    assert History().series() == {}


def test_a_series_has_a_point_for_each_step_and_no_more_than_its_steps() -> None:
    history = History()
    for second in range(1000):
        history.add(at(second, 3 * second, second), uptime=5000)
    series = history.series()["email"]
    assert len(series) == STEPS
    assert set(series) == {(3.0, 1.0)}
    assert STEP * STEPS == 300


def test_looks_in_short_order_take_no_room() -> None:
    history = History()
    for tick in range(10_000):
        history.add(at(tick / 100, tick), uptime=5000)
    assert len(history._kept) < 70
    assert len(history._marks) <= STEPS + 1
