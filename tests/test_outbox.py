"""What is written in one turn of the loop leaves together, in its order, and nothing of it is forgotten."""

import asyncio
from typing import cast

import pytest

from gatewayd.outbox import FEW, LARGE, LEFT, MOST, Outbox
from tests.sealing import NONE, NotedBooks


class Wire:
    """A transport that notes what is written to it, in the list that it shares with others."""

    def __init__(self, log: list[bytes]) -> None:
        self._log = log
        self.closing = False

    def write(self, data: bytes) -> None:
        assert not self.closing
        self._log.append(data)

    def is_closing(self) -> bool:
        return self.closing


def wires(log: list[bytes], count: int) -> list[asyncio.Transport]:
    return [cast("asyncio.Transport", Wire(log)) for _ in range(count)]


def an_outbox(speakers: int = FEW) -> Outbox:
    outbox = Outbox(asyncio.get_running_loop())
    outbox.speakers = speakers
    return outbox


async def a_turn() -> None:
    await asyncio.sleep(0)


async def test_what_is_put_in_one_turn_leaves_at_its_end_in_its_order() -> None:
    log: list[bytes] = []
    outbox = an_outbox()
    first, second = wires(log, 2)
    outbox.put(first, b"1", NONE)
    outbox.put(second, b"2", NONE)
    outbox.put(first, b"3", NONE)
    assert log == []
    await a_turn()
    assert log == [b"1", b"2", b"3"]


async def test_each_turn_has_its_own_end() -> None:
    log: list[bytes] = []
    outbox = an_outbox()
    (wire,) = wires(log, 1)
    for number in (b"1", b"2", b"3"):
        outbox.put(wire, number, NONE)
        await a_turn()
        assert log[-1] == number


async def test_what_the_loop_is_asked_to_do_afterwards_comes_after_it() -> None:
    log: list[bytes] = []
    outbox = an_outbox()
    (wire,) = wires(log, 1)
    outbox.put(wire, b"put", NONE)
    asyncio.get_running_loop().call_soon(wire.write, b"behind it")
    await a_turn()
    assert log == [b"put", b"behind it"]


@pytest.mark.parametrize("flushed_before", [0, 1])
async def test_a_full_outbox_is_emptied_at_once_and_goes_on(flushed_before: int) -> None:
    log: list[bytes] = []
    outbox = an_outbox()
    (wire,) = wires(log, 1)
    for _ in range(flushed_before * MOST):
        outbox.put(wire, b"before", NONE)
    for _ in range(MOST):
        outbox.put(wire, b".", NONE)
    assert log.count(b".") == 0
    outbox.put(wire, b"the next one", NONE)
    assert log.count(b".") == MOST
    assert log[-1] == b"."
    await a_turn()
    assert log[-1] == b"the next one"


async def test_where_few_speak_each_message_leaves_at_once() -> None:
    log: list[bytes] = []
    outbox = an_outbox(FEW - 1)
    (wire,) = wires(log, 1)
    outbox.put(wire, b"at once", NONE)
    assert log == [b"at once"]


async def test_a_large_message_keeps_nobody_waiting() -> None:
    log: list[bytes] = []
    outbox = an_outbox()
    (wire,) = wires(log, 1)
    outbox.put(wire, b"x" * (LARGE + 1), NONE)
    assert len(log) == 1
    outbox.put(wire, b"x" * LARGE, NONE)
    assert len(log) == 1
    await a_turn()
    assert len(log) == 2


async def test_a_message_for_a_connection_that_closed_meanwhile_is_dropped_and_the_others_leave() -> None:
    log: list[bytes] = []
    outbox = an_outbox()
    closed, other = wires(log, 2)
    outbox.put(closed, b"nobody's", NONE)
    outbox.put(other, b"somebody's", NONE)
    cast("Wire", closed).closing = True
    await a_turn()
    assert log == [b"somebody's"]


async def test_whoever_flushes_has_it_written_now_and_once() -> None:
    log: list[bytes] = []
    outbox = an_outbox()
    (wire,) = wires(log, 1)
    outbox.flush()
    outbox.put(wire, b"now", NONE)
    outbox.flush()
    assert log == [b"now"]
    await a_turn()
    assert log == [b"now"]


async def test_what_is_done_first_is_done_before_messages_leave_however_they_do() -> None:
    log: list[bytes] = []
    outbox = an_outbox()
    outbox.first = lambda: log.append(b"first")
    (wire,) = wires(log, 1)
    outbox.put(wire, b"at the turn's end", NONE)
    await a_turn()
    assert log == [b"first", b"at the turn's end"]
    log.clear()
    for _ in range(MOST + 1):
        outbox.put(wire, b".", NONE)
    assert log == [b"first", *[b"."] * MOST]
    log.clear()
    outbox.flush()
    assert log == [b"first", b"."]


async def test_whoever_puts_a_message_can_tell_whether_it_still_waits() -> None:
    log: list[bytes] = []
    outbox = an_outbox()
    (wire,) = wires(log, 1)
    for _ in range(MOST * 2 + 1):
        before = len(log)
        waits = outbox.put(wire, b".", NONE)
        assert waits == outbox.round, "the newest one always does"
    assert before == MOST
    await a_turn()
    assert waits != outbox.round
    waits = outbox.put(wire, b"flushed", NONE)
    outbox.flush()
    assert waits != outbox.round
    assert outbox.put(wire, b"x" * (LARGE + 1), NONE) == LEFT
    outbox.speakers = FEW - 1
    assert outbox.put(wire, b"at once", NONE) == LEFT
    assert outbox.round != LEFT


async def test_nothing_leaves_before_the_books_are_sealed_in_which_it_stands() -> None:
    log: list[bytes] = []
    outbox = an_outbox()
    (wire,) = wires(log, 1)
    books = NotedBooks(log)
    for number in (b"1", b"2"):
        outbox.put(wire, number, books)
    await a_turn()
    assert log == [b"sealed", b"1", b"2"]
    del log[:]
    outbox.put(wire, b"x" * (LARGE + 1), books)
    assert log == [b"sealed", b"x" * (LARGE + 1)]
    del log[:]
    outbox.speakers = FEW - 1
    outbox.put(wire, b"at once", books)
    assert log == [b"sealed", b"at once"]


async def test_messages_that_stand_in_several_books_leave_when_all_are_sealed() -> None:
    log: list[bytes] = []
    outbox = an_outbox()
    (wire,) = wires(log, 1)
    outbox.put(wire, b"1", NotedBooks(log, b"one"))
    outbox.put(wire, b"2", NotedBooks(log, b"another"))
    await a_turn()
    assert log == [b"one", b"another", b"1", b"2"]
