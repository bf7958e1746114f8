"""Header fields as a lookup by name, whichever transport they came from."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Self


class Headers(Mapping[str, str]):
    """Header fields by name, in any case; those that came twice are joined by a comma (RFC 9110 section 5.3)."""

    __slots__ = ("_values",)

    def __init__(self, pairs: Iterable[tuple[str, str]] = ()) -> None:
        values: dict[str, str] = {}
        for name, value in pairs:
            key = name.lower()
            values[key] = f"{values[key]}, {value}" if key in values else value
        self._values = values

    def __getitem__(self, name: str) -> str:
        return self._values[name.lower()]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"Headers({self._values!r})"

    def as_dict(self) -> dict[str, str]:
        """A copy, by names in lower case."""
        return self._values.copy()

    def with_fields(self, more: Mapping[str, str]) -> Self:
        """These fields, with those of `more` in place of the ones of the same name."""
        if not more:
            return self
        new = type(self)()
        new._values.update(self._values)  # noqa: SLF001 - its own class, on the way of every call
        for name, value in more.items():
            new._values[name.lower()] = value  # noqa: SLF001
        return new
