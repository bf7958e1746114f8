"""TOML 1.0 text → Document. `toml_rs` knows where each key stands; without it tables and syntax errors still do."""

import re
import tomllib
from collections.abc import Iterator
from types import ModuleType
from typing import Any, Final

from gatewayd.config.document import Document, KeyPath, Place, Source, Span
from gatewayd.errors import ConfigError, Problem

toml_rs: ModuleType | None
try:
    import toml_rs
except ImportError:  # no wheel for this platform
    toml_rs = None

SYNTAX: Final = "(syntax)"
"""The key of a problem that no key has: the text is not TOML or INI."""

# toml_rs recurses without a bound and ends the process at some two thousand levels.
_DEEPEST: Final = 64
_PLACE = re.compile(r"\(?at line (\d+), column (\d+)\)?")


def parse_toml(source: Source) -> Document:
    """Values and places of a TOML text. Raises ConfigError at the first fault of syntax."""
    _refuse_depth(source)
    try:
        values, nodes = _decode(source.text)
    except ValueError as error:
        raise ConfigError([_syntax_problem(source, error)]) from None
    walk = _Walk(source)
    places = dict(walk.spans(values, nodes, ()))
    return Document((source.file,), values, places | dict(walk.headers()))


def _decode(text: str) -> tuple[dict[str, Any], dict[str, Any]]:
    if toml_rs is None:
        return tomllib.loads(text), {}
    document = toml_rs.load_with_metadata(text, toml_version="1.0.0")
    return document.value, document.meta["nodes"]


def _refuse_depth(source: Source) -> None:
    """Rough on purpose: brackets in strings and comments count as well."""
    depth = 0
    for number, line in enumerate(source.text.split("\n"), 1):
        deepest = max(part.count(".") for part in re.split(r"[,=\[\]{}]", line)) // 4
        for bracket in re.findall(r"[\[\]{}]", line):
            depth = depth + 1 if bracket in "[{" else max(0, depth - 1)
            deepest = max(deepest, depth)
        if deepest > _DEEPEST:
            raise ConfigError([Problem(source.file, number, 1, SYNTAX, "is nested too deeply")])


def _syntax_problem(source: Source, error: ValueError) -> Problem:
    """Only the last line of the message: the ones before it quote the text, which may hold a secret."""
    told = str(error) if not isinstance(error, UnicodeError) else "is not Unicode text"
    line, column = source.text.count("\n") + 1, 1
    if found := _PLACE.search(told):
        line, column = int(found[1]), int(found[2])
    message = _PLACE.sub("", told.splitlines()[-1]).strip()
    return Problem(source.file, line, column, SYNTAX, message, "the file must be TOML 1.0")


class _Walk:
    """Pairs each value with what toml_rs says of its place; columns there count bytes."""

    def __init__(self, source: Source) -> None:
        self._file = source.file
        self._lines = source.text.split("\n")
        self._continued: set[int] = set()

    def spans(self, value: object, node: Any, path: KeyPath) -> Iterator[tuple[KeyPath, Span]]:
        if isinstance(value, dict):
            for key, inner in value.items():
                child = node.get(key, {}) if isinstance(node, dict) else {}
                yield from self._span(inner, child, (*path, key))
        elif isinstance(value, list) and isinstance(node, list):
            for index, (inner, child) in enumerate(zip(value, node, strict=False)):
                yield from self._span(inner, child, (*path, index))

    def _span(self, value: object, node: Any, path: KeyPath) -> Iterator[tuple[KeyPath, Span]]:
        if places := [self._place(node[f"{kind}_line"], node[f"{kind}_col"]) for kind in _kinds(node)]:
            yield path, Span(places[0], places[-1])
            yield from self.spans(value, node["value"], path)
        else:
            inner = list(self.spans(value, node, path))
            if inner:  # a table without a header of its own is where its first key is
                yield path, Span(inner[0][1].key, inner[0][1].key)
            yield from inner

    def _place(self, line: int | tuple[int, int], column: int | tuple[int, int]) -> Place:
        if isinstance(line, tuple):
            self._continued.update(range(line[0] + 1, line[1] + 1))
            line = line[0]
        column = column[0] if isinstance(column, tuple) else column
        before = self._lines[line - 1].encode()[: column - 1].decode(errors="ignore")
        return Place(self._file, line, len(before) + 1)

    def headers(self) -> Iterator[tuple[KeyPath, Span]]:
        """`[table]` lines; lines inside a value that only look like one are left out."""
        for number, line in enumerate(self._lines, 1):
            if line.lstrip().startswith("[") and number not in self._continued:
                place = Place(self._file, number, len(line) - len(line.lstrip(" \t[")) + 1)
                yield from ((path, Span(place, place)) for path in _header_paths(line))


def _kinds(node: Any) -> list[str]:
    """Of what toml_rs has told the place: a list's items have no key, an array of tables has no value.

    A table's node has only the nodes of its keys, whose names may be these very words.
    """
    return [kind for kind in ("key", "value") if isinstance(node.get(f"{kind}_col"), int | tuple)]


def _header_paths(line: str) -> Iterator[KeyPath]:
    try:
        table: Any = tomllib.loads(line)
    except ValueError:
        return
    path: KeyPath = ()
    while isinstance(table, dict) and table:
        key, table = next(iter(table.items()))
        path = (*path, key)
        if not table:
            yield path
