"""The classifier can be read: points, reasons and confidence follow from the words."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatewayd.demo.lexicon import MOST_READ, Evidence, Lexicon

LEXICON = Lexicon({"fruit": {"apple*": 2, "ripe pear": 5}, "car": {"wheel": 3, "502": 1}}, default="other")


@pytest.mark.parametrize(
    ("text", "label"),
    [
        pytest.param("an apple", "fruit", id="a word"),
        pytest.param("APPLES!", "fruit", id="a word that begins so, in capitals"),
        pytest.param("ripe \n pear", "fruit", id="a phrase over a line's end"),
        pytest.param("pineapple", "other", id="a part of a word"),
        pytest.param("wheels", "other", id="a longer word, where none was asked for"),
        pytest.param("one apple, two wheel", "car", id="the heavier one"),
        pytest.param("status 502", "car", id="a number"),
        pytest.param("", "other", id="nothing"),
        pytest.param("x" * MOST_READ + " apple", "other", id="past what is read"),
    ],
)
def test_the_label_with_most_points_wins(text: str, label: str) -> None:
    assert LEXICON.judge(text).label == label


def test_words_of_the_title_count_twice() -> None:
    assert LEXICON.judge("wheel", title="apple").label == "fruit"


def test_a_word_counts_at_most_three_times() -> None:
    verdict = LEXICON.judge("apple " * 50)
    assert verdict.reasons == (Evidence("apple*", 3, 6),)
    assert verdict.evidence == [{"term": "apple*", "count": 3, "points": 6}]


def test_reasons_are_those_of_the_winner_heaviest_first() -> None:
    assert [each.term for each in LEXICON.judge("apple, ripe pear, wheel").reasons] == ["ripe pear", "apple*"]


def test_what_is_not_known_has_no_confidence() -> None:
    assert LEXICON.judge("nothing of it").confidence == 0


@settings(deadline=None)
@given(st.text(max_size=100), st.text(max_size=20))
def test_confidence_stays_between_0_and_1(text: str, title: str) -> None:
    assert 0 <= LEXICON.judge(text + " apple wheel", title=title).confidence < 1
