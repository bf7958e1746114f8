"""WebSocket as a bystander sees it: whether both sides switched to it, and when one of them says goodbye. Pure."""

from typing import Final

from gatewayd.errors import UpstreamProtocol
from gatewayd.proxy.answer import UPGRADE, AnswerHead

_CLOSE: Final = 0x8


def is_switched(head: AnswerHead, asked: str | None) -> bytes:
    """The protocol that both sides now speak.

    Raises UpstreamProtocol for a 101 that nobody asked for, or to another protocol (RFC 9110 section 15.2.2).
    """
    named = [value.lower() for value in head.section.named.get(UPGRADE, ())]
    if asked is None or named != [asked.encode()] or b"upgrade" not in head.section.hops:
        raise UpstreamProtocol("The agent switched protocols unasked.")
    return named[0]


class CloseSpotter:
    """Watches one direction's frames go by and notes a Close frame; it never holds a byte of them back.

    RFC 6455 section 5.2: two bytes, then 0, 2 or 8 of length, 4 of mask, then as many of payload.
    """

    __slots__ = ("_header", "_skip", "seen")

    def __init__(self) -> None:
        self.seen = False
        self._header = bytearray()
        self._skip = 0

    @property
    def between_frames(self) -> bool:
        """Whether what went by so far ends with a whole frame."""
        return not self._skip and not self._header

    def feed(self, data: bytes) -> None:
        position = 0
        while position < len(data) and not self.seen:
            if self._skip:
                step = min(self._skip, len(data) - position)
                self._skip -= step
                position += step
                continue
            self._header.append(data[position])
            position += 1
            self._read_header()

    def _read_header(self) -> None:
        header = self._header
        if len(header) < 2:
            return
        code = header[1] & 0x7F
        extended = {126: 2, 127: 8}.get(code, 0)
        if len(header) < 2 + extended:
            return
        length = int.from_bytes(header[2:], "big") if extended else code
        self._skip = length + (4 if header[1] & 0x80 else 0)
        self.seen = self.seen or header[0] & 0x0F == _CLOSE
        header.clear()
