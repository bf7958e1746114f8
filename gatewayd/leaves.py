"""How the compiler is told that objects of a class refer to no others that could refer back to them.

`@mypyc_attr(acyclic=True)` above such a class: the collector looks at nothing of it, and is not told of any. Only for
what holds texts, numbers, bytes and others that are marked: what is part of a cycle all the same is never freed.
Without the compiler's package, which is not needed to run, it is a word without meaning.
"""

from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

try:
    from mypy_extensions import mypyc_attr as mypyc_attr  # noqa: PLC0414  # the name by which the compiler knows it
except ImportError:  # pragma: no cover

    def mypyc_attr(**_: object) -> Callable[[type[T]], type[T]]:  # type: ignore[misc]
        return lambda kind: kind
