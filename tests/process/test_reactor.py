"""What a process waits for without an event loop: sockets, times, signals."""

import os
import signal
import socket
from collections.abc import Iterator

import pytest

from gatewayd.clock import SystemClock
from gatewayd.process.reactor import SIGNALS, Reactor, hearing, held
from tests.clocks import ManualClock
from tests.patience import PATIENCE


@pytest.fixture
def reactor(clock: ManualClock) -> Iterator[Reactor]:
    reactor = Reactor(clock)
    yield reactor
    reactor.close()


def turn(reactor: Reactor) -> None:
    """One turn that waits for nothing: there is always something due."""
    went: list[int] = []
    reactor.later(0, lambda: went.append(1))
    reactor.until(lambda: bool(went))


def test_a_timer_calls_once_when_its_time_has_come(reactor: Reactor, clock: ManualClock) -> None:
    called: list[int] = []
    reactor.later(5, lambda: called.append(1))
    turn(reactor)
    assert called == []
    clock.advance(5)
    turn(reactor)
    turn(reactor)
    assert called == [1]


def test_a_timer_that_was_called_off_does_not_call_even_in_the_turn_it_is_due(reactor: Reactor) -> None:
    called: list[int] = []
    reactor.later(0, lambda: later.cancel())
    later = reactor.later(0, lambda: called.append(1))
    turn(reactor)
    assert called == []


def test_who_waits_is_told_whether_it_was_done_within_its_patience(clock: ManualClock) -> None:
    del clock
    reactor = Reactor(SystemClock())
    assert not reactor.until(lambda: False, 0.01)
    assert reactor.until(lambda: True, 0.01)
    reactor.close()


def test_a_socket_is_read_and_the_last_who_watches_it_is_called(reactor: Reactor) -> None:
    ours, theirs = socket.socketpair()
    got: list[str] = []
    reactor.watch(ours, lambda: got.append("first"))
    reactor.watch(ours, lambda: got.append(ours.recv(9).decode()))
    with theirs:
        theirs.sendall(b"hello")
        reactor.until(lambda: bool(got))
    assert got == ["hello"]


def test_a_socket_forgotten_in_a_turn_is_not_called_in_it(reactor: Reactor) -> None:
    pairs = [socket.socketpair() for _ in range(2)]
    called: list[int] = []

    def watch(own: int) -> None:
        def call() -> None:
            called.append(own)
            for ours, _ in pairs:
                reactor.forget(ours)

        reactor.watch(pairs[own][0], call)

    for own, (_, theirs) in enumerate(pairs):
        watch(own)
        theirs.sendall(b"x")
    reactor.until(lambda: bool(called))
    assert len(called) == 1
    for _, theirs in pairs:
        theirs.close()


def test_what_is_watched_at_the_end_is_closed(clock: ManualClock) -> None:
    reactor = Reactor(clock)
    ours, theirs = socket.socketpair()
    reactor.watch(ours, lambda: None)
    reactor.close()
    with theirs:
        assert theirs.recv(1) == b""


def test_whoever_does_not_wait_hears_what_has_been_told_and_not_what_is_held() -> None:
    reactor = Reactor(SystemClock())
    heard: list[int] = []
    with hearing(reactor, heard.append) as hear:
        hear()
        assert heard == []
        for number in (signal.SIGTERM, signal.SIGHUP):
            os.kill(os.getpid(), number)
        hear()
        assert heard == [signal.SIGTERM, signal.SIGHUP]
        with held():
            os.kill(os.getpid(), signal.SIGTERM)
            hear()
            assert heard == [signal.SIGTERM, signal.SIGHUP]
        hear()
        assert heard == [signal.SIGTERM, signal.SIGHUP, signal.SIGTERM]
    reactor.close()


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_is_told_and_its_handler_is_back_afterwards(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    reactor = Reactor(SystemClock())
    heard: list[int] = []
    with hearing(reactor, heard.append):
        os.kill(os.getpid(), number)
        assert reactor.until(lambda: bool(heard), PATIENCE)
    assert heard == [number]
    assert signal.getsignal(number) is before
    reactor.close()
