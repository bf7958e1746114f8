"""Which build runs: modules that were compiled ahead of time (`setup.cfg` lists them), or Python as it is written."""

from typing import Final, TypeVar

T = TypeVar("T")

COMPILED: Final = not __file__.endswith(".py")
"""This module is one of them, and they are compiled together or not at all."""
BUILD: Final = "compiled" if COMPILED else "pure Python"


def stays_python(kind: type[T]) -> type[T]:
    """Marks a class of a compiled module that must be an ordinary one all the same; its methods are compiled.

    So is one that somebody keeps weak references to, or whose base class has slots of its own, as aiohttp's have:
    the compiler lays out its own classes in memory, and knows neither.
    """
    return kind
