"""HTML is read as a reader sees it, whatever its form."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatewayd.demo.pages import Heading, Link, plain, read_html

PAGE = """<!doctype html><html><head><title> A  page </title>
<meta name=Description content=" What it
 is about "><meta charset=utf-8><base href="/deep/"><base href="/ignored/">
<style>p { color: red }</style><script>var a = "<p>no</p>";</script></head>
<body><h1>One <em>big</em> thing</h1><p>Some <b>bold</b>
text.</p><svg><title>not this</title></svg><h3></h3><h2>Two</h2><a href=" next ">go <i>on</i></a><a name=x>anchor</a>
<ul><li>first<li>second</ul><img src=a><br>end</body></html>"""


def test_a_page_is_read() -> None:
    page = read_html(PAGE)
    assert (page.title, page.description, page.base) == ("A page", "What it is about", "/deep/")
    assert page.headings == [Heading(1, "One big thing"), Heading(2, "Two")]
    assert page.links == [Link("next", "go on")]


def test_blocks_are_apart_and_inline_elements_are_not() -> None:
    assert read_html("<p>Some <b>bold</b>\ntext<div>more").text == "Some bold text\n\nmore"


def test_what_is_not_shown_is_not_text() -> None:
    text = read_html(PAGE).text
    assert "color" not in text
    assert "var a" not in text
    assert "not this" not in text
    assert "A page" not in text


def test_chosen_elements_are_gathered_even_when_left_open() -> None:
    page = read_html("<ul><li>a<b>b</b></li><li>c", ["li", "b", "img", "q"])
    assert page.selected == {"li": ["ab", "c"], "b": ["b"], "img": [], "q": []}


def test_an_end_closes_what_was_left_open_inside() -> None:
    assert read_html("<h1>a<span><a href=x>b</h1>c").links == [Link("x", "b")]


@pytest.mark.parametrize(
    "markup",
    [
        pytest.param("before<![foo[ x", id="unknown declaration"),
        pytest.param("before</style></a>", id="ends without beginnings"),
        pytest.param("before<!--", id="open comment"),
        pytest.param("before" + "<a href=x>" * 500, id="many left open"),
        pytest.param("before" + "<div>" * 100_000, id="deep"),
    ],
)
def test_a_page_that_is_not_well_formed_keeps_its_beginning(markup: str) -> None:
    assert read_html(markup).text.startswith("before")


@settings(deadline=None)
@given(st.text(alphabet="<>!-[]/ab='\" \n&;#x1", max_size=80))
def test_any_markup_can_be_read(markup: str) -> None:
    read_html(markup, ["a", "b"])


@pytest.mark.parametrize(
    ("markup", "text"),
    [
        pytest.param("a<!-- <p>b</p> -->c", "ac", id="comment"),
        pytest.param("a<!-->b<!---->c", "ac", id="comment that ends in the next"),
        pytest.param("a<![CDATA[b]]>c", "ac", id="marked section"),
        pytest.param("a<!foo <!-- >b-->c", "ab-->c", id="comment in a declaration"),
        pytest.param("a<?php echo ?>b", "ab", id="processing instruction"),
        pytest.param("a<p>b<a href=", "a\n\nb", id="tag cut off"),
        pytest.param("1 < 2", "1 < 2", id="no tag"),
        pytest.param("a <b>1 < 2", "a 1 < 2", id="no tag at the end"),
    ],
)
def test_declarations_and_unfinished_tags_are_left_out(markup: str, text: str) -> None:
    assert read_html(markup).text == text


@pytest.mark.timeout(20)
@pytest.mark.parametrize("end", ["", ">", "-->", "'>", '">'])
@pytest.mark.parametrize(
    "piece",
    ["<!--", "<!", "<![", "<![CDATA[", "<?", "<a ", '<a b="', "<a b='", "<a b=", "<a/", "<a", "</", "</a", "</a ", "<",
     "&", "&#", "<script>", "</script", "<style><!--", "<title>", "<textarea>", "<plaintext>", "<p", " ", "<a b=\"'"],
)  # fmt: skip
def test_no_page_takes_long(piece: str, end: str) -> None:
    read_html(piece * (200_000 // len(piece)) + end, ["p", "a"])


def test_white_space_is_made_plain() -> None:
    assert plain(" a\t\n b ") == "a b"
