"""The way out: in flight, idle, cut."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewayd.drain import Drain
from gatewayd.errors import Draining, TokenRevoked, UpstreamConnect
from gatewayd.exchange import Exchange
from gatewayd.model import Identity, Outcome
from tests.clocks import ManualClock
from tests.policies.rings import EMAIL, Ring


class Transport:
    aborted = 0

    def abort(self) -> None:
        self.aborted += 1

    def get_extra_info(self, _name: str) -> None:
        """It has no socket."""


class Task:
    cancelled = 0

    def cancel(self) -> None:
        self.cancelled += 1


class Request:
    method = "GET"
    remote = "192.0.2.1"

    def __init__(self, transport: Transport | None, task: Task | None = None) -> None:
        self.transport = transport
        self.task = task


@pytest.fixture
def ring(clock: ManualClock) -> Ring:
    return Ring(EMAIL, clock)


def begun(ring: Ring, transport: Transport | None = None, task: Task | None = None) -> Exchange:
    return ring.generations.begin(Request(transport, task))  # type: ignore[arg-type]


def test_a_drain_is_idle_when_the_last_exchange_has_left(ring: Ring) -> None:
    drain, first, second = Drain(), begun(ring), begun(ring)
    drain.enter(first)
    drain.enter(second)
    drain.begin()
    drain.leave(first)
    assert (drain.in_flight, drain.idle.is_set()) == (1, False)
    drain.leave(second)
    assert (drain.in_flight, drain.idle.is_set()) == (0, True)


@given(st.lists(st.integers(0, 5), max_size=40))
def test_those_in_flight_are_whoever_came_and_has_not_left(comings: list[int]) -> None:
    ring, drain = Ring(EMAIL, ManualClock()), Drain()
    all_of_them, expected = [begun(ring) for _ in range(6)], list[Exchange]()
    for number in comings:
        exchange = all_of_them[number]
        if exchange in expected:
            drain.leave(exchange)
            expected.remove(exchange)
        else:
            drain.enter(exchange)
            expected.append(exchange)
        drain.leave(begun(ring))  # who never came
        assert list(drain.exchanges) == expected[::-1]
        assert drain.in_flight == len(expected)
    gone = [each for each in all_of_them if each not in expected]
    assert all(each.before is each.after is None for each in gone)


def test_a_drain_with_nothing_in_flight_is_idle_at_once() -> None:
    drain = Drain()
    assert (drain.began, drain.idle.is_set()) == (False, False)
    drain.begin()
    assert (drain.began, drain.idle.is_set()) == (True, True)


def test_an_exchange_that_leaves_before_the_drain_says_nothing(ring: Ring) -> None:
    drain, exchange = Drain(), begun(ring)
    drain.enter(exchange)
    drain.leave(exchange)
    assert not drain.idle.is_set()


def test_what_is_cut_ends_by_our_doing(ring: Ring) -> None:
    drain, transport, task = Drain(), Transport(), Task()
    waiting, headed, answered, refused, done = (begun(ring, transport, task) for _ in range(5))
    gone = begun(ring, transport)
    headed.status = answered.status = done.status = 200
    answered.sent = True
    refused.refused(UpstreamConnect())
    done.outcome = Outcome.DELIVERED
    cut = (waiting, headed, answered, gone, refused, done)
    for exchange in cut:
        drain.enter(exchange)
    drain.begin()
    drain.cut()
    assert all(isinstance(exchange.cut, Draining) for exchange in cut)
    assert (transport.aborted, task.cancelled) == (3, 2)  # an answer that began, two of our own; two that did not begin
    assert [(each.status, each.code) for each in cut] == [
        (503, "draining"),
        (503, "draining"),
        (200, ""),
        (0, ""),
        (502, "upstream_connect"),
        (200, ""),
    ]


def test_only_those_who_are_refused_now_are_cut(ring: Ring) -> None:
    drain, transport, other, task = Drain(), Transport(), Transport(), Task()
    waiting, answered = begun(ring, transport, task), begun(ring, transport, task)
    another, unproved = begun(ring, other, task), begun(ring)
    for exchange, user in ((waiting, "eve"), (answered, "eve"), (another, "ann")):
        exchange._identity = Identity(user, None, frozenset(), None, None, 9e9)
    answered.status, answered.sent = 200, True
    for exchange in (waiting, answered, another, unproved):
        drain.enter(exchange)
    assert drain.cut_refused(lambda identity: identity.user == "eve") == 2
    assert (transport.aborted, other.aborted, task.cancelled) == (1, 0, 1)
    assert [isinstance(each.cut, TokenRevoked) for each in (waiting, answered, another, unproved)] == [
        True,
        True,
        False,
        False,
    ]
    assert [(each.status, each.code) for each in (waiting, answered)] == [(401, "token_invalid"), (200, "")]
    assert (drain.in_flight, drain.began) == (4, False)
