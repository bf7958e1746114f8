"""INI text → the same Document as TOML's: `[route:email]` is `routes.email`, dotted keys are nested tables."""

import re
from typing import Any, Final, cast

from gatewayd.config.document import Document, KeyPath, Place, Source, Span, Text
from gatewayd.config.report import key_name, suggestion
from gatewayd.config.tomlfile import SYNTAX
from gatewayd.errors import Problem

NAMED: Final[dict[str, KeyPath]] = {"route": ("routes",), "plan": ("plans",), "issuer": ("auth", "issuers")}
"""Sections that come with a name, and the tables they stand for."""

_HEADER = re.compile(r"\[([^\[\]]*)\]")
_PAIR = re.compile(r"(?P<key>[^=]+?)\s*=\s*(?P<value>.*)")
_DEEPEST = 8


def parse_ini(source: Source) -> Document:
    """Values, all of them Text, and places of an INI text, with every fault of its syntax.

    A line that starts with `#` or `;` is a comment; a line indented deeper than its key continues the value.
    """
    ini = _Ini(source.file)
    for number, line in enumerate(source.text.split("\n"), 1):
        ini.read(number, line.rstrip())
    return Document((source.file,), ini.values, ini.places, problems=tuple(sorted(ini.problems)))


class _Ini:
    """The state of reading from the first line to the last."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._section: KeyPath | None = ()  # None: nobody knows which one, so its keys cannot be judged
        self._open: tuple[dict[Any, Any], str, int] | None = None  # the table, key and indent to continue
        self.values: dict[str, object] = {}
        self.places: dict[KeyPath, Span] = {}
        self.problems: list[Problem] = []

    def read(self, number: int, line: str) -> None:
        text = line.lstrip()
        place = Place(self._file, number, len(line) - len(text) + 1)
        if not text or text[0] in "#;":
            return
        if self._open and place.column > self._open[2]:
            table, key, _ = self._open
            table[key] = Text(f"{table[key]}\n{text}")
        elif text[0] == "[":
            self._header(place, text)
        else:
            self._pair(place, text)

    def _header(self, place: Place, text: str) -> None:
        self._open = None
        header = _HEADER.fullmatch(text)
        name = header[1].strip() if header else ""
        self._section = path = _section_path(name)
        if not name:
            self._section = None
            self._problem(place, SYNTAX, "is not a section header", "write [server] or [route:NAME]")
        elif hint := _misnamed(name):
            self._section = None
            self._problem(place, name, "is not a section", hint)
        elif path in self.places:
            self._problem(place, key_name(path), "is a section that was there before", "join the two")
        else:
            self.places[path] = Span(place, place)
            self._table(path)

    def _pair(self, place: Place, text: str) -> None:
        self._open = None
        if not (pair := _PAIR.fullmatch(text)):
            self._problem(place, SYNTAX, "is not of the form key = value", "a comment starts with #")
        elif self._section is None:
            return
        elif not self._section:
            self._problem(place, pair["key"], "stands before any section", "begin with [server]")
        else:
            at = Place(self._file, place.line, place.column + pair.start("value"))
            parts = tuple(part.strip() for part in pair["key"].split("."))
            self._keep(place, self._section, parts, pair["value"], Span(place, at))

    def _keep(self, place: Place, section: KeyPath, parts: tuple[str, ...], value: str, span: Span) -> None:
        path = (*section, *parts)
        table = self._table(path[:-1]) if all(parts) and len(parts) <= _DEEPEST else None
        if table is None:
            self._problem(place, key_name(path[:_DEEPEST]), "cannot be a table here", "is it a value as well?")
        elif parts[-1] in table:
            self._problem(place, key_name(path), "is there twice", "keep one")
        elif len(value) > 1 and value[0] == value[-1] == '"':
            self._problem(place, key_name(path), "is in quotes", "INI values are written without quotes")
        else:
            table[parts[-1]] = Text(value)
            self._open = (table, parts[-1], place.column)
            self.places[path] = span
            for end in range(len(section) + 1, len(path)):
                self.places.setdefault(path[:end], Span(place, place))

    def _table(self, path: KeyPath) -> dict[Any, Any] | None:
        """The table at the path, made where there is none; None where a value is in the way."""
        table: Any = self.values
        for part in path:
            table = table.setdefault(part, {})
            if not isinstance(table, dict):
                return None
        return cast("dict[Any, Any]", table)

    def _problem(self, place: Place, key: str, message: str, hint: str) -> None:
        self.problems.append(Problem(self._file, place.line, place.column, key, message, hint))


def _section_path(name: str) -> KeyPath:
    kind, colon, title = (part.strip() for part in name.partition(":"))
    return (*NAMED.get(kind, (kind,)), title) if colon else (name,)


def _misnamed(name: str) -> str:
    """How a section that INI cannot have is written; empty when the name is fine: the schema judges the rest."""
    kind, colon, title = (part.strip() for part in name.partition(":"))
    if colon:
        return "" if kind in NAMED and title else suggestion(f"{kind}:NAME", (f"{named}:NAME" for named in NAMED))
    for named, table in NAMED.items():
        if name.partition(".")[0] in {named, table[-1]} or name.startswith(f"{key_name(table)}."):
            return f"write [{named}:NAME]"
    return "nested tables are dotted keys: a.b = value" if "." in name else ""
