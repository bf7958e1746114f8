"""Ranking: rare words count, length does not win, what is removed is gone."""

from hypothesis import given, settings
from hypothesis import strategies as st

from gatewayd.demo.bm25 import Counted, Index, Passage, terms


def index_of(*texts: str) -> Index:
    index = Index()
    for number, text in enumerate(texts):
        index.add([Counted.of(Passage(f"d{number}", 0, text))])
    return index


def ranking(index: Index, query: str, most: int = 10) -> list[str]:
    return [hit.passage.document for hit in index.search(query, most)]


def test_words_are_compared_without_case_endings_and_common_words() -> None:
    assert terms("The Quotas are resetting, charged policies") == ["quota", "resett", "charg", "policy"]
    assert terms("class is") == ["class"]


def test_a_rare_word_counts_more_than_a_frequent_one() -> None:
    index = index_of("quota limit", "limit token", "limit stream")
    assert ranking(index, "limit quota")[0] == "d0"
    assert index.rarity("quota") > index.rarity("limit") > index.rarity("absent") == 0


def test_a_long_passage_does_not_win_by_its_length() -> None:
    assert ranking(index_of("quota " + "filler " * 200, "quota short"), "quota") == ["d1", "d0"]


def test_a_passage_without_any_word_of_the_query_is_left_out() -> None:
    assert ranking(index_of("quota", "token"), "quota") == ["d0"]


def test_only_so_many_are_given_and_equals_keep_their_order() -> None:
    assert ranking(index_of("a1 quota", "a2 quota", "a3 quota"), "quota", 2) == ["d0", "d1"]


def test_an_empty_index_finds_nothing() -> None:
    assert ranking(Index(), "quota") == []


@settings(deadline=None)
@given(st.lists(st.lists(st.sampled_from(["red", "green", "blue"]), max_size=5), min_size=1, max_size=6))
def test_removing_documents_leaves_the_index_as_if_they_had_never_been(texts: list[list[str]]) -> None:
    index = index_of(*(" ".join(text) for text in texts))
    for number in range(1, len(texts)):
        index.remove(f"d{number}")
    only = index_of(" ".join(texts[0]))
    assert index.search("red green blue", 9) == only.search("red green blue", 9)
    assert len(index) == 1
