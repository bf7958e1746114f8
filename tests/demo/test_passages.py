"""Files become text, text becomes passages."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatewayd.demo.fields import Fault
from gatewayd.demo.passages import MOST_WORDS, read_document, sentences, split


@pytest.mark.parametrize(
    ("data", "content_type", "filename", "expected"),
    [
        pytest.param(b"a\r\nb", "text/plain", "a.txt", ("text", "a\nb"), id="plain"),
        pytest.param(b"\xef\xbb\xbfa", "", "A.TXT", ("text", "a"), id="a mark at the start, type by name"),
        pytest.param(b"# a", "application/octet-stream", "a.md", ("text", "# a"), id="what curl says of Markdown"),
        pytest.param(b"x,y\n1,2", "text/plain", "a.csv", ("csv", "x: 1; y: 2."), id="CSV called plain text"),
        pytest.param(b"<title>t</title><p>a", "text/html", "", ("html", "t\n\na"), id="HTML"),
        pytest.param(b'a,b\n\n1,"2, 3"\n4\n5,6,7\n', "text/csv", "",
                     ("csv", "a: 1; b: 2, 3.\n\na: 4.\n\na: 5; b: 6."), id="CSV"),
        pytest.param(b"", "text/csv", "", ("csv", ""), id="CSV of nothing"),
        pytest.param(b'{"a": {"b": [1, "x"]}, "c": null}', "application/json", "",
                     ("json", "b: 1; b: x.\n\nc: None."), id="JSON object"),
        pytest.param(b'[{"a": 1}, 2]', "application/json", "", ("json", "a: 1.\n\n2."), id="JSON list"),
        pytest.param(b"3", "application/json", "", ("json", "3."), id="JSON number"),
    ],
)  # fmt: skip
def test_files_are_read_as_text(data: bytes, content_type: str, filename: str, expected: tuple[str, str]) -> None:
    assert read_document(data, content_type, filename) == expected


@pytest.mark.parametrize(
    ("data", "content_type", "filename", "status"),
    [
        pytest.param(b"%PDF-1.7", "application/pdf", "a.pdf", 415, id="PDF"),
        pytest.param(b"a", "image/png", "a.txt", 415, id="an image by type"),
        pytest.param(b"a", "", "a", 415, id="neither type nor name"),
        pytest.param(b"a", "application/octet-stream", "a.exe", 415, id="unknown ending"),
        pytest.param(b"a\0b", "text/plain", "", 415, id="NUL"),
        pytest.param(b"\xff\xfe", "text/plain", "", 415, id="not UTF-8"),
        pytest.param(b"{", "application/json", "", 400, id="JSON cut off"),
        pytest.param(b"[" * 200_000, "application/json", "", 400, id="JSON nested deeply"),
        pytest.param(b"9" * 5_000, "application/json", "", 400, id="JSON with a huge number"),
        pytest.param(b'"' + b"x" * 200_000, "text/csv", "", 400, id="CSV with a huge field"),
    ],
)
def test_what_cannot_be_read_is_refused(data: bytes, content_type: str, filename: str, status: int) -> None:
    with pytest.raises(Fault) as raised:
        read_document(data, content_type, filename)
    assert raised.value.status == status


def test_a_long_name_does_not_make_a_small_file_a_large_text() -> None:
    data = b'{"' + b"k" * 10_000 + b'": [' + b"1," * 5_000 + b"1]}"
    assert len(read_document(data, "application/json", "")[1]) < 50 * len(data) / 2


def test_a_heading_begins_a_passage_and_leads_it() -> None:
    assert split("intro.\n\n# One\n\ntext of one.\n\n## Two\n\ntext of two.") == [
        "intro.",
        "One: text of one.",
        "Two: text of two.",
    ]


def test_small_paragraphs_share_a_passage() -> None:
    assert split("one.\n\ntwo.\n \nthree.") == ["one. two. three."]


def test_a_paragraph_of_some_length_ends_its_passage() -> None:
    long = " ".join(["word"] * 70) + "."
    assert split(f"{long}\n\nnext.") == [long, "next."]


def test_a_long_paragraph_is_split_between_sentences() -> None:
    sentence = " ".join(["word"] * 50) + "."
    assert split(" ".join([sentence] * 3)) == [f"{sentence} {sentence}", sentence]


def test_an_endless_sentence_is_cut() -> None:
    assert [len(passage.split()) for passage in split("word " * 250)] == [120, 120, 10]


@settings(deadline=None)
@given(st.lists(st.sampled_from(["word", "word.", "\n\n", "# ", "?"]), max_size=500))
def test_no_passage_is_too_long_and_no_word_is_lost(pieces: list[str]) -> None:
    text = " ".join(pieces)
    passages = split(text)
    assert all(0 < len(passage.split()) <= MOST_WORDS for passage in passages)
    assert sum(passage.count("word") for passage in passages) == text.count("word")


def test_sentences_end_at_full_stops() -> None:
    assert sentences(" One. Two?  Three 1.5! ") == ["One.", "Two?", "Three 1.5!"]
    assert sentences("  ") == []
