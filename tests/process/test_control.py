"""Questions to a running daemon, and every way in which nobody answers."""

import asyncio
import fcntl
import json
import os
import socket
import threading
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from gatewayd.errors import StartError
from gatewayd.process.control import ControlServer, NotRunning, ask, socket_path
from gatewayd.process.files import allow_connections

LONGEST = 107 - len("/control.sock")


async def status() -> Mapping[str, object]:
    return {"state": "serving"}


@asynccontextmanager
async def answering(state: Path) -> AsyncIterator[ControlServer]:
    server = ControlServer(socket_path(state), {"status": status})
    await server.start()
    try:
        yield server
    finally:
        await server.close()


async def test_a_command_is_answered(tmp_path: Path) -> None:
    async with answering(tmp_path):
        assert await asyncio.to_thread(ask, tmp_path, "status") == {"state": "serving"}


async def test_only_the_daemons_user_may_connect_and_the_file_goes_with_it(tmp_path: Path) -> None:
    async with answering(tmp_path):
        assert (tmp_path / "control.sock").stat().st_mode & 0o777 == 0o600
    assert not (tmp_path / "control.sock").exists()


@pytest.mark.parametrize(
    "line",
    [
        b"\n",
        b"{\n",
        b"{}\n",
        b"[]\n",
        b'"status"\n',
        b'{"command": "dance"}\n',
        b'{"command": []}\n',
        b"\xff\n",
        b"1\n",
    ],
)
async def test_what_is_no_command_is_told_the_commands(tmp_path: Path, line: bytes) -> None:
    async with answering(tmp_path):
        reader, writer = await asyncio.open_unix_connection(tmp_path / "control.sock")
        writer.write(line)
        assert json.loads(await reader.readline()) == {"error": "commands are status"}
        writer.write(b"more of it")
        writer.close()


async def test_a_line_without_an_end_is_hung_up_on(tmp_path: Path) -> None:
    async with answering(tmp_path):
        reader, writer = await asyncio.open_unix_connection(tmp_path / "control.sock")
        writer.write(b"x" * 200_000)
        with suppress(ConnectionError):
            assert await reader.read() == b""
        writer.close()


async def test_who_waits_for_the_end_sees_it(tmp_path: Path) -> None:
    async with answering(tmp_path):
        reader, writer = await asyncio.open_unix_connection(tmp_path / "control.sock")
        writer.write(b'{"command": "status"}\n')
        await reader.readline()
    assert await reader.read() == b""
    writer.close()


async def test_where_another_file_is_nothing_starts(tmp_path: Path) -> None:
    (tmp_path / "control.sock").write_text("mine")
    with pytest.raises(StartError, match=r"^cannot listen for commands on .*: the file exists and is not a socket$"):
        await ControlServer(socket_path(tmp_path), {}).start()
    assert (tmp_path / "control.sock").read_text() == "mine"


def test_a_path_is_as_long_as_the_system_takes_and_no_longer() -> None:
    assert socket_path(Path("ä" * (LONGEST // 2)))
    with pytest.raises(StartError, match=r"^server\.state_dir is too long"):
        socket_path(Path("ä" * (LONGEST // 2 + 1)))


def nobody(path: Path) -> None:
    del path


def dead(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(path))


def file(path: Path) -> None:
    path.touch()


@pytest.mark.parametrize("leave", [nobody, dead, file])
def test_where_nobody_answers_the_place_is_named(tmp_path: Path, leave: object) -> None:
    assert callable(leave)
    leave(tmp_path / "control.sock")
    with pytest.raises(NotRunning, match=rf"^no gatewayd answers on {tmp_path}/control\.sock"):
        ask(tmp_path, "status")


@pytest.fixture
def listening(tmp_path: Path) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX)
    sock.bind(str(tmp_path / "control.sock"))
    sock.listen()
    return sock


@pytest.mark.parametrize("words", [b"", b'{"state"'])
def test_a_daemon_that_ends_before_it_answered_is_not_running(
    tmp_path: Path, listening: socket.socket, words: bytes
) -> None:
    def hang_up() -> None:
        with listening, listening.accept()[0] as caller:
            caller.recv(100)
            caller.sendall(words)

    thread = threading.Thread(target=hang_up)
    thread.start()
    with pytest.raises(NotRunning, match=r"ended before it answered$"):
        ask(tmp_path, "status")
    thread.join()


def test_one_that_resets_the_connection_is_not_running(tmp_path: Path, listening: socket.socket) -> None:
    def hang_up() -> None:
        with listening:
            listening.accept()[0].close()  # with the question unread

    thread = threading.Thread(target=hang_up)
    thread.start()
    with pytest.raises(NotRunning):
        ask(tmp_path, "status")
    thread.join()


def test_one_that_says_nothing_is_waited_for_no_longer_than_agreed(tmp_path: Path, listening: socket.socket) -> None:
    with listening, pytest.raises(TimeoutError):
        ask(tmp_path, "status", patience=0.05)


async def test_a_process_that_goes_on_is_waited_for_no_longer_than_agreed(tmp_path: Path) -> None:
    async with answering(tmp_path):
        with pytest.raises(TimeoutError):  # it is this very process
            await asyncio.to_thread(ask, tmp_path, "status", until_gone=True, patience=0.05)


async def test_where_the_system_cannot_tell_the_hanging_up_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asking = asyncio.Event()
    loop = asyncio.get_running_loop()

    def unknown(pid: int, flags: int = 0) -> int:
        loop.call_soon_threadsafe(asking.set)
        raise ProcessLookupError

    monkeypatch.setattr(os, "pidfd_open", unknown)
    async with answering(tmp_path):
        asked = asyncio.create_task(asyncio.to_thread(ask, tmp_path, "status", until_gone=True))
        await asking.wait()
        assert not asked.done()
    assert await asked == {"state": "serving"}


async def test_a_process_is_waited_for_however_many_files_are_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def above_what_select_knows(pid: int, flags: int = 0) -> int:
        process = pidfd_open(pid, flags)
        try:
            return fcntl.fcntl(process, fcntl.F_DUPFD_CLOEXEC, 1024)
        finally:
            os.close(process)

    pidfd_open = os.pidfd_open
    allow_connections(1024)
    monkeypatch.setattr(os, "pidfd_open", above_what_select_knows)
    async with answering(tmp_path):
        with pytest.raises(TimeoutError):
            await asyncio.to_thread(ask, tmp_path, "status", until_gone=True, patience=0.05)
