"""The control socket of a supervisor, and callers of every kind."""

import json
import os
import select
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from gatewayd.clock import SystemClock
from gatewayd.errors import StartError
from gatewayd.process.actions import Peer
from gatewayd.process.desk import Desk, Reply
from gatewayd.process.reactor import Reactor
from tests.patience import PATIENCE


class Clock(SystemClock):
    """Real time, so that patience ends, which a test may set forward."""

    def __init__(self) -> None:
        self._ahead = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self._ahead

    def advance(self, seconds: float) -> None:
        self._ahead += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


class Office:
    """An open desk; "wait" is answered when the test wants."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self.path = path
        self.reactor = Reactor(clock)
        self.waiting: list[Reply] = []
        self.said: list[Mapping[str, Any]] = []
        self.desk = Desk(self.reactor, path, {"status": self._status, "wait": self._wait})
        self.desk.open()

    @staticmethod
    def _status(_words: Mapping[str, Any], reply: Reply) -> None:
        reply({"state": "serving"})

    def _wait(self, words: Mapping[str, Any], reply: Reply) -> None:
        self.said.append(words)
        self.waiting.append(reply)

    def caller(self, words: bytes = b"") -> socket.socket:
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(str(self.path))
        sock.sendall(words)
        return sock

    def answer(self, sock: socket.socket) -> bytes:
        assert self.reactor.until(lambda: bool(select.select([sock], [], [], 0)[0]), PATIENCE)
        return sock.recv(10_000)

    def turn(self) -> None:
        """Whoever hung up is heard to have done so."""
        went: list[int] = []
        self.reactor.later(0, lambda: went.append(1))
        self.reactor.until(lambda: bool(went))

    def serve_another(self) -> None:
        """Whoever came before was heard, too."""
        with self.caller(b'{"command": "status"}\n') as sock:
            assert json.loads(self.answer(sock)) == {"state": "serving"}


@pytest.fixture
def office(tmp_path: Path, clock: Clock) -> Iterator[Office]:
    office = Office(tmp_path / "control.sock", clock)
    yield office
    office.desk.close()
    office.reactor.close()


def test_a_command_is_answered(office: Office) -> None:
    office.serve_another()


def test_only_the_daemons_user_may_connect_and_the_file_goes_with_it(tmp_path: Path, clock: Clock) -> None:
    office = Office(tmp_path / "control.sock", clock)
    assert office.path.stat().st_mode & 0o777 == 0o600
    office.desk.close()
    assert not office.path.exists()
    office.reactor.close()


@pytest.mark.parametrize("line", [b"\n", b"{}\n", b"[]\n", b'{"command": "dance"}\n', b'{"command": []}\n', b"\xff\n"])
def test_what_is_no_command_is_told_the_commands(office: Office, line: bytes) -> None:
    with office.caller(line) as sock:
        assert json.loads(office.answer(sock)) == {"error": "commands are status, wait"}


def test_a_caller_that_hangs_up_before_its_answer_harms_nobody(office: Office) -> None:
    with office.caller(b'{"command": "wait"}\n'):
        office.reactor.until(lambda: bool(office.waiting))
    office.serve_another()
    office.waiting[0]({"too": "late"})
    office.serve_another()


def test_a_line_that_is_too_long_is_hung_up_on(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gatewayd.process.desk.MAX_ANSWER", 100)
    with office.caller(b"x" * 101) as sock:
        assert office.answer(sock) == b""
    office.serve_another()


def test_a_caller_that_asks_nothing_is_hung_up_on_in_time(office: Office, clock: Clock) -> None:
    with office.caller() as silent:
        office.serve_another()
        clock.advance(10)
        assert office.answer(silent) == b""


def test_who_asks_is_what_the_kernel_says_whatever_the_caller_says(office: Office) -> None:
    with office.caller(b'{"command": "wait", "peer": [1, 0]}\n'):
        office.reactor.until(lambda: bool(office.said))
    assert office.said[0]["peer"] == Peer(os.getpid(), os.getuid())


def test_a_caller_that_asked_may_wait_for_its_answer_longer(office: Office, clock: Clock) -> None:
    with office.caller(b'{"command": "wait"}\n') as sock:
        office.reactor.until(lambda: bool(office.waiting))
        clock.advance(100)
        office.serve_another()
        office.waiting[0]({"done": True})
        assert json.loads(office.answer(sock)) == {"done": True}


def test_more_callers_than_there_is_room_for_are_hung_up_on(office: Office) -> None:
    silent = [office.caller() for _ in range(64)]
    with office.caller() as one_more:
        assert office.answer(one_more) == b""
    for each in silent:
        each.close()
    office.turn()
    office.serve_another()


def test_where_another_answers_nothing_opens(office: Office, clock: Clock) -> None:
    commands: dict[str, Any] = {}
    with pytest.raises(StartError, match=r"^cannot listen for commands on .*control\.sock: "):
        Desk(Reactor(clock), office.path, commands).open()
    office.serve_another()
