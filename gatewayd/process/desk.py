"""The control socket as a supervisor keeps it: commands come and are answered when the answer is there."""

import socket
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from gatewayd.errors import StartError
from gatewayd.process.actions import Peer
from gatewayd.process.bookkeeping import bind_privately
from gatewayd.process.control import MAX_ANSWER
from gatewayd.process.lines import Lines
from gatewayd.process.listen import clear_stale_socket
from gatewayd.process.reactor import Reactor

Reply = Callable[[Mapping[str, Any]], None]
Command = Callable[[Mapping[str, Any], Reply], None]
"""Gets all that the caller said, and as `peer` who that is (see actions.Peer)."""

_MOST_CALLERS: Final = 64
_PATIENCE: Final = 10.0  # seconds in which a caller must have said what it wants


class Desk:
    """Answers commands by name; an unknown one is told so. Only the daemon's user may connect. Mutable."""

    def __init__(self, reactor: Reactor, path: Path, commands: Mapping[str, Command]) -> None:
        self._reactor = reactor
        self._path = path
        self._commands = commands
        self._callers: set[Lines] = set()
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)

    @property
    def fd(self) -> int:
        """Of the socket that listens."""
        return self._sock.fileno()

    def open(self, known: socket.socket | None = None) -> None:
        """Raises StartError if another daemon already answers there, or nothing can; `known` listens there already."""
        if known is not None:
            self._sock.close()
            self._sock = known
            self._reactor.watch(self._sock, self._accept)
            return
        try:
            clear_stale_socket(self._path)
            bind_privately(self._sock, self._path)
            self._sock.listen(_MOST_CALLERS)
        except OSError as error:
            self._sock.close()
            raise StartError(f"cannot listen for commands on {self._path}: {error.strerror}") from None
        self._sock.setblocking(False)
        self._reactor.watch(self._sock, self._accept)

    def close(self) -> None:
        """Hang up on everybody."""
        for caller in tuple(self._callers):
            caller.close()
        self._reactor.forget(self._sock)
        self._path.unlink(missing_ok=True)

    def _accept(self) -> None:
        with suppress(OSError):
            sock = self._sock.accept()[0]
            if len(self._callers) < _MOST_CALLERS:
                _Caller(self._reactor, sock, self._commands, self._callers)
            else:
                sock.close()


class _Caller:
    """One who may ask one thing, and then wait for our end. Mutable."""

    def __init__(
        self, reactor: Reactor, sock: socket.socket, commands: Mapping[str, Command], callers: set[Lines]
    ) -> None:
        self._commands = commands
        self._callers = callers
        self._peer = Peer.of(sock)  # while there is a socket: it may hang up before it is answered
        self._lines = Lines(reactor, sock, self._asked, self._gone, most=MAX_ANSWER)
        self._impatience = reactor.later(_PATIENCE, self._too_late)
        callers.add(self._lines)

    def _asked(self, message: Any) -> None:
        self._impatience.cancel()
        try:
            command = self._commands[message["command"]]
        except (KeyError, TypeError):
            self._lines.say({"error": f"commands are {', '.join(sorted(self._commands))}"})
        else:
            command({**message, "peer": self._peer}, self._lines.say)

    def _too_late(self) -> None:
        self._lines.close()
        self._gone()

    def _gone(self) -> None:
        self._impatience.cancel()
        self._callers.discard(self._lines)
