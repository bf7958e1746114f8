"""The control socket: commands ask the running daemon, one JSON line each way. Only the daemon's user may connect."""

import asyncio
import os
import select
import socket
import struct
import sys
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import orjson

from gatewayd.errors import GatewayError, StartError
from gatewayd.process.listen import clear_stale_socket

Answer = Callable[[], Awaitable[Mapping[str, object]]]

MAX_ANSWER: Final = 64 * 1024 * 1024
_MAX_LINE: Final = 64 * 1024
_MAX_PATH: Final = 107  # unix(7): sun_path, without its final NUL
_PATIENCE: Final = 10.0


class NotRunning(GatewayError):
    """No daemon answers on the control socket."""


def socket_path(state_dir: Path) -> Path:
    """Where the daemon of this state directory listens. Raises StartError if the system cannot take the path."""
    path = state_dir / "control.sock"
    if len(os.fsencode(path)) > _MAX_PATH:
        raise StartError(f"server.state_dir is too long, a socket's path has {_MAX_PATH} bytes at most: {path}")
    return path


class ControlServer:
    """Answers commands by name; an unknown one is told so."""

    def __init__(self, path: Path, answers: Mapping[str, Answer]) -> None:
        self._path = path
        self._answers = answers
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()

    async def start(self) -> None:
        """Raises StartError if another daemon already answers there, or nothing can."""
        try:
            clear_stale_socket(self._path)
            self._server = await asyncio.start_unix_server(self._serve, self._path, limit=_MAX_LINE)
            self._path.chmod(0o600)
        except OSError as error:
            raise StartError(f"cannot listen for commands on {self._path}: {error.strerror}") from None

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
            for writer in self._open:
                writer.close()
            self._path.unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            async with asyncio.timeout(_PATIENCE):
                line = await reader.readline()
            writer.write(orjson.dumps(await self._answer(line)) + b"\n")
            await writer.drain()
            while await reader.read(_MAX_LINE):  # the caller hangs up; one that waits for our end sees when we are gone
                pass
        except (TimeoutError, OSError, ValueError):
            pass
        finally:
            self._open.discard(writer)
            writer.close()

    async def _answer(self, line: bytes) -> Mapping[str, object]:
        try:
            command = orjson.loads(line)["command"]
            answer = self._answers[command]
        except (orjson.JSONDecodeError, KeyError, TypeError):
            return {"error": f"commands are {', '.join(sorted(self._answers))}"}
        return await answer()


def ask(
    state_dir: Path, command: str, *, until_gone: bool = False, patience: float = _PATIENCE, **words: object
) -> dict[str, Any]:
    """The daemon's answer to a command with its `words`; with `until_gone`, after its process has ended.

    `patience` is for each of the two, in seconds. Raises NotRunning, TimeoutError, and StartError for the path.
    """
    path = socket_path(state_dir)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.settimeout(patience)
        _connect(sock, path)
        answer = _question(sock, path, {"command": command, **words})
        if until_gone:
            _outlast(sock, patience)
    return answer


async def inquire(path: Path, command: str) -> dict[str, Any]:
    """The same in an event loop, for answers as long as metrics are. Raises OSError, ValueError and TimeoutError."""
    async with asyncio.timeout(_PATIENCE):
        reader, writer = await asyncio.open_unix_connection(path, limit=MAX_ANSWER)
        try:
            writer.write(orjson.dumps({"command": command}) + b"\n")
            answer: dict[str, Any] = orjson.loads(await reader.readline())
        finally:
            writer.close()
    return answer


def _connect(sock: socket.socket, path: Path) -> None:
    try:
        sock.connect(str(path))
    except PermissionError:
        raise NotRunning(f"{path} belongs to another user; ask as the user that runs gatewayd") from None
    except OSError:
        raise NotRunning(f"no gatewayd answers on {path}; is it running with this configuration?") from None


def _question(sock: socket.socket, path: Path, question: Mapping[str, object]) -> dict[str, Any]:
    try:
        sock.sendall(orjson.dumps(question) + b"\n")
        with sock.makefile("rb") as lines:
            line = lines.readline(MAX_ANSWER)
    except ConnectionError:
        line = b""
    if not line.endswith(b"\n"):
        raise NotRunning(f"the gatewayd on {path} ended before it answered")
    answer: dict[str, Any] = orjson.loads(line)
    return answer


def _outlast(sock: socket.socket, patience: float) -> None:
    """Wait until the process at the other end is gone; where the system cannot tell, until it hung up."""
    if (process := _process_behind(sock)) is None:
        with suppress(ConnectionError):
            while sock.recv(_MAX_LINE):
                pass
        return
    try:
        gone = select.poll()  # select(2) knows no descriptor above 1023
        gone.register(process, select.POLLIN)
        if not gone.poll(patience * 1000):
            raise TimeoutError
    finally:
        os.close(process)


def _process_behind(sock: socket.socket) -> int | None:
    """A pidfd (pidfd_open(2)) of who listens there, by the number that it has for us (unix(7), SO_PEERCRED)."""
    if sys.platform != "linux":
        return None
    pid, _, _ = struct.unpack("3i", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i")))
    try:
        return os.pidfd_open(pid)
    except OSError:  # gone already, or not known here
        return None
