"""The frames of a WebSocket (RFC 6455 section 5) as its client: what it sends is masked, what it gets is not."""

from collections.abc import Iterator
from enum import IntEnum
from typing import Final, NamedTuple

MOST_MESSAGE: Final = 4 * 1024 * 1024
"""Bytes that one message may have."""


class Opcode(IntEnum):
    CONTINUATION = 0
    TEXT = 1
    BINARY = 2
    CLOSE = 8
    PING = 9
    PONG = 10

    @property
    def controls(self) -> bool:
        return self >= Opcode.CLOSE


class Frame(NamedTuple):
    opcode: Opcode
    payload: bytes
    final: bool = True


class Violation(Exception):
    """The other side does not keep to the protocol; `code` is what a Close frame says of it (section 7.4.1)."""

    def __init__(self, message: str, code: int = 1002) -> None:
        super().__init__(message)
        self.code = code


def encoded(frame: Frame, mask: bytes) -> bytes:
    """A frame as a client sends it; `mask` is four bytes that nobody can foresee."""
    size = len(frame.payload)
    first = frame.opcode | (0x80 if frame.final else 0)
    if size < 126:
        head = bytes((first, 0x80 | size))
    elif size < 1 << 16:
        head = bytes((first, 0x80 | 126)) + size.to_bytes(2)
    else:
        head = bytes((first, 0x80 | 127)) + size.to_bytes(8)
    return head + mask + masked(frame.payload, mask)


def masked(payload: bytes, mask: bytes) -> bytes:
    """Masks, or takes the mask off again."""
    size = len(payload)
    keys = (mask * (size // 4 + 1))[:size]
    return (int.from_bytes(payload) ^ int.from_bytes(keys)).to_bytes(size)


class FrameDecoder:
    """Bytes in, frames out: the same frames for the same bytes, wherever they were cut."""

    def __init__(self, most: int = MOST_MESSAGE) -> None:
        self._most = most
        self._data = bytearray()

    def feed(self, data: bytes) -> Iterator[Frame]:
        """The frames that these bytes complete; raises Violation."""
        self._data += data
        while (frame := self._next()) is not None:
            yield frame

    def _next(self) -> Frame | None:
        if len(self._data) < 2:
            return None
        opcode = _opcode(self._data[0])
        start, size = self._measured(self._data[1], opcode)
        if size > self._most:
            raise Violation(f"a frame is longer than {self._most} bytes", 1009)
        if start == 0 or len(self._data) < start + size:
            return None
        payload = bytes(self._data[start : start + size])
        final = bool(self._data[0] & 0x80)
        del self._data[: start + size]
        if opcode.controls and not final:
            raise Violation("a control frame is in pieces")
        return Frame(opcode, payload, final)

    def _measured(self, second: int, opcode: Opcode) -> tuple[int, int]:
        """Where the payload begins and how long it is; (0, 0) while that is not known."""
        if second & 0x80:
            raise Violation("a frame of a server is masked")
        if second < 126:
            return 2, second
        if opcode.controls:
            raise Violation("a control frame is longer than 125 bytes")
        width = 2 if second == 126 else 8
        if len(self._data) < 2 + width:
            return 0, 0
        size = int.from_bytes(self._data[2 : 2 + width])
        if size < (126 if width == 2 else 1 << 16) or size >> 63:
            raise Violation("a length is not written as shortly as it could be")
        return 2 + width, size


def _opcode(first: int) -> Opcode:
    if first & 0x70:
        raise Violation("reserved bits are set, and no extension was agreed on")
    try:
        return Opcode(first & 0x0F)
    except ValueError:
        raise Violation("a frame of an unknown kind") from None
