"""What a journal's writer knows of a hold that is not concluded yet."""

from typing import Final

from gatewayd.model import Hold
from gatewayd.stores.journal.frames import conclusion_space, name_of


class Opened:
    """Mutable: its intent may be written again, in another `segment`.

    `name` is its id as frames have it, `space` what is set aside for its conclusion, `beside` whatever the journal's
    owner wants to find with it.
    """

    __slots__ = ("beside", "hold", "name", "segment", "space")

    def __init__(self, hold: Hold, beside: object) -> None:
        """Raises ValueError for an id that cannot be written."""
        name = name_of(hold)
        self.hold: Final = hold
        self.beside: Final = beside
        self.name: Final = name
        self.space: Final = conclusion_space(name)
        self.segment = 0
