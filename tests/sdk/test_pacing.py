"""The pacer waits as long as the gateway's own buckets ask, and no longer than that by much."""

import gatewayd_sdk as sdk
import pytest
from gatewayd_sdk._core.answers import Answer
from gatewayd_sdk._core.exchange import Chance, Fetch, Manner, Wait, exchange
from gatewayd_sdk._core.headers import Headers
from gatewayd_sdk._core.options import Options
from gatewayd_sdk._core.requests import Request
from hypothesis import given
from hypothesis import strategies as st

from tests.clocks import ManualClock


class Limiter:
    """A gateway's bucket, by exact arithmetic: what the pacer must not be refused by."""

    def __init__(self, limit: int, window: int, burst: int) -> None:
        self.limit, self.window, self.burst = limit, window, burst
        self.level, self.at = float(burst), 0.0

    def wait(self, now: float) -> float:
        """When a caller who knows everything goes in."""
        rate = self.limit / self.window
        level = min(self.burst, self.level + (now - self.at) * rate)
        then = now + max(0.0, 1 - level) / rate
        self.hit(then)
        return then

    def hit(self, now: float) -> Answer:
        rate = self.limit / self.window
        self.level = min(self.burst, self.level + (now - self.at) * rate)
        self.at = now
        status = 200
        if self.level < 1 - 1e-9:
            status = 429
        else:
            self.level -= 1
        left = max(0, int(self.level + 1e-9))
        full = int((self.burst - self.level) / rate) + 1
        return limited(left, full, status, self.limit, self.window)


def limited(r: int, t: int, status: int = 200, q: int = 60, w: int = 60, name: str = "user-minute") -> Answer:
    fields = {"ratelimit-policy": f'"{name}";q={q};w={w}', "ratelimit": f'"{name}";r={r};t={t}'}
    if status == 429:
        fields["retry-after"] = "7"
    return Answer(status, Headers(fields.items()))


@given(
    limit=st.integers(1, 50),
    window=st.sampled_from([1, 10, 60]),
    burst=st.integers(1, 20),
    gaps=st.lists(st.floats(0, 5), min_size=2, max_size=60),
)
def test_who_is_paced_is_never_refused(limit: int, window: int, burst: int, gaps: list[float]) -> None:
    pacer, limiter, now = sdk.Pacer(), Limiter(limit, window, burst), 0.0
    ideal, best = Limiter(limit, window, burst), 0.0
    for number, gap in enumerate(gaps):
        now += gap
        now += pacer.begun("/api/email/process", now)
        answer = limiter.hit(now)
        assert number == 0 or answer.status == 200
        pacer.ended("/api/email/process", answer, now)
        best = ideal.wait(best + gap)
    assert now <= best + 2 + 2 * window / limit


def test_calls_under_way_are_counted() -> None:
    pacer = sdk.Pacer()
    assert pacer.begun("/api/a/x", 0) == 0
    pacer.ended("/api/a/x", limited(2, 58), 0)
    assert [pacer.begun("/api/b/y", 0) for _ in range(4)] == [0, 0, 1, 2]
    pacer.ended("/api/b/y", limited(1, 59), 0)
    assert pacer.begun("/api/b/y", 0) == 3


def test_a_call_that_is_not_made_is_given_back() -> None:
    pacer = sdk.Pacer()
    pacer.ended("/api/a/x", limited(1, 59), 0)
    for _ in range(100):
        assert pacer.begun("/api/a/x", 0) == 0
        pacer.withdrawn("/api/a/x")


def test_a_routes_own_window_holds_back_that_route_alone() -> None:
    pacer = sdk.Pacer()
    pacer.ended("/api/a/x", limited(0, 60, name="route-minute"), 0)
    assert pacer.begun("/api/b/x", 0) == 0
    assert pacer.begun("/api/a/z", 0) == 1


def test_a_refusal_closes_the_route_for_as_long_as_it_says() -> None:
    pacer = sdk.Pacer()
    pacer.ended("/api/a/x", limited(0, 0, 429), 10)
    assert pacer.begun("/api/a/x", 12) == 5
    assert pacer.begun("/api/a/x", 30) == 0


def test_the_gateways_own_endpoints_do_not_count() -> None:
    pacer = sdk.Pacer()
    pacer.ended("/api/a/x", limited(0, 60), 0)
    assert pacer.begun("/gateway/v1/usage", 0) == 0
    pacer.withdrawn("/gateway/v1/usage")
    pacer.ended("/gateway/v1/usage", limited(9, 1), 0)
    assert pacer.begun("/api/a/x", 0) == 1


def test_what_it_remembers_is_bounded() -> None:
    pacer = sdk.Pacer()
    for number in range(1000):
        pacer.ended(f"/api/{number}/x", limited(0, 60, 429, name="route-minute"), 0)
    assert len(pacer._buckets) == len(pacer._closed_until) == 256


def test_another_rate_is_another_bucket() -> None:
    pacer = sdk.Pacer()
    pacer.ended("/api/a/x", limited(0, 60), 0)
    pacer.ended("/api/a/x", limited(9, 1, q=600), 0)
    pacer.ended("/api/a/x", limited(9, 1, q=0), 0)
    pacer.ended("/api/a/x", Answer(200, Headers()), 0)
    pacer.ended("/api/a/x", None, 0)
    assert pacer.begun("/api/a/x", 0) == 0


def manner(pacer: sdk.Pacer, clock: ManualClock, total: float) -> Manner:
    return Manner(Options(sdk.Timeout(total=total)), pacer=pacer, chance=Chance(clock.monotonic))


def test_a_call_waits_for_its_turn(clock: ManualClock) -> None:
    pacer = sdk.Pacer()
    pacer.ended("/api/a/x", limited(0, 60), clock.monotonic())
    steps = exchange(Request("GET", "/api/a/x?q"), manner(pacer, clock, 10))
    wait = next(steps)
    assert wait == Wait(1.0)
    clock.advance(1)
    fetch = steps.send(None)
    assert isinstance(fetch, Fetch)
    assert fetch.remaining == 9
    with pytest.raises(StopIteration):
        steps.send(limited(0, 60))


def test_a_turn_that_comes_too_late_is_told_at_once(clock: ManualClock) -> None:
    pacer = sdk.Pacer()
    pacer.ended("/api/a/x", limited(0, 60), clock.monotonic())
    for _ in range(3):
        with pytest.raises(sdk.APITimeoutError, match="nothing was sent"):
            next(exchange(Request("GET", "/api/a/x"), manner(pacer, clock, 0.5)))
    assert pacer.begun("/api/a/x", clock.monotonic()) == 1


def test_a_wait_that_is_broken_off_takes_nothing(clock: ManualClock) -> None:
    pacer = sdk.Pacer()
    pacer.ended("/api/a/x", limited(0, 60), clock.monotonic())
    steps = exchange(Request("GET", "/api/a/x"), manner(pacer, clock, 10))
    next(steps)
    steps.close()
    assert pacer.begun("/api/a/x", clock.monotonic()) == 1
