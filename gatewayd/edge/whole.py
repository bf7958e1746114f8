"""A body that was whole when its request came, which is most of them."""

from collections import deque
from functools import cached_property
from typing import Any

from aiohttp.base_protocol import BaseProtocol
from aiohttp.helpers import TimerNoop
from aiohttp.streams import EMPTY_PAYLOAD, StreamReader

from gatewayd.edge.parser import READ_BUFFER


def stream_of(whole: bytes, protocol: BaseProtocol) -> StreamReader:
    """The stream of a body that came with its head."""
    return WholeBody(whole, protocol) if whole else EMPTY_PAYLOAD


class WholeBody(StreamReader):
    """A body that came with its head. Nearly everybody takes it whole; to others it is a stream that has ended.

    aiohttp's own beginning would set 20 fields and be fed: what is the same in all of them is the class's.
    """

    _cursor = 0
    _eof = True
    _eof_callbacks: list[Any] = []  # noqa: RUF012  # nobody is entered: the end has been
    _eof_counter = 0
    _exception = None
    _eof_waiter = None
    _buffer_offset = 0
    _high_water = READ_BUFFER
    _high_water_chunks = 4
    _http_chunk_splits = None
    _low_water = 0  # nothing was paused, so nothing is resumed
    _low_water_chunks = 0
    _size = 0
    _timer = TimerNoop()
    _waiter = None
    total_compressed_bytes = None

    def __init__(self, whole: bytes, protocol: BaseProtocol) -> None:
        self._whole = whole
        self._protocol = protocol
        self.total_bytes = len(whole)

    def take(self) -> bytes:
        """All that nobody has read yet."""
        if not self._whole:
            return self.read_nowait() if self._size else b""
        whole, self._whole = self._whole, b""
        return whole

    @cached_property
    def _buffer(self) -> "deque[bytes]":  # type: ignore[override]  # it has data when somebody reads them
        whole = self.take()
        self._size = len(whole)
        return deque([whole] if whole else [])
