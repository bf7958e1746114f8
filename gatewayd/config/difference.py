"""What is different between two configurations, in the words of their files. A secret is named, never shown."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any, Final

from gatewayd.config.report import key_name
from gatewayd.config.settings import Secret, Settings
from gatewayd.model import Rate

NEEDS_RESTART: Final = ("server.state_dir", "ledger.url", "ledger.durability", "auth.share_keys", "tracing.spans")
"""What a daemon stands on while it runs: its journals and leases belong to one directory and one ledger."""
_NAMED: Final = ("routes", "plans")


@dataclass(frozen=True, slots=True)
class Change:
    """One key, with what it says before and after as a file would; `(secret)` stands for a secret's value."""

    key: str
    before: str
    after: str

    def __str__(self) -> str:
        return f"{self.key}: {self.before} -> {self.after}"


@dataclass(frozen=True, slots=True)
class Difference:
    """What a reload from one configuration to another changes. Names are in the order of their files."""

    added: Mapping[str, tuple[str, ...]]
    removed: Mapping[str, tuple[str, ...]]
    changed: Mapping[str, Mapping[str, tuple[Change, ...]]]
    general: tuple[Change, ...]

    @property
    def needs_restart(self) -> tuple[str, ...]:
        """The changed keys that cannot take effect while the daemon runs."""
        return tuple(each.key for each in self.general if each.key in NEEDS_RESTART)

    @property
    def is_empty(self) -> bool:
        return not (
            self.general or any(self.changed.values()) or any(self.added.values()) or any(self.removed.values())
        )

    def document(self) -> dict[str, Any]:
        """As JSON: for routes and plans what was added, changed and removed; all other keys in `general`."""
        named = {
            kind: {
                "added": list(self.added[kind]),
                "changed": {name: [str(each) for each in changes] for name, changes in self.changed[kind].items()},
                "removed": list(self.removed[kind]),
            }
            for kind in _NAMED
        }
        return {**named, "general": [str(each) for each in self.general], "needs_restart": list(self.needs_restart)}


def difference(before: Settings, after: Settings) -> Difference:
    """What is not the same in them."""
    old, new = _tables(before), _tables(after)
    return Difference(
        added={kind: tuple(name for name in new[kind] if name not in old[kind]) for kind in _NAMED},
        removed={kind: tuple(name for name in old[kind] if name not in new[kind]) for kind in _NAMED},
        changed={kind: _changed(kind, old[kind], new[kind]) for kind in _NAMED},
        general=tuple(
            change
            for each in fields(before)
            if each.name not in _NAMED
            for change in _changes((each.name,), getattr(before, each.name), getattr(after, each.name))
        ),
    )


def _tables(settings: Settings) -> Mapping[str, Mapping[str, Any]]:
    return {"routes": settings.routes, "plans": settings.plans}


def _changed(kind: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, tuple[Change, ...]]:
    both = (name for name in new if name in old and new[name] != old[name])
    return {name: tuple(_changes((kind, name), old[name], new[name])) for name in both}


def _changes(path: tuple[str, ...], before: object, after: object) -> Iterator[Change]:
    if before == after:
        return
    if is_dataclass(before) and type(before) is type(after) and not isinstance(before, Rate):
        for each in fields(before):
            yield from _changes((*path, each.name), getattr(before, each.name), getattr(after, each.name))
    else:
        yield Change(key_name(path), _text(before), _text(after))


def _text(value: object) -> str:
    if value in (None, (), {}):
        return "nothing"
    match value:
        case Secret():
            return "(secret)"
        case bool():
            return str(value).lower()
        case float():
            return f"{value:g}"
        case str() | Path():
            return f'"{value}"'
        case tuple():
            return f"[{', '.join(map(_text, value))}]"
        case dict():
            return f"{{{', '.join(f'{name} = {_text(each)}' for name, each in value.items())}}}"
        case Rate():
            burst = f" burst {value.burst}" if value.burst != value.limit else ""
            return f'"{value.limit}/{value.period}{burst}"'
        case _ if is_dataclass(value):
            whole = {each.name: getattr(value, each.name) for each in fields(value)}
            return _text(whole) if type(value).__str__ is object.__str__ else f'"{value}"'
    return str(value)
