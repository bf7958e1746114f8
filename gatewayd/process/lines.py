"""JSON messages, one a line, over a socket that a reactor waits for."""

import socket
from collections.abc import Callable
from typing import Any, Final

import orjson

from gatewayd.process.reactor import READ, WRITE, Call, Reactor

_PIECE: Final = 256 * 1024


class Lines:
    """One end of a conversation. Neither a longer line than `most` bytes is heard, nor more than that kept to be sent:
    whoever exceeds it is hung up on. Mutable: it keeps what is on its way.
    """

    def __init__(
        self, reactor: Reactor, sock: socket.socket, heard: Callable[[Any], None], gone: Call, *, most: int
    ) -> None:
        """`heard` gets each message (None for what is not JSON); `gone` is called when the other end hung up."""
        sock.setblocking(False)
        self._reactor = reactor
        self._sock: socket.socket | None = sock
        self._heard = heard
        self._gone = gone
        self._most = most
        self._coming = bytearray()
        self._going = bytearray()
        reactor.watch(sock, self._read)

    def say(self, message: object) -> None:
        """Send, now or when there is room; nothing, if the other end is gone."""
        if self._sock is None:
            return
        self._going += orjson.dumps(message) + b"\n"
        if len(self._going) > self._most:
            self._hang_up()
        else:
            self._write()

    def close(self) -> None:
        """End the conversation from here; `gone` is not called."""
        if self._sock is not None:
            self._reactor.forget(self._sock)
            self._sock = None

    def _hang_up(self) -> None:
        self.close()
        self._gone()

    def _write(self) -> None:
        assert self._sock is not None
        try:
            del self._going[: self._sock.send(self._going)]
        except BlockingIOError:
            pass
        except OSError:
            self._going.clear()  # its hanging up is heard by reading
        self._reactor.watch(self._sock, self._move, READ | WRITE if self._going else READ)

    def _move(self) -> None:
        if self._going:
            self._write()
        self._read()

    def _read(self) -> None:
        assert self._sock is not None
        try:
            data = self._sock.recv(_PIECE)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        self._coming += data
        *lines, rest = self._coming.split(b"\n")
        self._coming = bytearray(rest)
        for line in lines:
            self._hear(line)
        if self._sock is not None and (not data or len(rest) > self._most):
            self._hang_up()

    def _hear(self, line: bytearray) -> None:
        if self._sock is None:
            return
        if len(line) > self._most:
            self._hang_up()
            return
        try:
            message = orjson.loads(line)
        except orjson.JSONDecodeError:
            message = None
        self._heard(message)
