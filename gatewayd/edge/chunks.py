"""What aiohttp's parser does not tell of a connection's chunked bodies: what their framing takes, and how they end."""

from typing import Final

from aiohttp.streams import StreamReader

from gatewayd.errors import Refusal
from gatewayd.trailers import Fields, heard, section

# What chunks may take beside the data in them: for each byte so many, and so many more for all of a body.
_FRAMING_PER_BYTE: Final = 16
_FRAMING_FREE: Final = 64 * 1024
_BLANK: Final = b"\r\n\r\n"


class Chunks:
    """One at a time is heard; the trailers of those that have ended are kept for as long as their bodies are read."""

    __slots__ = ("_framed", "_kept", "_last")

    def __init__(self) -> None:
        self._framed = 0  # bytes of the one heard, the framing included, not counting what came with its head
        self._last = b""  # bytes of it
        self._kept: list[tuple[StreamReader, Fields]] = []  # of bodies that may still be read

    def begin(self) -> None:
        self._framed = 0

    def count(self, size: int, data: int) -> bool:
        """So many bytes of it came: whether what it had of data is worth them.

        Chunks that carry next to nothing would be an upload that no limit of a body ends.
        """
        self._framed += size
        return self._framed <= _FRAMING_FREE + _FRAMING_PER_BYTE * data

    def hear(self, data: bytes) -> None:
        self._last = heard(self._last, data)

    def end(self, body: StreamReader) -> bool:
        """The one heard is over: whether nothing came behind it. Then its trailers are kept.

        With trailers that cannot be read it was not a good body, and whoever reads it hears of that.
        """
        last, self._last = self._last, b""
        if not last.endswith(_BLANK):
            return False
        try:
            fields = section(last)
        except Refusal as refusal:
            body.set_exception(refusal)
            return True
        if fields:
            in_use = [each for each in self._kept if each[0].exception() is None]  # aiohttp sets one at the end
            self._kept = [*in_use, (body, fields)]
        return True

    def trailers_of(self, body: StreamReader) -> Fields:
        """The trailer fields of a body that has ended; they are known as soon as it is at its end."""
        return next((fields for ended, fields in self._kept if ended is body), [])
