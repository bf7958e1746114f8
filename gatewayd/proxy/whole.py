"""A body that has come whole: nothing is left to wait for, to watch, or to go wrong."""

from gatewayd.errors import Refusal
from gatewayd.trailers import Fields


class Whole:
    """One that was all there with its head. Mutable: it is taken once."""

    __slots__ = ("body",)

    def __init__(self, body: bytes) -> None:
        self.body = body

    is_whole = True
    """All of it has come."""

    @property
    def at_end(self) -> bool:
        """Whether it was taken."""
        return not self.body

    def take(self) -> bytes:
        """All of it."""
        body, self.body = self.body, b""
        return body

    async def read(self, idle: float) -> bytes:  # noqa: ARG002
        """All of it, then nothing."""
        return self.take()

    def trailers(self) -> Fields:
        """None: it was not chunked."""
        return []

    def fail(self, refusal: Refusal) -> None:
        """It is here."""

    def detach(self) -> None:
        """It never watched its connection."""
