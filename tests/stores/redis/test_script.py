import asyncio
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewayd.model import PERIOD_SECONDS, Rate, Tally, Window
from gatewayd.stores import gcra
from gatewayd.stores.redis import script
from gatewayd.stores.redis.line import Command, Line, dial
from tests.patience import PATIENCE
from tests.valkey import Valkey

Ask = Callable[[Command], Any]
FRESH = itertools.count()
NOW = 1_764_000_000_000_000
MINUTE = Window("{user:ann}minute", "user-minute", Rate(60, "minute", burst=3))
rates = st.builds(
    Rate,
    limit=st.integers(1, 5_000) | st.integers(1, 10**9),
    period=st.sampled_from(sorted(PERIOD_SECONDS)),
    burst=st.integers(1, 200) | st.integers(1, 10**9),
)


@pytest.fixture(scope="module")
def talk(standing: Valkey) -> Iterator[Ask]:
    """One answer to one command, on a connection that lasts."""
    with asyncio.Runner() as runner:
        line = Line(dial(standing.url)(), [script.TAKE], patience=PATIENCE)
        runner.run(line.open())

        def one(command: Command) -> Any:
            return runner.run(line.ask([command]))[0]

        yield one
        runner.run(line.close())


@pytest.fixture
def ask(talk: Ask, server: Valkey) -> Ask:
    """Beginning with an empty server."""
    return talk


class Reference:
    """The same windows by `gcra`, in nanoseconds and whole numbers of any size."""

    def __init__(self) -> None:
        self._tats: dict[str, tuple[int, int]] = {}

    def take(self, windows: list[Window], now: int) -> list[Tally]:
        tats = [self._tat(window) for window in windows]
        judged = [gcra.judge(tat, now * 1000, w.rate.fine) for tat, w in zip(tats, windows, strict=True)]
        if all(each.tally.admitted for each in judged):
            for window, each in zip(windows, judged, strict=True):
                self._tats[window.key] = (each.tat, window.rate.limit)
            return [each.tally for each in judged]
        return [
            gcra.peek(tat, now * 1000, w.rate.fine) if each.tally.admitted else each.tally
            for tat, w, each in zip(tats, windows, judged, strict=True)
        ]

    def _tat(self, window: Window) -> int:
        tat, limit = self._tats.get(window.key, (0, window.rate.limit))
        # A nanosecond tick is a thousandth of one of the script's, which rounds a changed limit to its own.
        return tat if limit == window.rate.limit else gcra.rescaled(tat // 1000, limit, window.rate.limit) * 1000


@given(data=st.data(), count=st.integers(1, 3))
def test_it_admits_exactly_what_whole_numbers_admit(talk: Ask, data: st.DataObject, count: int) -> None:
    tag = next(FRESH)
    windows = [Window(f"{{{tag}}}{n}", f"w{n}", data.draw(rates)) for n in range(count)]
    longest = max(window.rate.seconds * 1_000_000 for window in windows)
    reference, now = Reference(), NOW
    for step in data.draw(st.lists(st.integers(0, longest) | st.integers(-longest, 1_000), max_size=12)):
        now += step
        assert script.tallies(windows, talk(script.take(windows, now=now))) == reference.take(windows, now)


@given(data=st.data())
def test_a_limit_that_changes_keeps_the_moment_at_which_the_bucket_is_full(talk: Ask, data: st.DataObject) -> None:
    key, period = f"{{{next(FRESH)}}}", data.draw(st.sampled_from(sorted(PERIOD_SECONDS)))
    reference = Reference()
    for _ in range(6):
        rate = Rate(data.draw(st.integers(1, 90_000_000)), period, data.draw(st.integers(1, 50)))
        window = Window(key, "w", rate)
        assert script.tallies([window], talk(script.take([window], now=NOW))) == reference.take([window], NOW)


@pytest.mark.parametrize(
    "rate", [Rate(10**30, "second"), Rate(1, "day", burst=10**30), Rate(10**17, "day", burst=10**30)], ids=str
)
def test_numbers_past_what_lua_can_count_admit_less_and_never_more(ask: Ask, rate: Rate) -> None:
    window = Window("{big}", "w", rate)
    first, second = (script.tallies([window], ask(script.take([window], now=NOW)))[0] for _ in range(2))
    assert first.admitted
    assert second.remaining < first.remaining < rate.burst


def test_a_key_is_gone_when_its_bucket_is_full_again(ask: Ask, server: Valkey) -> None:
    ask(script.take([MINUTE]))
    assert 900 < int(server.say("PTTL", "gatewayd:{user:ann}minute")[1:]) <= 1_002


def test_the_servers_own_time_counts(ask: Ask) -> None:
    first, second = (script.tallies([MINUTE], ask(script.take([MINUTE])))[0] for _ in range(2))
    assert first == Tally(True, 2, 1.0, 0.0)
    assert 1.5 < second.resets_in <= 2.0


def test_a_refused_take_writes_nothing(ask: Ask, server: Valkey) -> None:
    hour = Window("{user:ann}hour", "user-hour", Rate(1000, "hour"))
    for _ in range(4):
        ask(script.take([MINUTE, hour], now=NOW))
    assert script.tallies([hour], ask(script.take([hour], now=NOW)))[0].remaining == 996


@pytest.mark.parametrize(
    "foreign",
    [("LPUSH", "gatewayd:{user:ann}minute", "x"), ("SET", "gatewayd:{user:ann}minute", "x")],
    ids=["another type", "no number"],
)
def test_a_value_that_is_not_ours_is_a_bucket_used_up_and_heals(
    ask: Ask, server: Valkey, foreign: tuple[str, ...]
) -> None:
    server.say(*foreign)
    refused, admitted = (
        script.tallies([MINUTE], ask(script.take([MINUTE], now=now)))[0] for now in (NOW, NOW + 1_000_000)
    )
    assert refused == Tally(False, 0, 3.0, 1.0)
    assert admitted.admitted


def test_a_floor_is_where_a_bucket_starts_from_unless_it_is_emptier(ask: Ask) -> None:
    first, second = (
        script.tallies([MINUTE], ask(script.take([MINUTE], now=NOW, least=[floor])))[0] for floor in (1_500_000, 1)
    )
    assert first == Tally(True, 0, 2.5, 0.0)
    assert second.retry_in == 0.5


def test_what_was_taken_elsewhere_is_added_up_to_a_bucket_used_up(ask: Ask) -> None:
    ask(script.add(MINUTE.key, MINUTE.rate, script.divided(90_000_000, 60), now=NOW))
    assert script.tallies([MINUTE], ask(script.take([MINUTE], now=NOW)))[0] == Tally(True, 0, 2.5, 0.0)
    ask(script.add(MINUTE.key, MINUTE.rate, script.divided(90_000_000, 60), now=NOW))
    assert script.tallies([MINUTE], ask(script.take([MINUTE], now=NOW)))[0] == Tally(False, 0, 3.0, 1.0)
