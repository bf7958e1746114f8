"""What is said of a journal that takes no requests: to each caller that he comes later, to operators why, and once."""

import logging
from pathlib import Path

from gatewayd.errors import StoreUnavailable

logger = logging.getLogger(__name__)


class JournalFull(StoreUnavailable):
    """The journal has no room for one more request; nothing was written."""


class Troubles:
    """Of one journal. Mutable: it remembers what it has said."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._said = ""

    def refusal(self, trouble: str) -> JournalFull:
        """To be raised for it, which is said to operators unless that was the last word."""
        if trouble != self._said:
            self._said = trouble
            logger.error(
                "journal %s takes no requests (%s): they get 503 until there is room", self._directory, trouble
            )
        return JournalFull()

    def are_over(self) -> None:
        """There is room."""
        if self._said:
            self._said = ""
            logger.warning("journal %s takes requests again", self._directory)
