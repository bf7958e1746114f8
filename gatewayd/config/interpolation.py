"""`${VAR}` and `${VAR:-default}` inside string values, replaced after parsing; `$${` is a plain `${`."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace

from gatewayd.config.document import Document, KeyPath
from gatewayd.config.report import Report

_REFERENCE = re.compile(r"(?P<escape>\$\$\{)|\$\{(?:(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?P<default>:-[^}]*)?\})?")


def interpolate(document: Document, environ: Mapping[str, str], report: Report) -> Document:
    """The document with its references replaced; each one that cannot be is a problem.

    As in a shell, `:-` also replaces a variable that is set but empty. A default holds no further reference.
    """
    touched: set[KeyPath] = set()
    values: dict[str, object] = {}
    for key, value in document.values.items():
        values[key] = _replaced(value, (key,), environ, report, touched)
    return replace(document, values=values, from_environment=frozenset(touched))


def _replaced(
    value: object, path: KeyPath, environ: Mapping[str, str], report: Report, touched: set[KeyPath]
) -> object:
    if isinstance(value, dict):
        return {key: _replaced(each, (*path, key), environ, report, touched) for key, each in value.items()}
    if isinstance(value, list):
        return [_replaced(each, (*path, i), environ, report, touched) for i, each in enumerate(value)]
    if not isinstance(value, str) or "${" not in value:
        return value
    for message, hint in _faults(value, environ):
        report.problem(path, message, hint)
    if not _only_escapes(value):
        touched.add(path)
    return type(value)(_REFERENCE.sub(lambda found: _text(found, environ), value))


def _faults(value: str, environ: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for found in _REFERENCE.finditer(value):
        name = found["name"]
        if not found["escape"] and name is None:
            yield "has a ${ that begins no variable", "write ${NAME}, or $${ for a plain ${"
        elif name and found["default"] is None and name not in environ:
            yield f"the variable {name} is not set", f"set it, or write ${{{name}:-default}}"


def _only_escapes(value: str) -> bool:
    return all(found["escape"] for found in _REFERENCE.finditer(value))


def _text(found: re.Match[str], environ: Mapping[str, str]) -> str:
    if found["escape"]:
        return "${"
    value = environ.get(found["name"] or "", "")
    return value or (found["default"] or ":-")[2:]
