"""The grammar of the schema: what a key can hold. `convert` reads values by it, the reference is written from it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final


class Invalid(ValueError):
    """A value that its kind refuses; never quotes what may be a secret."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Scalar:
    """One value. `read` takes what TOML gave, or INI's Text, and raises Invalid."""

    name: str
    read: Callable[[object], Any]


@dataclass(frozen=True, slots=True)
class ListOf:
    """Values of one kind, no two with the same `identity`; `or_one` also takes one that stands alone."""

    item: Scalar
    at_least: int = 0
    or_one: bool = False
    identity: Callable[[Any], object] = str
    twice: str = "is there twice"

    @property
    def name(self) -> str:
        article = "an" if self.item.name[0] in "aeiou" else "a"
        return f"list, each item {article} {self.item.name}"


@dataclass(frozen=True, slots=True)
class SecretFrom:
    """A secret or the source of one. `check` raises Invalid on what was found there.

    `plain`: a literal is no leak. `optional`: so is a variable that is not set; it stands for no secret.
    """

    name: str = "secret"
    plain: bool = False
    optional: bool = False
    check: Callable[[str], None] = lambda _: None


@dataclass(frozen=True, slots=True)
class Table:
    """Keys that make one frozen value; `named` passes the table's own name as well."""

    make: Callable[..., Any]
    keys: "tuple[Key, ...]"
    named: bool = False
    name: str = "table"


@dataclass(frozen=True, slots=True)
class MapOf:
    """A table whose keys the operator names: routes, plans, units."""

    item: "Scalar | SecretFrom | Table"
    name: str = "table"


Kind = Scalar | ListOf | SecretFrom | Table | MapOf


class _Required:
    def __repr__(self) -> str:
        return "required"


REQUIRED: Final = _Required()
ABSENT: Final = None


@dataclass(frozen=True, slots=True)
class Key:
    """One knob: `default` as a file would say it, REQUIRED where there is none, ABSENT where none is meant."""

    name: str
    default: Any
    kind: Kind
    help: str
