"""What was found out once, at hand for the next time, within bounds."""

from typing import TypeVar

Key = TypeVar("Key")
Found = TypeVar("Found")


def remember(memory: dict[Key, Found], key: Key, found: Found, most: int) -> None:
    """Keep what was `found` of a key, `most` of them; all that was before is forgotten for one more."""
    if len(memory) >= most:
        memory.clear()
    memory[key] = found
