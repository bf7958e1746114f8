"""An answer that is held against the one before it is read as if there had been none."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewayd.plain import BLANK, LONGEST_SECTION_KEPT
from gatewayd.proxy import plain
from gatewayd.proxy.awaited import Awaited
from gatewayd.proxy.habit import Habit, _stated
from gatewayd.proxy.plain import PlainAnswer, plain_answer
from tests.proxy.test_plain import compared

THEN, NOW = b"Tue, 24 Nov 2026 05:00:00 GMT", b"Tue, 24 Nov 2026 05:00:01 GMT"
MOMENTS = st.sampled_from(
    [THEN, NOW, b"now", b" " + NOW[1:], NOW[:-1] + b" ", b"\x00" + NOW[1:], b"\r\n" + NOW[2:], b""]
)
BODIES = st.sampled_from([b"", b"h", b"hi", b"h" * 9, b"h" * 10, b"h" * 99, b"h" * 100, b"h" * 101, b"\r\n\r\nhi"])
LINES = st.sampled_from(
    [
        b"Content-Type: a/b",
        b"Server: a",
        b"Server: a/1",
        b"Connection: keep-alive",
        b"Keep-Alive: timeout=5",
        b"X-Usage-Quantity: 3",
        b"Vary: a",
    ]
)


def answer(before: bytes, moment: bytes, behind: bytes, body: bytes, length: bytes | None = None) -> bytes:
    """The two fields that differ from answer to answer, in both orders, with others around them."""
    stated = length if length is not None else b"%d" % len(body)
    return (
        b"HTTP/1.1 200 OK\r\n" + before % {b"d": b"Date: " + moment, b"l": b"content-length: " + stated} + behind + body
    )


ORDERS = st.sampled_from(
    [
        b"%(d)b\r\n%(l)b",
        b"%(l)b\r\n%(d)b",
        b"Vary: c\r\n%(d)b\r\nAccept: d\r\n%(l)b",
        b"%(l)b",
        b"%(d)b\r\n%(l)b\r\n%(d)b",
    ]
)


def told(found: PlainAnswer | None) -> tuple[object, ...] | None:
    if found is None:
        return None
    head, section = found.head, found.head.section
    first = (head.status, head.reason, head.start, head.said, head.size)
    framing = (head.length, head.sized, head.chunked, head.has_body)
    means = (head.is_dated, head.is_limiting, head.stated, head.misstated)
    return found.body, *first, *framing, *means, section.lines, section.named, section.hops


def habit(said: bytes) -> Habit:
    found = plain_answer(said)
    assert found is not None
    assert found.head.said
    return Habit(found.head)


@given(ORDERS, st.lists(LINES, max_size=3), st.lists(st.tuples(MOMENTS, BODIES), min_size=1, max_size=6))
def test_whatever_is_as_usual_is_read_as_if_nothing_had_been_said_before(
    order: bytes, others: list[bytes], said: list[tuple[bytes, bytes]]
) -> None:
    behind = b"".join([b"\r\n" + line for line in others]) + BLANK
    first = plain_answer(answer(order, THEN, behind, b"hi"))
    if first is None or not first.head.said:
        return
    usual = Habit(first.head)
    for moment, body in said:
        data = answer(order, moment, behind, body)
        found = usual.read(data)
        assert found is None or told(found) == told(plain_answer(data))
        if found is not None:
            compared(found, data)
        if moment in (THEN, NOW) and BLANK not in body:
            assert found is not None


@pytest.mark.parametrize("moments", [(THEN, THEN), (THEN, NOW), (NOW, THEN), (NOW, NOW)])
def test_of_a_head_with_two_moments_neither_is_taken_for_the_one_that_changes(moments: tuple[bytes, bytes]) -> None:
    for first in ((THEN, THEN), (THEN, NOW), (NOW, THEN)):
        usual = habit(b"HTTP/1.1 200 OK\r\nDate: %b\r\nContent-Length: 2\r\nDate: %b\r\n\r\nhi" % first)
        data = b"HTTP/1.1 200 OK\r\nDate: %b\r\nContent-Length: 2\r\nDate: %b\r\n\r\nhi" % moments
        found = usual.read(data)
        assert (found is None) == (first != moments)
        assert found is None or told(found) == told(plain_answer(data))


USUAL = answer(b"%(d)b\r\n%(l)b\r\nServer: a", THEN, BLANK, b"hi")


@given(st.integers(0, len(USUAL)), st.binary(min_size=1, max_size=3))
def test_a_byte_more_or_another_anywhere_is_seen(at: int, more: bytes) -> None:
    usual = habit(USUAL)
    for said in (USUAL[:at] + more + USUAL[at:], USUAL[:at] + more + USUAL[at + len(more) :], USUAL[:at]):
        found = usual.read(said)
        assert found is None or told(found) == told(plain_answer(said))


@pytest.mark.parametrize("length", [b"1", b"3", b"02", b"+2", b" 2", b"2 ", b"", b"20", b"-2"])
def test_a_length_that_is_not_the_bodys_or_is_written_otherwise_is_not_as_usual(length: bytes) -> None:
    said = answer(b"%(d)b\r\n%(l)b", NOW, BLANK, b"hi", length)
    assert habit(answer(b"%(d)b\r\n%(l)b", THEN, BLANK, b"hi")).read(said) is None


@given(st.integers(0, 10**7))
def test_the_length_that_is_stated_follows_from_the_size_of_it_and_the_body(length: int) -> None:
    digits = b"%d" % length
    assert _stated(length + len(digits)) == (length, digits)


@pytest.mark.parametrize("size", [-9, -1, 0, 11, 102, 1003])
def test_a_size_that_no_length_gives_has_none(size: int) -> None:
    assert _stated(size) == (-1, b"")


def test_a_head_that_grew_too_long_to_be_remembered_is_not_as_usual() -> None:
    order, line = b"%(d)b\r\n%(l)b", b"\r\nVary: " + b"a" * 100
    room = LONGEST_SECTION_KEPT - len(answer(order, THEN, BLANK, b"hi")) + len(BLANK) + 2
    behind = line * (room // len(line))
    behind += b"\r\nVary: " + b"a" * (room - len(behind) - 8) + BLANK
    usual = habit(answer(order, THEN, behind, b"h" * 9))
    assert usual.read(answer(order, THEN, behind, b"h" * 8)) is not None
    assert usual.read(answer(order, THEN, behind, b"h" * 10)) is None


async def test_an_agent_that_says_two_things_in_turn_keeps_one_habit_and_one_that_changes_gets_another() -> None:
    awaited = Awaited(asyncio.get_running_loop())
    one, other = USUAL, USUAL.replace(b"200 OK", b"404 Not Found")

    def says(said: bytes) -> Habit | None:
        awaited.expect(bodiless=False)
        awaited.hear(said)
        assert told(awaited.take()) == told(plain_answer(said))
        return awaited.habit

    first = says(one)
    assert first is not None
    assert [says(said) for said in (one, other, one, other, one)] == [first] * 5
    assert says(other) is first
    changed = says(other)
    assert changed not in (None, first)
    assert says(other) is changed


async def test_nothing_that_may_be_a_secret_becomes_a_habit() -> None:
    plain._heads.clear()
    awaited = Awaited(asyncio.get_running_loop())
    for _ in range(3):
        awaited.expect(bodiless=False)
        awaited.hear(USUAL.replace(b"Server: a", b"Set-Cookie: a=b"))
        assert awaited.take() is not None
        assert awaited.habit is None
    assert not plain._heads
