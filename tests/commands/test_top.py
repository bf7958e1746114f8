"""top, on a terminal of its own and for scripts."""

import asyncio
import fcntl
import json
import os
import pty
import re
import select
import signal
import socket
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.agents import answering, raw_agent
from tests.daemons import COMMAND, command, daemon_here, environment, running_daemon, write_config
from tests.patience import PATIENCE
from tests.problems import ask

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
LEAVE_SCREEN = "\x1b[?1049l"


class Terminal:
    """Ours is the other end: what was drawn, and keys to press."""

    def __init__(self, process: "subprocess.Popen[bytes]", fd: int) -> None:
        self.process = process
        self._fd = fd
        self.drawn = ""

    def press(self, keys: bytes) -> None:
        os.write(self._fd, keys)

    def read(self, until: Callable[[str], bool]) -> str:
        """Everything drawn so far, once it is so."""
        deadline = time.monotonic() + PATIENCE
        while not until(self.drawn):
            assert time.monotonic() < deadline, self.drawn
            if select.select([self._fd], [], [], 0.1)[0]:
                try:
                    self.drawn += os.read(self._fd, 65536).decode(errors="replace")
                except OSError:  # EIO: the other end is closed
                    break
        return self.drawn

    def echoes(self) -> bool:
        return bool(termios.tcgetattr(self._fd)[3] & termios.ECHO)


@contextmanager
def on_a_terminal(*words: str | Path, columns: int = 120) -> Iterator[Terminal]:
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    argv = [*COMMAND, *map(str, words)]
    environ = environment(TERM="xterm-256color")
    process = subprocess.Popen(
        argv,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=environ,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # so that Ctrl-C is a signal
    )
    terminal = Terminal(process, ours)
    try:
        yield terminal
    finally:
        process.kill()
        process.wait()
        os.close(theirs)
        os.close(ours)


def plain(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)


@pytest.mark.parametrize("ending", [b"q", b"\x03"])
async def test_it_draws_what_is_so_again_and_again_until_q_or_ctrl_c(tmp_path: Path, ending: bytes) -> None:
    async with (
        raw_agent(answering(OK)) as agent,
        running_daemon(write_config(tmp_path, agent.url)) as daemon,
        daemon.session() as session,
    ):
        for _ in range(7):
            await ask(session, "/api/email/x")
        with on_a_terminal("top", "--interval", "200ms", "-c", daemon.config) as terminal:
            drawn = await asyncio.to_thread(terminal.read, lambda text: bool(re.search(r"email .* 7 ", plain(text))))
            assert "Serving" in plain(drawn)  # what else, a machine that paused decides
            assert not terminal.echoes()
            await ask(session, "/api/email/x")
            await asyncio.to_thread(terminal.read, lambda text: bool(re.search(r"email .* 8 ", plain(text))))
            terminal.press(b"xyz")
            terminal.press(ending)
            drawn = await asyncio.to_thread(terminal.read, lambda text: LEAVE_SCREEN in text)
            assert terminal.process.wait(PATIENCE) == 0
            assert terminal.echoes()
    assert "Traceback" not in drawn


async def test_a_daemon_that_is_away_is_waited_for(tmp_path: Path) -> None:
    config = write_config(tmp_path)
    with on_a_terminal("top", "--interval", "200ms", "-c", config) as terminal:
        await asyncio.to_thread(terminal.read, lambda text: "no gatewayd answers on" in text)
        async with running_daemon(config):
            await asyncio.to_thread(terminal.read, lambda text: "nobody called in the last minute" in text)
        terminal.press(b"q")
        assert terminal.process.wait(PATIENCE) == 0


async def test_a_terminal_that_is_closed_ends_it(tmp_path: Path) -> None:
    with on_a_terminal("top", "-c", write_config(tmp_path)) as terminal:
        await asyncio.to_thread(terminal.read, lambda text: "no gatewayd answers on" in text)
        terminal.process.send_signal(signal.SIGHUP)
        assert await asyncio.to_thread(terminal.process.wait, PATIENCE) == -signal.SIGHUP


async def test_once_prints_it_and_ends(tmp_path: Path) -> None:
    async with daemon_here(write_config(tmp_path)):
        found = await asyncio.to_thread(command, "top", "--once", "-c", tmp_path / "gatewayd.toml", COLUMNS="100")
        document = await asyncio.to_thread(command, "top", "--json", "-c", tmp_path / "gatewayd.toml")
    assert (found.exit_code, found.stderr) == (0, "")
    assert "Serving; nobody called in the last minute." in found.stdout
    assert "email" in found.stdout
    assert "\x1b" not in found.stdout
    assert json.loads(document.stdout)["agents"][0]["name"] == "email"


async def test_a_daemon_of_several_processes_tells_the_same(tmp_path: Path) -> None:
    async with running_daemon(write_config(tmp_path, server="workers = 2")) as daemon:
        found = await asyncio.to_thread(command, "top", "--json", "-c", daemon.config)
    document = json.loads(found.stdout)
    assert [each["name"] for each in document["status"]["children"]] == [
        "bookkeeper",
        "worker 1",
        "worker 2",
        "operators",
    ]
    assert document["verdict"]["level"] == "good"


def test_without_a_terminal_it_says_what_to_do(tmp_path: Path) -> None:
    found = command("top", "-c", write_config(tmp_path))
    assert found.exit_code == 2
    assert "use --once or --json" in found.stderr


def test_without_a_daemon_a_script_is_told(tmp_path: Path) -> None:
    for option in ("--once", "--json"):
        found = command("top", option, "-c", write_config(tmp_path))
        assert (found.exit_code, found.stdout) == (1, "")
        assert found.stderr.startswith("gatewayd: no gatewayd answers on ")


async def test_where_nobody_looks_the_reason_is_said(tmp_path: Path) -> None:
    config = write_config(tmp_path)
    with open_port() as port:
        config.write_text(
            config.read_text().replace('[admin]\nlisten = "127.0.0.1:0"', f'[admin]\nlisten = "127.0.0.1:{port}"')
        )
        async with running_daemon(config):
            found = await asyncio.to_thread(command, "top", "--once", "-c", config)
            status = await asyncio.to_thread(command, "status", "-c", config)
    reason = "nobody can say: the operators' listener was not opened, and the daemon's log has the reason\n"
    assert (found.exit_code, found.stderr) == (1, f"gatewayd: {reason}")
    assert (status.exit_code, status.stdout.splitlines()[-1]) == (0, reason.strip())


@contextmanager
def open_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        yield taken.getsockname()[1]
