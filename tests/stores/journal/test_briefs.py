"""A brief says all that it stands for, or is not made."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewayd.model import Ending, Outcome
from gatewayd.stores.journal import briefs
from gatewayd.stores.journal.briefs import BRIEF_BYTES, INTENT, MOST, NAME_BYTES
from tests.stores.journal.entries import ENDING, ENDINGS

NUMBERS = st.integers(0, MOST)
NAMES = st.binary(min_size=NAME_BYTES, max_size=NAME_BYTES)
MOMENTS = st.floats(0, 4e9)


def noted(*each: object) -> bytes:
    payload = bytearray(BRIEF_BYTES)
    briefs.note(payload, 0, *each)
    return bytes(payload)


def kind_of(ending: Ending) -> int:
    quantity, drawn, outcome, status = ending.quantity, ending.drawn, ending.outcome, ending.status
    return briefs.kind_of(quantity, drawn, outcome, status, ending.bytes_in, ending.bytes_out)


@given(st.lists(st.tuples(NUMBERS, NUMBERS, NUMBERS, NUMBERS, MOMENTS, NAMES), max_size=5))
def test_briefs_come_back_as_they_were_in_their_order(several: list[tuple[int, int, int, int, float, bytes]]) -> None:
    payload = b"".join(noted(*each) for each in several)
    assert list(briefs.briefs(payload)) == several


@given(NUMBERS, MOMENTS, NAMES)
def test_an_intent_has_one_number_and_is_a_brief_as_any_other(place: int, moment: float, name: bytes) -> None:
    payload = bytearray(b"#" * BRIEF_BYTES)
    briefs.note_intent(payload, 0, INTENT, place, moment, name)
    assert bytes(payload) == noted(INTENT, place, 0, 0, moment, name)


@given(ENDINGS | st.builds(lambda ending, paid: replace(ending, drawn=ending.quantity * paid), ENDINGS, st.booleans()))
def test_an_ending_comes_back_as_it_was_or_is_none_that_a_brief_can_say(ending: Ending) -> None:
    kind = kind_of(ending)
    if not kind:
        large = max(ending.quantity, ending.bytes_in, ending.bytes_out) > MOST
        assert large or ending.drawn not in (0, ending.quantity)
        return
    said = briefs.ending_of(kind, ending.quantity, ending.bytes_in, ending.bytes_out, ending.ended_at)
    assert said == ending
    assert noted(kind, 0, 0, 0, 0.0, b"")[0] > INTENT
    assert not briefs.is_intent(kind)


@pytest.mark.parametrize("outcome", Outcome)
def test_what_is_usual_is_brief_whatever_came_of_it(outcome: Outcome) -> None:
    for drawn in (0, 3):
        assert kind_of(replace(ENDING, outcome=outcome, quantity=3, drawn=drawn))


@pytest.mark.parametrize(
    "unusual",
    [
        replace(ENDING, quantity=3, drawn=2),
        replace(ENDING, quantity=MOST + 1, drawn=0),
        replace(ENDING, quantity=-1, drawn=0),
        replace(ENDING, drawn=0, bytes_in=MOST + 1),
        replace(ENDING, drawn=0, bytes_out=MOST + 1),
        replace(ENDING, drawn=0, status=1 << 16),
        replace(ENDING, drawn=0, status=-1),
    ],
)
def test_what_a_brief_could_not_say_is_none(unusual: Ending) -> None:
    assert kind_of(unusual) == 0


def test_an_intent_is_known_by_its_first_byte() -> None:
    assert noted(INTENT, 8, 0, 0, 0.5, b"1" * NAME_BYTES)[0] == INTENT
    assert briefs.is_intent(INTENT)


def test_what_is_no_row_of_briefs_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="nothing but these"):
        list(briefs.briefs(bytes(BRIEF_BYTES + 1)))
    with pytest.raises(ValueError, match="outcome 5"):
        briefs.ending_of(INTENT | 5, 0, 0, 0, 0.0)
