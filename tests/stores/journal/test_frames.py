"""What is written is what is read, or nothing is."""

import math
import sys
from dataclasses import replace

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewayd.model import Ending, Hold
from gatewayd.stores.journal import frames
from gatewayd.stores.journal.frames import Conclusion, Intent
from tests.stores.journal.entries import ENDING, ENDINGS, HOLDS, NUMBERS, TEXTS, hold, payloads_in


def framed(payload: bytes) -> bytes:
    data = frames.word(payload).to_bytes(8, sys.byteorder) + payload
    return data + bytes(-len(data) % 8)


@given(HOLDS)
def test_a_hold_comes_back_as_it_was(hold: Hold) -> None:
    assert frames.decode(frames.intent(hold)) == Intent(hold)


@given(HOLDS, st.lists(st.tuples(TEXTS | st.from_regex(r"[0-9a-f]{32}", fullmatch=True), st.floats(0, 4e9))))
def test_holds_that_differ_in_id_and_moment_alone_come_back_as_they_were(
    hold: Hold, others: list[tuple[str, float]]
) -> None:
    for name, moment in others:
        other = replace(hold, id=name, started_at=moment)
        assert frames.decode(frames.intent(other)) == Intent(other)


@given(HOLDS, HOLDS)
def test_a_hold_with_the_id_of_another_is_not_taken_for_it(one: Hold, other: Hold) -> None:
    for each in (one, replace(other, id=one.id), one):
        assert frames.decode(frames.intent(each)) == Intent(each)


@given(HOLDS, TEXTS, st.floats(0, 4e9), st.integers(8, 2**32))
def test_a_hold_that_is_like_another_comes_back_from_its_place_id_and_moment(
    hold: Hold, name: str, moment: float, place: int
) -> None:
    like = replace(hold, id=name, started_at=moment)
    said = frames.likeness(frames.intent_like(like, place))
    assert said is not None
    assert (said.place, said.to(hold)) == (place, like)


@given(HOLDS, st.none() | ENDINGS)
def test_what_stands_for_itself_is_like_nothing(hold: Hold, ending: Ending | None) -> None:
    assert frames.likeness(frames.intent(hold)) is None
    assert frames.likeness(frames.conclusion(hold.id, ending)) is None


def test_an_intent_that_is_like_another_does_not_stand_for_itself() -> None:
    with pytest.raises(ValueError, match="not an ending"):
        frames.decode(frames.intent_like(hold(1), 8))


def test_words_that_many_holds_share_are_one_string_each() -> None:
    one, other = (frames.decode(frames.intent(hold(number))) for number in (1, 2))
    assert isinstance(one, Intent)
    assert isinstance(other, Intent)
    for name in ("user_id", "plan", "agent", "route", "unit"):
        assert getattr(one.hold, name) is getattr(other.hold, name)


def test_what_holds_share_is_remembered_of_so_many_only() -> None:
    for number in range(2 * frames._TERMS_KEPT + 2):
        frames.decode(frames.intent(hold(number, f"user-{number}")))
    assert len(frames._terms) <= frames._TERMS_KEPT


@given(TEXTS, st.none() | ENDINGS)
def test_a_conclusion_comes_back_as_it_was_and_fits_the_room_set_aside(hold_id: str, ending: Ending | None) -> None:
    payload = frames.conclusion(hold_id, ending)
    assert frames.decode(payload) == Conclusion(hold_id, ending)
    assert frames.space(len(payload)) <= frames.conclusion_space(hold_id.encode())


@pytest.mark.parametrize(
    "broken",
    [
        replace(hold(1), user_id="\ud800"),
        replace(hold(1), id="\udfff"),
        replace(hold(1), limit=2**64),
        replace(hold(1), started_at=math.nan),
        replace(hold(1), started_at=math.inf),
    ],
    ids=["half a pair", "half a pair as id", "beyond 64 bits", "no moment", "never"],
)
def test_a_hold_that_could_not_be_read_back_is_refused(broken: Hold) -> None:
    with pytest.raises(ValueError, match="a hold"):
        frames.intent(broken)


@pytest.mark.parametrize(
    "broken",
    [replace(hold(1), id="\udfff"), replace(hold(1), started_at=math.nan), replace(hold(1), started_at=math.inf)],
    ids=["half a pair as id", "no moment", "never"],
)
def test_nor_is_it_written_as_being_like_another(broken: Hold) -> None:
    with pytest.raises(ValueError, match="a hold"):
        frames.intent_like(broken, 8)


@pytest.mark.parametrize("ending", [replace(ENDING, quantity=2**63), replace(ENDING, status=2**31)])
def test_an_ending_beyond_its_numbers_is_refused(ending: Ending) -> None:
    with pytest.raises(ValueError, match="an ending that cannot be written"):
        frames.conclusion("id", ending)


@pytest.mark.parametrize(
    "payload",
    [
        b"[1]",
        b"[",
        b'["a"]',
        b'["a","ann","pro","chat","chat","requests",1,100,1,',
        orjson.dumps([*"abcdef", -1, 0, 0, 0.5]),
        b"\x01short",
        b"\x63" + bytes(44),
        b"\x00\xff",
    ],
    ids=[
        "facts missing",
        "not JSON",
        "an id alone",
        "no moment",
        "negative units",
        "cut off",
        "another outcome",
        "not UTF-8",
    ],
)
def test_a_payload_of_another_making_is_a_value_error(payload: bytes) -> None:
    frames.decode(frames.intent(hold(1)))  # what holds have in common is known then
    with pytest.raises(ValueError):
        frames.decode(payload)


@given(st.lists(st.binary(min_size=1, max_size=50), max_size=6), st.data())
def test_every_prefix_of_the_bytes_reads_as_a_prefix_of_the_frames(payloads: list[bytes], data: st.DataObject) -> None:
    whole = b"".join(map(framed, payloads))
    cut = data.draw(st.integers(0, len(whole)))
    for torn in (whole[:cut], whole[:cut] + bytes(len(whole) - cut)):
        found = list(payloads_in(torn))
        assert found == payloads[: len(found)]
    assert list(payloads_in(whole)) == payloads


@given(HOLDS, st.data())
def test_a_flipped_bit_never_makes_another_frame(hold: Hold, data: st.DataObject) -> None:
    payload = frames.intent(hold)
    whole = framed(payload) + bytes(64)
    bit = data.draw(st.integers(0, (8 + len(payload)) * 8 - 1))
    flipped = bytearray(whole)
    flipped[bit // 8] ^= 1 << bit % 8
    assert list(payloads_in(bytes(flipped))) == []


@given(NUMBERS)
def test_a_frame_begins_where_a_word_can_be_stored_at_once(length: int) -> None:
    assert frames.space(length) % frames.WORD == 0
    assert frames.space(length) - length in range(8, 16)


def test_no_word_stands_where_the_data_end() -> None:
    assert frames.word_at(b"\xff" * 7, 0) == 0
    assert frames.frame_at(b"", 0) is None
