"""Reads a Document by the grammar of `shape`; what cannot be read is reported, and reading goes on."""

from collections.abc import Iterable, Mapping
from typing import Any

from gatewayd.config.document import KeyPath, Text
from gatewayd.config.report import Report, suggestion
from gatewayd.config.secret import Missing, resolve
from gatewayd.config.settings import Secret
from gatewayd.config.shape import REQUIRED, Invalid, Key, Kind, ListOf, MapOf, Scalar, SecretFrom, Table
from gatewayd.config.values import identifier


class Converter:
    """One pass over one document. A value with a problem becomes its default, so that the rest is judged too."""

    def __init__(
        self,
        report: Report,
        environ: Mapping[str, str],
        from_environment: frozenset[KeyPath],
        *,
        secrets_needed: bool = True,
    ) -> None:
        self._report = report
        self._secrets_needed = secrets_needed
        self._environ = environ
        self._from_environment = from_environment

    def table(self, kind: Table, raw: object, path: KeyPath) -> Any:
        """What the table makes; unknown keys in it are problems. Raises Invalid if it is no table."""
        given = _mapping(raw, path)
        known = [key.name for key in kind.keys]
        for name in given:
            if name not in known:
                self._report.problem((*path, name), "is not known", suggestion(name, known), at_key=True)
        values = {key.name: self._key(key, given, path) for key in kind.keys}
        return kind.make(name=path[-1], **values) if kind.named else kind.make(**values)

    def _key(self, key: Key, given: Mapping[str, object], path: KeyPath) -> Any:
        here = (*path, key.name)
        if key.name not in given:
            if key.default is REQUIRED:
                self._report.problem(here, "is missing", key.help, at_key=True)
            return self._default(key, here)
        nested = isinstance(given[key.name], dict | list) and not isinstance(key.kind, SecretFrom)
        if not nested and not self._report.sound(here):
            return self._default(key, here)
        try:
            return self._value(key.kind, given[key.name], here)
        except Invalid as error:
            self._report.problem(here, error.message, error.hint)
            return self._default(key, here)

    def _default(self, key: Key, path: KeyPath) -> Any:
        missing = key.default is None or key.default is REQUIRED
        return None if missing else self._value(key.kind, key.default, path)

    def _value(self, kind: Kind, raw: object, path: KeyPath) -> Any:
        match kind:
            case Scalar():
                return kind.read(raw)
            case ListOf():
                return self._list(kind, raw, path)
            case SecretFrom():
                return self._secret(kind, raw, path)
            case Table():
                return self.table(kind, raw, path)
            case MapOf():
                return self._map(kind, raw, path)

    def _list(self, kind: ListOf, raw: object, path: KeyPath) -> tuple[Any, ...]:
        if isinstance(raw, Text):
            raw = [Text(part.strip()) for part in raw.replace("\n", ",").split(",") if part.strip()]
        elif isinstance(raw, str) and kind.or_one:
            raw = [raw]
        if not isinstance(raw, list):
            raise Invalid("must be a list", "write [ … ]")
        if len(raw) < kind.at_least:
            raise Invalid(f"must name at least one {kind.item.name}")
        items = self._items(kind.item, enumerate(raw), path)
        seen: set[object] = set()
        for index, item in items.items():
            if (identity := kind.identity(item)) in seen:
                self._report.problem((*path, index), kind.twice, "keep one")
            seen.add(identity)
        return tuple(items.values())

    def _map(self, kind: MapOf, raw: object, path: KeyPath) -> dict[Any, Any]:
        given = _mapping(raw, path)
        for name in given:
            try:
                identifier(name)
            except Invalid as error:
                self._report.problem((*path, name), error.message, error.hint, at_key=True)
        return self._items(kind.item, given.items(), path)

    def _items(
        self, kind: Scalar | SecretFrom | Table, raw: Iterable[tuple[Any, object]], path: KeyPath
    ) -> dict[Any, Any]:
        """What can be read, by its name or index."""
        items: dict[Any, Any] = {}
        for name, value in raw:
            if isinstance(kind, Table) or self._report.sound((*path, name)):
                try:
                    items[name] = self._value(kind, value, (*path, name))
                except Invalid as error:
                    self._report.problem((*path, name), error.message, error.hint)
        return items

    def _secret(self, kind: SecretFrom, raw: object, path: KeyPath) -> Secret | None:
        try:
            secret = resolve(raw, self._environ)
        except Invalid as error:
            if kind.optional and isinstance(error, Missing):
                return None
            if self._secrets_needed or not isinstance(raw, dict):
                raise
            return Secret("", "nowhere: it was not asked for")
        kind.check(secret.reveal())
        if isinstance(raw, str) and not kind.plain and path not in self._from_environment:
            self._report.warning(path, "a secret stands in the file", 'write { env = "NAME" } or { file = "PATH" }')
        return secret


def _mapping(raw: object, path: KeyPath) -> Mapping[str, object]:
    if isinstance(raw, dict):
        return raw
    hint = f"write {path[-1]}.KEY = …" if isinstance(raw, Text) else "write a [header], or { … }"
    raise Invalid("must be a table", hint)
