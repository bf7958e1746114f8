"""HTML → what a reader sees of it: title, headings, links, text. Made for pages that are not well formed."""

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Final

_SILENT: Final = frozenset({"script", "style", "template", "noscript", "svg"})
_VOID: Final = frozenset({"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "wbr"})
_INLINE: Final = frozenset(
    {
        "a",
        "abbr",
        "b",
        "cite",
        "code",
        "em",
        "i",
        "kbd",
        "mark",
        "q",
        "s",
        "small",
        "span",
        "strong",
        "sub",
        "sup",
        "u",
    }
)
_HEADINGS: Final = frozenset({"h1", "h2", "h3", "h4", "h5", "h6"})
_MOST_OPEN: Final = 32
_DECLARATION: Final = re.compile(r"<!--|<!|<\?")
_TAG: Final = re.compile(r"<[a-zA-Z/]")


@dataclass(frozen=True, slots=True)
class Heading:
    level: int
    text: str


@dataclass(frozen=True, slots=True)
class Link:
    """`href` as the page has it; what it is relative to is `HtmlPage.base` or else the page's address."""

    href: str
    text: str


@dataclass(slots=True)
class HtmlPage:
    """What was read. Blocks of `text` are separated by an empty line. Filled in while the page is read."""

    title: str = ""
    description: str = ""
    base: str = ""
    text: str = ""
    headings: list[Heading] = field(default_factory=list)
    links: list[Link] = field(default_factory=list)
    selected: dict[str, list[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Open:
    tag: str
    href: str
    pieces: list[str] = field(default_factory=list)


def read_html(markup: str, tags: Collection[str] = ()) -> HtmlPage:
    """Reads a page; the texts of the elements named in `tags` (lower case) are gathered in `selected`."""
    reader = _Reader(frozenset(tags))
    reader.feed(_without_unfinished_tag("".join(_without_declarations(markup))))
    reader.close()
    return reader.finish()


def _without_declarations(markup: str) -> Iterator[str]:
    """What is left without comments, declarations and processing instructions; one left open ends the page.

    The standard library's parser searches the rest of the page for the end of each of them, so that a page of
    `<!--` alone takes minutes, and it raises AssertionError on declarations that it does not know.
    """
    start = 0
    for match in _DECLARATION.finditer(markup):
        if match.start() < start:
            continue
        yield markup[start : match.start()]
        closing = "-->" if match[0] == "<!--" else ">"
        end = markup.find(closing, match.end())
        start = end + len(closing) if end >= 0 else len(markup)
    yield markup[start:]


def _without_unfinished_tag(markup: str) -> str:
    """Cuts a last tag that has no end: the parser would look for one from every `<` in it."""
    whole, end, rest = markup.rpartition(">")
    return whole + end + _TAG.split(rest, maxsplit=1)[0]


def plain(text: str) -> str:
    """The text with each run of white space made one space."""
    return " ".join(text.split())


class _Reader(HTMLParser):
    def __init__(self, tags: frozenset[str]) -> None:
        super().__init__()
        self._page = HtmlPage(selected={tag: [] for tag in sorted(tags)})
        self._wanted = (tags | _HEADINGS | {"a", "title"}) - _VOID
        self._silent = 0
        self._open: list[_Open] = []
        self._pieces: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _SILENT:
            self._silent += 1
        elif not self._silent:
            self._begin(tag, {name: value or "" for name, value in attrs})

    def _begin(self, tag: str, attributes: dict[str, str]) -> None:
        if tag == "meta" and attributes.get("name", "").lower() == "description":
            self._page.description = plain(attributes.get("content", ""))
        elif tag == "base" and not self._page.base:
            self._page.base = attributes.get("href", "").strip()
        self._break(tag)
        if tag in self._wanted and len(self._open) < _MOST_OPEN:
            self._open.append(_Open(tag, attributes.get("href", "").strip()))

    def _break(self, tag: str) -> None:
        if tag not in _INLINE:
            self._pieces.append("\n")

    def handle_endtag(self, tag: str) -> None:
        if tag in _SILENT:
            self._silent = max(0, self._silent - 1)
        elif any(element.tag == tag for element in self._open):
            self._close_to(tag)
        self._break(tag)

    def _close_to(self, tag: str) -> None:
        """Closes the innermost element of this name and, as browsers do, whatever was left open in it."""
        while (element := self._open.pop()).tag != tag:
            self._record(element)
        self._record(element)

    def handle_data(self, data: str) -> None:
        if self._silent:
            return
        for element in self._open:
            element.pieces.append(data)
        if not any(element.tag == "title" for element in self._open):
            self._pieces.append(data.replace("\n", " "))

    def _record(self, element: _Open) -> None:
        text = plain("".join(element.pieces))
        if element.tag in self._page.selected:
            self._page.selected[element.tag].append(text)
        if element.tag == "title":
            self._page.title = self._page.title or text
        elif element.tag == "a" and element.href:
            self._page.links.append(Link(element.href, text))
        elif element.tag in _HEADINGS and text:
            self._page.headings.append(Heading(int(element.tag[1]), text))

    def finish(self) -> HtmlPage:
        while self._open:
            self._record(self._open.pop())
        lines = (plain(line) for line in "".join(self._pieces).split("\n"))
        self._page.text = "\n\n".join(line for line in lines if line)
        return self._page
