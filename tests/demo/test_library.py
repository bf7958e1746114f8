"""A library is bounded and answers with the sentences that it has."""

from gatewayd.demo.library import NOTHING_FOUND, Document, Library, count_words


def library(documents: int = 5, characters: int = 10_000) -> Library:
    return Library(most_documents=documents, most_characters=characters)


def add(shelf: Library, key: str, text: str) -> list[str]:
    passages = count_words(key, text)
    return shelf.add(Document(key, key.upper(), "text", len(text), len(passages), 0.0), passages)


def test_an_answer_quotes_and_cites_its_sources() -> None:
    shelf = library()
    add(shelf, "a", "A quota resets monthly. The weather is fine.")
    add(shelf, "b", "Tokens expire after an hour.")
    reply = shelf.reply("When does a quota reset?", 3)
    assert reply.answer == "A quota resets monthly. [1]"
    [source] = reply.sources
    assert (source.number, source.document, source.title, source.position) == (1, "a", "A", 0)
    assert source.snippet == "A quota resets monthly. The weather is fine."


def test_a_question_that_nothing_answers_is_told_so() -> None:
    reply = library().reply("quota?", 3)
    assert (reply.answer, reply.sources) == (NOTHING_FOUND, ())


def test_a_long_passage_is_shown_by_its_beginning() -> None:
    shelf = library()
    add(shelf, "a", "quota " + "filler " * 80)
    snippet = shelf.reply("quota", 1).sources[0].snippet
    assert len(snippet) <= 242
    assert snippet.endswith("filler …")


def test_sentences_that_say_little_of_the_question_are_left_out() -> None:
    shelf = library()
    add(shelf, "a", "A spent quota is answered with status 402. A plan has a status.")
    add(shelf, "b", "Every answer has a status.")
    assert shelf.reply("Which status tells of a spent quota?", 3).answer == (
        "A spent quota is answered with status 402. [1]"
    )


def test_the_oldest_documents_make_room() -> None:
    shelf = library(documents=2)
    add(shelf, "a", "quota a")
    add(shelf, "b", "quota b")
    assert add(shelf, "c", "quota c") == ["a"]
    assert [document.id for document in shelf.newest_first()] == ["c", "b"]
    assert "a" not in {source.document for source in shelf.reply("quota", 9).sources}


def test_characters_are_bounded_too() -> None:
    shelf = library(characters=10)
    add(shelf, "a", "12345")
    add(shelf, "b", "12345")
    assert add(shelf, "c", "1234567") == ["a", "b"]


def test_a_removed_document_is_gone() -> None:
    shelf = library()
    add(shelf, "a", "quota")
    assert (shelf.remove("a"), shelf.remove("a")) == (True, False)
    assert shelf.reply("quota", 1).sources == ()


def test_a_document_tells_when_it_came() -> None:
    assert Document("a", "A", "text", 1, 1, 1_764_000_000.0).document["uploaded_at"] == "2025-11-24T16:00:00Z"
