"""A configuration between text and Settings: plain values, and for each key the place it was read from."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from gatewayd.errors import Problem

KeyPath = tuple[str | int, ...]
"""Where a value stands: table and key names, and the index inside a list."""


class Text(str):
    """A value as INI has it. INI knows only text, so a key's kind may read a number or a list in it."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Source:
    """The text of one configuration file, read once; it may hold secrets, so its repr does not show it."""

    file: str
    text: str = field(repr=False)

    @property
    def is_ini(self) -> bool:
        return self.file.lower().endswith((".ini", ".cfg"))


@dataclass(frozen=True, slots=True)
class Place:
    """Line and column count from 1, in characters; 0 is no place in the text."""

    file: str
    line: int = 0
    column: int = 0


@dataclass(frozen=True, slots=True)
class Span:
    """Where a key and its value begin; for a table both are its header."""

    key: Place
    value: Place


@dataclass(frozen=True, slots=True)
class Document:
    """The values of one or more files, in the order of merging.

    `from_environment` has the keys whose text came out of `${VAR}`.
    """

    files: tuple[str, ...]
    values: dict[str, object] = field(repr=False)
    places: Mapping[KeyPath, Span]
    from_environment: frozenset[KeyPath] = frozenset()
    problems: tuple[Problem, ...] = ()
    """Faults of the text that do not keep the rest of it from being judged."""

    def span(self, path: KeyPath) -> Span:
        """The place of a key, or of the nearest table around it that has one."""
        for end in range(len(path), 0, -1):
            if (span := self.places.get(path[:end])) is not None:
                return span
        return Span(Place(self.files[0]), Place(self.files[0]))
