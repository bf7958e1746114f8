"""Header fields as a lookup by name, whichever transport they came from."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Protocol, runtime_checkable


@runtime_checkable
class Items(Protocol):
    """A mapping as HTTP libraries have them: a name may come twice in its items."""

    def items(self) -> Iterable[tuple[str, str]]: ...


class Headers(Mapping[str, str]):
    """Header fields by name, in any case; those that came twice are joined by a comma (RFC 9110 section 5.3).

    What was given, pairs or a mapping, is looked at when a field is first asked for: most callers never ask.
    """

    __slots__ = ("_given", "_values")

    def __init__(self, given: Iterable[tuple[str, str]] | Items = ()) -> None:
        self._given = given
        self._values: dict[str, str] | None = None

    def _read(self) -> dict[str, str]:
        if self._values is None:
            values: dict[str, str] = {}
            pairs = self._given.items() if isinstance(self._given, Items) else self._given
            for name, value in pairs:
                key = name.lower()
                values[key] = f"{values[key]}, {value}" if key in values else value
            self._values, self._given = values, ()
        return self._values

    def __getitem__(self, name: str) -> str:
        return self._read()[name.lower()]

    def __iter__(self) -> Iterator[str]:
        return iter(self._read())

    def __len__(self) -> int:
        return len(self._read())

    def __repr__(self) -> str:
        return f"Headers({self._read()!r})"

    def __reduce__(self) -> tuple[object, ...]:
        return Headers, (tuple(self._read().items()),)
