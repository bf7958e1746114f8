"""What waits for the next call at an address: the newest first, none that is old, lost or unclean, and not too many."""

import asyncio
from collections.abc import AsyncIterator, Callable
from time import monotonic
from types import SimpleNamespace
from typing import cast

import pytest

from gatewayd.outbox import Outbox
from gatewayd.proxy.awaited import Awaited
from gatewayd.proxy.idle import MOST, Idle
from tests.patience import when


class Wires:
    """Makes connections that are open and clean, and notes which ones are closed."""

    def __init__(self, keeps: float = 4.0) -> None:
        self.loop = asyncio.get_running_loop()
        self.closed: list[Awaited] = []
        self.idle = Idle(self.loop, keeps, Outbox(self.loop), self._close)

    def _close(self, protocol: SimpleNamespace) -> None:
        self.closed.append(protocol.awaited)

    def connection(self) -> Awaited:
        protocol = SimpleNamespace(should_close=False, is_between_answers=lambda: True)
        protocol.hear = lambda _: setattr(protocol, "should_close", True)
        protocol.awaited = made = Awaited(self.loop, protocol)
        made.transport = cast("asyncio.Transport", SimpleNamespace(is_closing=lambda: False))
        return made

    def kept(self, count: int, *, age: float = 0.0) -> list[Awaited]:
        made = [self.connection() for _ in range(count)]
        for each in made:
            assert self.idle.keep(each)
            each.since = monotonic() - age
        return made


@pytest.fixture
async def wires() -> AsyncIterator[Wires]:
    found = Wires()
    yield found
    found.idle.end()


async def test_the_connection_that_came_back_last_is_taken_first_and_once(wires: Wires) -> None:
    first, second = wires.kept(2)
    assert [wires.idle.take() for _ in range(3)] == [second, first, None]
    assert wires.closed == []


def lose(connection: Awaited) -> None:
    connection.end()


def begin_to_close(connection: Awaited) -> None:
    connection.transport = cast("asyncio.Transport", SimpleNamespace(is_closing=lambda: True))


def speak_out_of_turn(connection: Awaited) -> None:
    connection.hear(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")


@pytest.mark.parametrize("spoil", [lose, begin_to_close, speak_out_of_turn])
async def test_one_that_was_spoiled_while_it_was_idle_is_closed_and_the_next_one_taken(
    spoil: Callable[[Awaited], None], wires: Wires
) -> None:
    good, bad = wires.kept(2)
    spoil(bad)
    assert (wires.idle.take(), wires.closed, len(wires.idle)) == (good, [bad], 0)
    assert bad.protocol is None, "who is closed is kept by nobody"


@pytest.mark.parametrize("spoil", [lose, speak_out_of_turn])
async def test_one_that_is_lost_or_not_clean_is_not_kept(spoil: Callable[[Awaited], None], wires: Wires) -> None:
    bad = wires.connection()
    spoil(bad)
    assert (wires.idle.keep(bad), len(wires.idle)) == (False, 0)


async def test_what_is_said_of_a_connection_when_it_is_kept_is_asked_of_its_protocol_once(wires: Wires) -> None:
    connection = wires.connection()
    quiet = [connection.is_quiet]
    assert wires.idle.keep(connection)
    quiet.append(connection.is_quiet)
    assert quiet == [False, True]
    del connection.protocol.should_close
    assert wires.idle.take() is connection


async def test_so_many_are_kept_and_no_more(wires: Wires) -> None:
    wires.kept(MOST)
    assert not wires.idle.keep(wires.connection())
    assert len(wires.idle) == MOST


async def test_one_that_was_idle_for_too_long_is_not_taken(wires: Wires) -> None:
    wires.kept(2, age=4.1)
    assert wires.idle.take() is None


async def test_those_that_are_too_old_are_closed_without_being_asked_for_and_the_others_stay() -> None:
    wires = Wires(keeps=0.02)
    old = wires.kept(200, age=1000)
    young = wires.kept(1, age=-1000)
    await when(lambda: len(wires.closed) == 200)
    assert wires.closed == old
    assert wires.idle.take() is young[0]


async def test_there_is_one_timer_while_something_is_idle_and_then_none(wires: Wires) -> None:
    timers = set()
    for _ in range(3):
        wires.kept(1)
        timers.add(wires.idle._timer)
        assert wires.idle.take() is not None
    assert len(timers) == 1
    (timer,) = timers
    assert timer is not None
    wires.idle._sweep()
    assert wires.idle._timer is None


async def test_nothing_is_left_of_it_once_it_has_ended(wires: Wires) -> None:
    wires.kept(1)
    timer = wires.idle._timer
    assert timer is not None
    wires.idle.end()
    assert (timer.cancelled(), wires.idle._timer, wires.idle.take()) == (True, None, None)
