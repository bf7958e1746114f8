"""A request that is held against what was said before is read as if it was not, and nothing of a token is kept."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewayd.edge.conversation import Conversation
from gatewayd.edge.habit import Habit, habit_of
from gatewayd.edge.plain import PlainRequest, plain_request
from gatewayd.outbox import Outbox
from gatewayd.plain import LONGEST
from tests.edge.test_plain import FIRST, LINES

POST = b"POST /a?b HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %b\r\nContent-Length: 2\r\nUser-Agent: a\r\n\r\nhi"
TOKENS = st.sampled_from([b"Bearer a", b"Bearer b.c-d", b" a", b"a ", b"", b"\xe4", b"a\r\nX-A: b", b"a\r\n\r\nb"])


def habit(said: bytes) -> Habit:
    found = habit_of(said.partition(b"\r\n\r\n")[0])
    assert found is not None
    return found


def told(request: PlainRequest | None) -> tuple[object, ...] | None:
    if request is None:
        return None
    head = request.head
    named = (request.method, request.path, request.said, request.rest, request.length, request.raw_headers)
    fields = (head.host, head.lines, head.named, head.proof, head.size, head.content_length, head.hops, head.written())
    return *named, *fields


def test_another_token_and_another_body_are_all_that_is_looked_at() -> None:
    usual = habit(POST % b"one")
    for said in (POST % b"one", POST % b"another", POST % b"x" + b"GET /", (POST % b"y")[:-1]):
        found = usual.read(said, LONGEST)
        assert found is not None
        assert told(found) == told(plain_request(said, LONGEST))


@given(FIRST, st.lists(LINES, max_size=3), st.lists(LINES, max_size=3), TOKENS, TOKENS, st.binary(max_size=2))
def test_whatever_is_as_usual_is_read_as_if_nothing_had_been_said_before(
    first: bytes, before: list[bytes], behind: list[bytes], token: bytes, other: bytes, body: bytes
) -> None:
    def request(token: bytes) -> bytes:
        lines = [first, b"Host: x", *before, b"Authorization: " + token, *behind]
        return b"\r\n".join(lines) + b"\r\n\r\n" + body

    if plain_request(request(token), LONGEST) is None:
        return
    usual = habit_of(request(token).partition(b"\r\n\r\n")[0])
    for said in (request(token), request(other)):
        if usual is not None and (found := usual.read(said, LONGEST)) is not None:
            assert told(found) == told(plain_request(said, LONGEST))


@given(st.text("ab-.", max_size=9), st.lists(st.sampled_from([b"\r\n", b"a", b"\r\nContent-Length: 2"]), max_size=3))
def test_where_a_token_ends_is_found_whatever_has_come_of_the_body_and_behind_it(token: str, more: list[bytes]) -> None:
    usual = habit(POST % b"one")
    whole = POST % token.encode()
    end = whole[whole.index(b"\r\nContent") :]
    for said in (whole, whole[:-1], whole[:-2], whole + b"".join(more), whole + whole):
        assert told(usual.read(said, LONGEST)) == told(plain_request(said, LONGEST))
    for said in (whole + end, whole[:-2] + end, whole + end[:-2], end.join([whole, b"a", b"hi"])):
        found = usual.read(said, LONGEST)
        assert found is None or told(found) == told(plain_request(said, LONGEST))


@given(st.integers(0, len(POST)), st.binary(min_size=1, max_size=2))
def test_a_byte_more_anywhere_is_seen(at: int, more: bytes) -> None:
    said = POST % b"token"
    said = said[:at] + more + said[at:]
    found = habit(POST % b"token").read(said, LONGEST)
    assert found is None or told(found) == told(plain_request(said, LONGEST))


@pytest.mark.parametrize("line", [b"Cookie: a=b", b"X-Key: a", b"User-Agent: " + b"a" * 200, b"authorization: b"])
def test_what_may_be_a_secret_or_is_long_becomes_no_habit(line: bytes) -> None:
    for place in (b"Host: x\r\n", b"Content-Length: 2\r\n"):
        assert habit_of((POST % b"a").replace(place, place + line + b"\r\n").partition(b"\r\n\r\n")[0]) is None


def test_nothing_of_a_token_is_kept() -> None:
    usual = habit(POST % b"a-secret-that-is-nobodys")
    kept = [getattr(usual, name) for name in ("_begin", "_end")] + usual._section.lines
    kept += [value for values in usual._section.named.values() for value in values]
    assert kept
    assert not [each for each in kept if b"secret" in each]


def test_a_head_that_is_too_long_is_none_whatever_was_usual() -> None:
    said = POST % b"token"
    size = len(said.partition(b"\r\n\r\n")[0])
    assert habit(said).read(said, size) is not None
    assert habit(said).read(said, size - 1) is None


async def test_who_says_two_things_in_turn_keeps_one_habit_and_who_changes_gets_another() -> None:
    loop = asyncio.get_running_loop()
    talk = Conversation(loop, Outbox(loop))
    talk.longest_plain = LONGEST
    one, other = POST % b"a", (POST % b"a").replace(b"POST", b"PUT")

    def says(said: bytes) -> Habit | None:
        talk.bell.arm()
        assert talk.take_plain(said)
        assert told(talk.plain) == told(plain_request(said, LONGEST))
        return talk.habit

    first = says(one)
    assert first is not None
    assert [says(said) for said in (one, other, one, other, one)] == [first] * 5
    assert says(other) is first
    changed = says(other)
    assert changed is not None
    assert changed is not first
    assert says(other) is changed
