"""Every problem of one load, gathered before any is told."""

import re
from collections.abc import Iterable, Sequence
from difflib import get_close_matches

from gatewayd.config.document import Document, KeyPath, Span
from gatewayd.errors import ConfigError, Problem

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


def key_name(path: KeyPath) -> str:
    """The path as TOML writes it: `routes.email.upstream[1]`."""
    name = ""
    for part in path:
        if isinstance(part, int):
            name += f"[{part}]"
        else:
            name += ("." if name else "") + (part if _BARE_KEY.fullmatch(part) else f'"{part}"')
    return name


def suggestion(word: str, known: Iterable[str]) -> str:
    """A hint for a name nobody knows: the one that was probably meant, else all there are."""
    names = sorted(known)
    if close := get_close_matches(word[:64], names, n=1):
        return f'did you mean "{close[0]}"?'
    return f"known here: {', '.join(names)}" if names else ""


class Report:
    """Collects while a document is read; mutable, because all complaints are told at once."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._problems: list[Problem] = list(document.problems)
        self._warnings: list[Problem] = []
        self._failed: set[KeyPath] = set()

    def problem(self, path: KeyPath, message: str, hint: str = "", *, at_key: bool = False) -> None:
        """The configuration is refused; the place is the value's, or the key's where the key is the fault."""
        self._failed.add(path)
        self._problems.append(self._told(path, message, hint, at_key=at_key))

    def warning(self, path: KeyPath, message: str, hint: str = "") -> None:
        """The configuration holds, but its author may not have meant it."""
        self._warnings.append(self._told(path, message, hint, at_key=False))

    def sound(self, *paths: KeyPath) -> bool:
        """Whether none of these keys, nor anything in or around them, has a problem so far."""
        return not any(_related(path, failed) for path in paths for failed in self._failed)

    @property
    def problems(self) -> tuple[Problem, ...]:
        return self._in_file_order(self._problems)

    @property
    def warnings(self) -> tuple[Problem, ...]:
        return self._in_file_order(self._warnings)

    def raise_problems(self) -> None:
        """Raises ConfigError if there is any problem."""
        if self._problems:
            raise ConfigError(self.problems)

    def _told(self, path: KeyPath, message: str, hint: str, *, at_key: bool) -> Problem:
        span: Span = self._document.span(path)
        place = span.key if at_key else span.value
        return Problem(place.file, place.line, place.column, key_name(path), message, hint)

    def _in_file_order(self, problems: Sequence[Problem]) -> tuple[Problem, ...]:
        order = {file: index for index, file in enumerate(self._document.files)}
        return tuple(sorted(problems, key=lambda problem: (order[problem.file], problem)))


def problems_as_json(problems: Iterable[Problem]) -> list[dict[str, str | int]]:
    """The problems as JSON objects: file, line, column, key, message, hint."""
    names = Problem.__slots__
    return [{name: getattr(problem, name) for name in names} for problem in problems]


def _related(one: KeyPath, other: KeyPath) -> bool:
    return all(a == b for a, b in zip(one, other, strict=False))
