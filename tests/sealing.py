"""Books for whoever puts something into an outbox: none at all, or some that note when they were sealed."""

from typing import Final


class NoBooks:
    """Nothing stands in them."""

    def seal(self) -> None:
        """There is nothing to write."""


class NotedBooks:
    """They say in a log that others write to as well when they were sealed."""

    def __init__(self, log: list[bytes], name: bytes = b"sealed") -> None:
        self._log = log
        self._name = name

    def seal(self) -> None:
        self._log.append(self._name)


NONE: Final = NoBooks()
