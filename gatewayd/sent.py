"""Responses whose bytes did not go through aiohttp's writer, so that aiohttp adds none of its own."""

import asyncio
import socket
import struct
from typing import Final

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from multidict import CIMultiDict

from gatewayd.incoming import Incoming

_RESET: Final = struct.pack("ii", 1, 0)
_LINGER: Final = 5.0  # seconds that the other side has to take what was written before we hung up


class Sent(web.StreamResponse):
    """An answer that somebody else puts on the wire. `keep_alive` is what aiohttp asks when it is done."""

    # aiohttp's own beginning would make these, and a reason, for every answer. Its fields went out already.
    _headers: CIMultiDict[str] = CIMultiDict()
    _reason = ""

    def __init__(self, status: int, *, keep_alive: bool) -> None:
        self._status = status
        self._state = {}
        self._reusable = keep_alive

    @property
    def keep_alive(self) -> bool:
        return self._reusable

    def force_close(self) -> None:
        self._reusable = False

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:  # noqa: ARG002
        """Nothing to prepare: the head is on its way."""
        return None

    async def write_eof(self, data: bytes = b"") -> None:
        """Nothing to end: the body is on its way."""

    def break_off(self) -> None:
        """The rest will not come, and the caller must be able to see that."""
        self.force_close()


class BrokenOff(Sent):
    """An answer that ended too soon, and looks so to the caller."""

    def __init__(self, request: Incoming | web.BaseRequest, *, reset: bool = False) -> None:
        super().__init__(status=502, keep_alive=False)
        break_off(request, reset=reset)


def break_off(request: Incoming | web.BaseRequest, *, reset: bool) -> None:
    """End the connection so that an unfinished message is seen to be unfinished.

    A sized or chunked body is incomplete by itself, so what was written may still arrive. One that ends with the
    connection must be `reset`: an orderly close would be its regular end (RFC 9112 section 8).
    """
    transport = request.transport
    if transport is None:
        return
    if not reset:
        hang_up(transport)
        return
    if (sock := transport.get_extra_info("socket")) is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    transport.abort()


def hang_up(transport: asyncio.Transport) -> None:
    """Close once what was written has left; the other side has some seconds to take it, then it is dropped."""
    transport.close()
    if transport.get_write_buffer_size():
        asyncio.get_running_loop().call_later(_LINGER, transport.abort)
