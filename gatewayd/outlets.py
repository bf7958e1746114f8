"""Where log lines go: standard output, a file, or the journal of systemd. Blocking; a sink's thread uses them."""

import errno
import os
import select
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Protocol

JOURNALD: Final = "journald:"
"""The target that is systemd's journal; behind the colon, another socket than systemd's own."""
STDERR: Final = ""
"""The target that is standard error, the log of the process itself."""
_STDOUT, _STDERR = 1, 2
_JOURNAL_SOCKET: Final = "/run/systemd/journal/socket"
_MODE: Final = 0o640


class LinesLost(Exception):
    """So many of the lines could not be written; the message says why."""

    def __init__(self, count: int, reason: str) -> None:
        super().__init__(reason)
        self.count = count


class Outlet(Protocol):
    """A place for lines. Used by one thread."""

    def write(self, lines: Sequence[bytes]) -> None:
        """Each has its newline. Raises LinesLost."""

    def reopen(self) -> None:
        """Look for the place by its name again. Raises OSError, and goes on with the old one then."""

    def close(self) -> None: ...


def open_outlet(target: str, *, name: str = "") -> Outlet:
    """`target` is a path, "-" for standard output, or JOURNALD; `name` says in the journal which log it is.

    STDERR is the process's own log. Raises OSError if it cannot be opened.
    """
    if target.startswith(JOURNALD):
        return JournalOutlet(target.removeprefix(JOURNALD) or _JOURNAL_SOCKET, name)
    if target == STDERR:
        return StreamOutlet(None, _STDERR)
    return StreamOutlet(None if target == "-" else Path(target))


class StreamOutlet:
    """A descriptor of our own that is written to. Mutable: after a rotation another file has the name."""

    def __init__(self, path: Path | None, standard: int = _STDOUT) -> None:
        """Without a path it is a copy of a standard stream: closing it leaves that open."""
        self._path = path
        self._standard = standard
        self._fd = self._open()
        self._torn = False

    def write(self, lines: Sequence[bytes]) -> None:
        # What follows a line that was cut off begins on a line of its own, or it would be lost with it.
        data = b"".join(lines)
        rest = memoryview(b"\n" + data if self._torn and data else data)
        try:
            while rest:
                written = self._write(rest)
                self._torn = rest[written - 1] != ord("\n") if written else self._torn
                rest = rest[written:]
        except OSError as error:
            raise LinesLost(bytes(rest).count(b"\n"), error.strerror or str(error)) from None

    def _write(self, data: memoryview) -> int:
        """How much was written. Whoever shares our standard output may have made it non-blocking."""
        try:
            return os.write(self._fd, data)
        except BlockingIOError:
            room = select.poll()  # select() knows no descriptor above 1023, and a gateway has many
            room.register(self._fd, select.POLLOUT)
            room.poll()
            return 0

    def reopen(self) -> None:
        """Go on in the file that has the name now, made if there is none; of standard output there is but one."""
        if self._path is not None:
            new = self._open()
            os.close(self._fd)
            self._fd, self._torn = new, False

    def close(self) -> None:
        os.close(self._fd)

    def _open(self) -> int:
        if self._path is not None:
            return os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, _MODE)
        if self._standard == _STDERR:
            return os.dup(_STDERR)
        if sys.stdout is None:  # python's own sign that it was started with it closed
            raise OSError(errno.EBADF, "standard output is closed")
        return os.dup(sys.stdout.fileno())


class JournalOutlet:
    """journald's native protocol (systemd.io/JOURNAL_NATIVE_PROTOCOL): a datagram for each line.

    Mutable: it connects again when journald was restarted.
    """

    def __init__(self, path: str, name: str) -> None:
        self._path = path
        identity = {"PRIORITY": "6", "SYSLOG_IDENTIFIER": "gatewayd", "GATEWAYD_LOG": name}
        self._head = "".join(f"{key}={value}\n" for key, value in identity.items() if value).encode()
        self._sock = self._connect()

    def write(self, lines: Sequence[bytes]) -> None:
        lost, reason = 0, ""
        for line in lines:
            try:
                self._send(self._head + b"MESSAGE=" + line)  # its newline ends the field
            except OSError as error:  # of this line (one can be too long) or of all
                lost, reason = lost + 1, error.strerror or str(error)
        if lost:
            raise LinesLost(lost, reason)

    def _send(self, datagram: bytes) -> None:
        try:
            self._sock.send(datagram)
        except OSError as error:
            if error.errno == errno.EMSGSIZE:
                raise
            self.reopen()
            self._sock.send(datagram)

    def reopen(self) -> None:
        new = self._connect()
        self._sock.close()
        self._sock = new

    def close(self) -> None:
        self._sock.close()

    def _connect(self) -> socket.socket:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            sock.connect(self._path)
        except OSError:
            sock.close()
            raise
        return sock
