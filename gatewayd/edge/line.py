"""The way back to one caller: how long it may take nothing, and how a connection ends so that a last answer arrives."""

import asyncio
from contextlib import suppress
from typing import Any

from aiohttp.web_server import Server

from gatewayd.build import stays_python
from gatewayd.edge.turns import Turns
from gatewayd.sent import hang_up

# These two are not final, so that tests can shorten them in a compiled build too.
_LINGERING = 2.0  # seconds that a caller whose connection ends is still read, so that the answer is not reset away
_LONGEST_STALL = 300.0  # seconds without any room to write; routes are stricter by their idle timeout


@stays_python
class CallerLine(Turns):
    """Whoever takes nothing for long is cut off; whoever is told that it is over can read that."""

    __slots__ = ("_line", "_stalled")

    def __init__(self, manager: Server, **options: Any) -> None:
        super().__init__(manager, **options)
        self._line: asyncio.Transport | None = None  # to the caller; aiohttp forgets it before all was sent
        self._stalled: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._line = self.transport

    def connection_lost(self, exc: BaseException | None) -> None:
        self._line = None
        if self._stalled is not None:
            self._stalled.cancel()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """The caller is behind. One that takes nothing for long is cut off, whoever it is that writes."""
        super().pause_writing()
        self._stalled = self._loop.call_later(_LONGEST_STALL, self.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._stalled is not None:
            self._stalled.cancel()

    def force_close(self) -> None:
        """Close, and let the caller take what was written, for some seconds."""
        self._outbox.flush()
        super().force_close()
        if self._line is not None:
            hang_up(self._line)

    def abort(self) -> None:
        """End the connection now, whatever was not taken yet."""
        if self._line is not None:
            self._line.abort()

    async def linger(self) -> None:
        """Read on until the caller has hung up: closing with bytes unread resets the answer (RFC 9112 section 9.6)."""
        if self.transport is not None and not self.transport.is_closing():
            if self.transport.can_write_eof():
                with suppress(OSError):  # the caller has reset it, which the loop has yet to hear
                    self.transport.write_eof()
            self._resume_transport_reading()
            await asyncio.sleep(_LINGERING)  # cancelled when the connection is lost
        self.force_close()
