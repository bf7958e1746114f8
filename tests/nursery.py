"""Daemons without the second that their imports take: forked from a process that made them, else as if started.

`python -m tests.nursery FD` is that process. It hears on a socket whom to bear, and tells each one's number and end.
"""

import asyncio
import atexit
import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import IO, NoReturn

from gatewayd.cli import main

MOST = 1 << 17  # bytes of a wish
Pipe = tuple[asyncio.StreamReader, asyncio.ReadTransport]
FILES = 3  # standard output, standard error, and where its end is told


class Child:
    """As much of an `asyncio.subprocess.Process` as tests use."""

    def __init__(self, pid: int, pipe: Pipe, life: asyncio.StreamReader, line: asyncio.StreamWriter) -> None:
        self.pid = pid
        self.stdout, self._pipe = pipe
        self.returncode: int | None = None
        self._line = line
        self._end = asyncio.create_task(self._outlive(life))

    async def wait(self) -> int:
        return await asyncio.shield(self._end)

    def send_signal(self, number: signal.Signals) -> None:
        if self.returncode is None:
            os.kill(self.pid, number)  # reaped when that was told, so it is nobody else's yet

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    async def close(self) -> None:
        """See it dead, and hear it no more."""
        self.kill()
        await self.wait()
        self._line.close()
        self._pipe.close()

    async def _outlive(self, life: asyncio.StreamReader) -> int:
        self.returncode = int(await life.readline())
        return self.returncode


async def bear(words: Sequence[str], stderr: IO[str], environ: Mapping[str, str]) -> Child:
    """`gatewayd` with these words, its standard output a pipe."""
    mine, its = socket.socketpair()
    told, said = os.pipe()
    with its, open(said, "wb") as stdout:  # noqa: PTH123
        wish = json.dumps([list(words), dict(environ), str(Path.cwd())]).encode()
        socket.send_fds(_nursery(), [wish], [stdout.fileno(), stderr.fileno(), its.fileno()])
    life, line = await asyncio.open_unix_connection(sock=mine)
    return Child(int(await life.readline()), await _reader(told), life, line)


async def _reader(pipe: int) -> Pipe:
    reader = asyncio.StreamReader()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader),
        open(pipe, "rb"),  # noqa: SIM115
    )
    return reader, transport


@cache
def _nursery() -> socket.socket:
    """The way to the process that bears them; it ends with this one, and so do they."""
    mine, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with its:
        command = [sys.executable, "-m", "tests.nursery", str(its.fileno())]
        process = subprocess.Popen(command, pass_fds=[its.fileno()], cwd=Path(__file__).parents[1])

    def end() -> None:
        mine.close()
        process.wait()

    atexit.register(end)
    return mine


def serve(wishes: socket.socket) -> None:
    """Bear whom it is told to, until nobody is there to tell."""
    woken, waker = os.pipe()
    os.set_blocking(waker, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever runs the tests ends them, and they end us
    signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
    lives: dict[int, socket.socket] = {}
    while True:
        ready, _, _ = select.select([wishes.fileno(), woken], [], [])
        if woken in ready:
            os.read(woken, 4096)
            _tell_ends(lives)
        if wishes.fileno() in ready:
            wish, files, _, _ = socket.recv_fds(wishes, MOST, FILES)
            if not wish:
                for pid in lives:
                    os.kill(pid, signal.SIGKILL)
                return
            pid = _fork(json.loads(wish), files, [wishes, *lives.values()])
            life = socket.socket(fileno=files[2])
            os.close(files[0])
            os.close(files[1])
            lives[pid] = life
            _say(life, pid)


def _say(life: socket.socket, number: int) -> None:
    with suppress(OSError):  # the test is over
        life.send(b"%d\n" % number)


def _tell_ends(lives: dict[int, socket.socket]) -> None:
    while lives:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if not pid:
            return
        with lives.pop(pid) as life:
            _say(life, os.waitstatus_to_exitcode(status))


def _fork(wish: tuple[list[str], dict[str, str], str], files: list[int], ours: list[socket.socket]) -> int:
    pid = os.fork()
    if not pid:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        for each in ours:
            each.close()
        _live(*wish, files)
    return pid


def _live(words: list[str], environ: dict[str, str], directory: str, files: list[int]) -> NoReturn:
    code: object = 1
    try:
        os.dup2(files[0], 1)
        os.dup2(files[1], 2)
        for file in files:
            os.close(file)
        os.environ.clear()
        os.environ.update(environ)
        os.chdir(directory)
        sys.orig_argv = [sys.executable, "-m", "gatewayd", *words]
        main(words, prog_name="gatewayd")
        code = 0
    except SystemExit as end:
        code = end.code
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code if isinstance(code, int) else int(code is not None))


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])))
