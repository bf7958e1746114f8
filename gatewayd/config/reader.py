"""Files → one Document: the file itself, then `conf.d/*.toml` beside it in byte order, tables merged."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from gatewayd.config.document import Document, KeyPath, Source, Span
from gatewayd.config.section import parse_ini
from gatewayd.config.tomlfile import parse_toml
from gatewayd.errors import ConfigError, Problem

UNREADABLE: Final = "(file)"
"""The key of a problem with a file as a whole."""

_SECRET_SOURCES = frozenset({"env", "file", "credential"})
_LARGEST = 16 * 1024 * 1024


def read_sources(path: Path) -> tuple[Source, ...]:
    """The texts of the file and of `conf.d/*.toml` beside it. Raises ConfigError for each that cannot be read."""
    sources: list[Source] = []
    problems: list[Problem] = []
    for file in (path, *_overlays(path)):
        try:
            sources.append(Source(str(file), _text(file)))
        except OSError as error:
            reason = (error.strerror or "cannot be read").lower()
            problems.append(Problem(str(file), 0, 0, UNREADABLE, reason, _unreadable_hint(error)))
        except ValueError as error:
            problems.append(Problem(str(file), 0, 0, UNREADABLE, str(error), "save it as UTF-8 text"))
    if problems:
        raise ConfigError(problems)
    return tuple(sources)


def parse_sources(sources: Sequence[Source]) -> Document:
    """One document of all texts. Raises ConfigError with the faults of syntax of every text."""
    documents: list[Document] = []
    problems: list[Problem] = []
    for source in sources:
        try:
            documents.append(parse_ini(source) if source.is_ini else parse_toml(source))
        except ConfigError as error:
            problems += error.problems
    if problems:
        raise ConfigError(problems)
    values: dict[str, object] = {}
    places: dict[KeyPath, Span] = {}
    for document in documents:
        values = _merged(values, document.values)
        places |= document.places
    told = tuple(problem for document in documents for problem in document.problems)
    return Document(tuple(source.file for source in sources), values, places, problems=told)


def _overlays(path: Path) -> Iterator[Path]:
    found = sorted(path.parent.glob("conf.d/*.toml"), key=os.fsencode)
    yield from (file for file in found if not file.name.startswith("."))  # editors keep their locks there


def _text(file: Path) -> str:
    with file.open("rb") as stream:
        data = stream.read(_LARGEST + 1)
    if len(data) > _LARGEST:
        raise ValueError("is larger than 16 MiB")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ValueError(f"is not UTF-8, first in line {line}") from None


def _unreadable_hint(error: OSError) -> str:
    if isinstance(error, FileNotFoundError):
        return "gatewayd init writes a starter configuration"
    if isinstance(error, IsADirectoryError):
        return "name the file itself"
    return "the user that runs gatewayd must be able to read it"


def _merged(base: dict[str, object], over: dict[str, object]) -> dict[str, object]:
    """Tables are joined key by key; anything else is replaced, the source of a secret as a whole."""
    merged = dict(base)
    for key, value in over.items():
        under = merged.get(key)
        if isinstance(under, dict) and isinstance(value, dict) and not _is_secret_source(value):
            merged[key] = _merged(under, value)
        else:
            merged[key] = value
    return merged


def _is_secret_source(table: dict[str, object]) -> bool:
    """`{ file = … }` over `{ env = … }` names another source; both together would name none."""
    return len(table) == 1 and all(key in _SECRET_SOURCES and isinstance(value, str) for key, value in table.items())
