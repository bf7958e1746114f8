"""What a row can hold; whatever cannot be stored is told before it spoils a transaction."""

from collections.abc import Iterable
from typing import Final

# What JSON readers, Lua and every SQL database can hold exactly, with room to add such amounts up in 63 bits.
LARGEST: Final = 2**53 - 1


def fault(texts: Iterable[str], amounts: Iterable[int]) -> str:
    """Why these cannot be stored; empty if they can."""
    if max(amounts) > LARGEST:
        return f"an amount of units is at most {LARGEST}"
    try:
        "".join(texts).encode()
    except UnicodeEncodeError:
        return "a text is not Unicode"
    return ""
