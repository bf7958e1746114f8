"""A WebSocket over a socket, for threads: one receives, any may send."""

import contextlib
import socket
import ssl
import threading
import time
from collections import deque
from typing import Final

from urllib3.util.wait import wait_for_read

from gatewayd_sdk._core.errors import APIConnectionError, APITimeoutError
from gatewayd_sdk._core.frames import Violation
from gatewayd_sdk._core.setup import Address
from gatewayd_sdk._core.support import ended
from gatewayd_sdk._core.websocket import Closed, Session

_PIECE: Final = 64 * 1024
GOODBYE: Final = 2.0
"""Seconds that the other side has to answer a Close frame."""


class WebSocket:
    """Mutable. A session without a sign of life for the idle timeout, pings included, is given up."""

    def __init__(self, address: Address, sock: socket.socket, rest: bytes, idle: float) -> None:
        self._address = address
        self._sock = sock
        self._idle = idle
        self._session = Session()
        self._sending = threading.Lock()
        self._heard: deque[str | bytes | Closed] = deque()
        self._over: Closed | None = None
        self._unread = rest
        sock.settimeout(idle)

    def send(self, text: str) -> None:
        """Raises APIConnectionError if the session is over."""
        with self._sending:
            if self._over is not None or self._session.closing:
                raise ended(self._over or Closed(1000, "closed here"))
            self._write(self._session.message(text))

    def receive(self, timeout: float | None) -> str | bytes | Closed:
        """The next message, Closed once there is none.

        Raises APITimeoutError when none came in `timeout` seconds, and APIConnectionError when the session broke off.
        """
        ends = None if timeout is None else time.monotonic() + timeout
        while not self._heard:
            if self._over is not None:
                return self._over
            self._take(self._read(ends))
        message = self._heard.popleft()
        if isinstance(message, Closed):
            self._end(message)
        return message

    def _read(self, ends: float | None) -> bytes:
        if self._unread:
            data, self._unread = self._unread, b""
            return data
        left = self._idle if ends is None else min(self._idle, max(0.0, ends - time.monotonic()))
        try:
            if not _pending(self._sock) and not wait_for_read(self._sock, left):
                raise self._silent(ends)
            if data := self._sock.recv(_PIECE):
                return data
        except (OSError, ValueError) as error:
            self._end(Closed(1006, ""))
            raise APIConnectionError(f"the session with {self._address.base_url} broke off: {error}") from error
        self._end(Closed(1006, ""))
        raise APIConnectionError(f"the session with {self._address.base_url} broke off without a Close frame")

    def _silent(self, ends: float | None) -> APITimeoutError:
        if ends is not None and ends <= time.monotonic():
            return APITimeoutError("no message in the time given; the session goes on")
        self._end(Closed(1006, "silence"))
        return APITimeoutError(f"nothing was heard for {self._idle:g} s, no ping either: the session was given up")

    def _take(self, data: bytes) -> None:
        try:
            self._heard.extend(self._session.feed(data))
        except Violation as violation:
            with self._sending, contextlib.suppress(APIConnectionError):
                self._write(self._session.close(violation.code))
            self._end(Closed(violation.code, str(violation)))
            raise APIConnectionError(f"the session broke off: {violation}") from violation
        if self._session.due:
            with self._sending:
                due, self._session.due = bytes(self._session.due), bytearray()
                self._write(due)

    def _write(self, data: bytes) -> None:
        try:
            self._sock.sendall(data)
        except (OSError, ValueError) as error:
            self._end(Closed(1006, ""))
            raise APIConnectionError(f"the session with {self._address.base_url} broke off: {error}") from error

    def _end(self, closed: Closed) -> None:
        self._over = self._over or closed
        self._sock.close()

    def close(self, *, wait: bool = True) -> None:
        """Says goodbye, and waits a moment for the answer; never raises for a session that is over."""
        with contextlib.suppress(APIConnectionError):
            if self._over is None:
                with self._sending:
                    self._write(self._session.close())
                ends = time.monotonic() + GOODBYE
                while wait and self._over is None:
                    self.receive(max(0.0, ends - time.monotonic()))
        self._end(Closed(1000, "closed here"))


def _pending(sock: socket.socket) -> bool:
    return isinstance(sock, ssl.SSLSocket) and sock.pending() > 0
