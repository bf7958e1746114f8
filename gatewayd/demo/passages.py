"""An uploaded file → its text → passages of a size that can be quoted."""

import csv
import io
import json
import re
from collections.abc import Callable, Iterator
from pathlib import PurePosixPath
from typing import Final

from gatewayd.demo.fields import Fault
from gatewayd.demo.pages import read_html

MOST_WORDS: Final = 120
_ENOUGH_WORDS: Final = 60
_MOST_NAME: Final = 40
_UNDECLARED: Final = frozenset({"", "application/octet-stream"})
_TYPES: Final = {
    "text/plain": "text", "text/markdown": "text", "text/x-markdown": "text", "text/html": "html",
    "application/xhtml+xml": "html", "application/json": "json", "text/csv": "csv",
}  # fmt: skip
_SUFFIXES: Final = {
    ".txt": "text", ".text": "text", ".md": "text", ".markdown": "text", ".html": "html", ".htm": "html",
    ".json": "json", ".csv": "csv",
}  # fmt: skip
_SENTENCE_END: Final = re.compile(r"(?<=[.!?])\s+")


def read_document(data: bytes, content_type: str, filename: str) -> tuple[str, str]:
    """The kind (text, html, json, csv) and the text of a file, its paragraphs apart by an empty line.

    A type that says nothing is read off the file name's ending. Raises `Fault`: 415 for a type that is not
    read here and for bytes that are no UTF-8 text, 400 for JSON that is none.
    """
    kind = _kind(content_type.lower(), filename.lower())
    if kind is None:
        raise Fault(415, "unsupported_type", "only plain text, Markdown, HTML, JSON and CSV are read")
    text = _decoded(data).replace("\r\n", "\n")
    return kind, _READERS[kind](text)


def _kind(content_type: str, filename: str) -> str | None:
    by_name = _SUFFIXES.get(PurePosixPath(filename).suffix)
    if content_type in _UNDECLARED:
        return by_name
    # curl and browsers call a Markdown or CSV file plain text.
    return by_name if by_name and content_type == "text/plain" else _TYPES.get(content_type)


def _decoded(data: bytes) -> str:
    try:
        if b"\0" not in data:
            return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        pass
    raise Fault(415, "binary_file", "the file is not text in UTF-8")


def _html(text: str) -> str:
    page = read_html(text)
    return f"{page.title}\n\n{page.text}".strip()


def _csv(text: str) -> str:
    """A row as a paragraph of `column: value`."""
    try:
        header, *rows = [row for row in csv.reader(io.StringIO(text)) if row] or [[]]
    except csv.Error as error:
        raise Fault(400, "invalid_csv", "the file is not CSV that can be read") from error
    columns = [_name(column) for column in header]
    described = (zip(columns, row, strict=False) for row in rows)
    return "\n\n".join("; ".join(f"{column}: {value.strip()}" for column, value in row) + "." for row in described)


def _json(text: str) -> str:
    """An element of the outer list or object as a paragraph of `name: value`."""
    try:
        value = json.loads(text)
        outer = value.items() if isinstance(value, dict) else [("", element) for element in _elements(value)]
        return "\n\n".join("; ".join(_described(_name(key), inner)) + "." for key, inner in outer)
    except (ValueError, RecursionError) as error:
        raise Fault(400, "invalid_json", "the file is not JSON that can be read") from error


def _elements(value: object) -> list[object]:
    return value if isinstance(value, list) else [value]


def _described(name: str, value: object) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _described(_name(key), inner)
    elif isinstance(value, list):
        for element in value:
            yield from _described(name, element)
    else:
        yield f"{name}: {value}" if name else f"{value}"


def _name(text: str) -> str:
    # A name is repeated with each of its values: a long one would make a small file a huge text.
    return text.strip()[:_MOST_NAME]


_READERS: Final[dict[str, Callable[[str], str]]] = {"text": str, "html": _html, "json": _json, "csv": _csv}


def sentences(text: str) -> list[str]:
    return [sentence for sentence in _SENTENCE_END.split(text.strip()) if sentence]


def split(text: str) -> list[str]:
    """Passages of at most 120 words; a heading begins a new one, a paragraph ends it once there are 60."""
    passages: list[str] = []
    current: list[str] = []
    for paragraph in re.split(r"\n\s*\n", text):
        if paragraph.lstrip().startswith("#"):
            _flush(current, passages)
        for piece in _pieces(paragraph):
            if _words(current) + len(piece.split()) > MOST_WORDS:
                _flush(current, passages)
            current.append(piece)
        if _words(current) >= _ENOUGH_WORDS:
            _flush(current, passages)
    _flush(current, passages)
    return passages


def _pieces(paragraph: str) -> Iterator[str]:
    """The sentences of a paragraph, an endless one cut to size; a heading ends with a colon."""
    text = paragraph.strip()
    for sentence in sentences(f"{text.lstrip('# ')}:" if text.startswith("#") else text):
        words = sentence.split()
        for start in range(0, len(words), MOST_WORDS):
            yield " ".join(words[start : start + MOST_WORDS])


def _words(pieces: list[str]) -> int:
    return sum(len(piece.split()) for piece in pieces)


def _flush(current: list[str], passages: list[str]) -> None:
    if current:
        passages.append(" ".join(current))
        current.clear()
