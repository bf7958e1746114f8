"""JSON messages, one a line, over a socket that a reactor waits for; open files may go with one (unix(7))."""

import os
import socket
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final

import orjson

from gatewayd.process.reactor import READ, WRITE, Call, Reactor

_PIECE: Final = 256 * 1024


class _Message:
    """One on its way, with descriptors of our own that leave with its first byte. Mutable: it becomes shorter."""

    __slots__ = ("data", "files")

    def __init__(self, data: bytes, files: Sequence[int]) -> None:
        self.data = memoryview(data)
        self.files = [os.dup(each) for each in files]

    def send(self, sock: socket.socket) -> bool:
        """Whether all of it has left. Raises OSError."""
        sent = socket.send_fds(sock, [self.data], self.files) if self.files else sock.send(self.data)
        self.close()
        self.data = self.data[sent:]
        return not self.data

    def close(self) -> None:
        while self.files:
            os.close(self.files.pop())


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
        self._going: deque[_Message] = deque()
        reactor.watch(sock, self._read)

    @property
    def fd(self) -> int:
        """The socket's number; -1 once the conversation has ended."""
        return self._sock.fileno() if self._sock is not None else -1

    def say(self, message: object, files: Sequence[int] = ()) -> None:
        """Send, now or when there is room; nothing, if the other end is gone. `files` stay the caller's to close."""
        if self._sock is None:
            return
        self._going.append(_Message(orjson.dumps(message) + b"\n", files))
        if sum(len(each.data) for each in self._going) > self._most:
            self._hang_up()
        else:
            self._write()

    def close(self) -> None:
        """End the conversation from here; `gone` is not called."""
        if self._sock is not None:
            self._reactor.forget(self._sock)
            self._sock = None
        self._drop()

    def _drop(self) -> None:
        for each in self._going:
            each.close()
        self._going.clear()

    def _hang_up(self) -> None:
        self.close()
        self._gone()

    def _write(self) -> None:
        assert self._sock is not None
        try:
            while self._going and self._going[0].send(self._sock):
                self._going.popleft()
        except BlockingIOError:
            pass
        except OSError:
            self._drop()  # its hanging up is heard by reading
        self._reactor.watch(self._sock, self._move, READ | WRITE if self._going else READ)

    def _move(self) -> None:
        if self._going:
            self._write()
        self._read()

    def _read(self) -> None:
        if self._sock is None:
            return
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
