"""The control socket: commands ask the running daemon, one JSON line each way. Only the daemon's user may connect."""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Final

import orjson

from gatewayd.errors import GatewayError, StartError
from gatewayd.process.listen import clear_stale_socket

Answer = Callable[[], Awaitable[Mapping[str, object]]]

_MAX_LINE: Final = 64 * 1024
_MAX_PATH: Final = 100  # sun_path has 108 bytes
_PATIENCE: Final = 10.0


class NotRunning(GatewayError):
    """No daemon answers on the control socket."""


def socket_path(state_dir: Path) -> Path:
    """Where the daemon of this state directory listens. Raises StartError if the system cannot take the path."""
    path = state_dir / "control.sock"
    if len(str(path)) > _MAX_PATH:
        raise StartError(f"server.state_dir is too long for a control socket: {path}")
    return path


class ControlServer:
    """Answers commands by name; an unknown one is told so."""

    def __init__(self, path: Path, answers: Mapping[str, Answer]) -> None:
        self._path = path
        self._answers = answers
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()

    async def start(self) -> None:
        """Raises StartError if another daemon already answers there."""
        try:
            clear_stale_socket(self._path)
            self._server = await asyncio.start_unix_server(self._serve, self._path, limit=_MAX_LINE)
            self._path.chmod(0o600)
        except OSError as error:
            raise StartError(f"another gatewayd may run on this state directory: {self._path}: {error.strerror}") from None

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
            await reader.read()  # the caller hangs up; one that waits for our end sees it when we are gone
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


def ask(state_dir: Path, command: str, *, until_gone: bool = False, patience: float = _PATIENCE) -> dict[str, Any]:
    """The daemon's answer to a command; with `until_gone`, after it has exited. Raises NotRunning, TimeoutError."""
    path = socket_path(state_dir)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.settimeout(patience)
        try:
            sock.connect(str(path))
        except OSError:
            raise NotRunning(f"no gatewayd answers on {path}; is it running with this configuration?") from None
        sock.sendall(orjson.dumps({"command": command}) + b"\n")
        with sock.makefile("rb") as lines:
            line = lines.readline(_MAX_LINE)
            if until_gone:
                lines.read()
    if not line:
        raise NotRunning(f"the gatewayd on {path} ended before it answered")
    answer: dict[str, Any] = orjson.loads(line)
    return answer
