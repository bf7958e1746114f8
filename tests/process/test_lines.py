"""Messages over a socket: framed by lines, and never too long."""

import socket
from collections.abc import Iterator
from typing import Any

import pytest

from gatewayd.clock import SystemClock
from gatewayd.process.lines import Lines
from gatewayd.process.reactor import Reactor
from tests.patience import PATIENCE

MOST = 100


class Conversation:
    """A Lines, and its other end in the test's hand."""

    def __init__(self, most: int = MOST) -> None:
        self.reactor = Reactor(SystemClock())
        ours, self.other = socket.socketpair()
        self.other.settimeout(PATIENCE)
        self.heard: list[Any] = []
        self.gone = 0
        self.lines = Lines(self.reactor, ours, self.heard.append, self._leave, most=most)

    def _leave(self) -> None:
        self.gone += 1

    def hear(self, count: int) -> list[Any]:
        assert self.reactor.until(lambda: len(self.heard) >= count, PATIENCE)
        return self.heard

    def leave(self) -> None:
        assert self.reactor.until(lambda: self.gone > 0, PATIENCE)


@pytest.fixture
def talk() -> Iterator[Conversation]:
    conversation = Conversation()
    with conversation.other:
        yield conversation
    conversation.reactor.close()


def test_each_line_is_a_message_wherever_it_was_cut(talk: Conversation) -> None:
    talk.other.sendall(b'{"a": 1}\n[2]\n{"b"')
    assert talk.hear(2) == [{"a": 1}, [2]]
    talk.other.sendall(b": 3}\n")
    assert talk.hear(3)[2] == {"b": 3}


def test_what_is_not_json_is_heard_as_none(talk: Conversation) -> None:
    talk.other.sendall(b"{\n1\n")
    assert talk.hear(2) == [None, 1]


@pytest.mark.parametrize("end", [b"", b"\n", b'\n"after it"\n'], ids=["unended", "ended", "followed"])
def test_a_line_that_is_too_long_is_not_heard_and_hung_up_on(talk: Conversation, end: bytes) -> None:
    talk.other.sendall(b"1" * (MOST + 1) + end)
    talk.leave()
    assert talk.heard == []
    assert talk.other.recv(1) == b""


def test_a_line_of_the_longest_length_is_heard(talk: Conversation) -> None:
    talk.other.sendall(b'"' + b"x" * (MOST - 2) + b'"\n')
    assert talk.hear(1) == ["x" * (MOST - 2)]


def test_the_last_words_are_heard_before_the_other_end_is_gone(talk: Conversation) -> None:
    talk.other.sendall(b'"bye"\n')
    talk.other.close()
    talk.leave()
    assert (talk.heard, talk.gone) == (["bye"], 1)


def test_what_is_said_to_nobody_is_lost_without_harm(talk: Conversation) -> None:
    talk.other.close()
    talk.lines.say(1)
    talk.leave()
    talk.lines.say(2)
    assert talk.gone == 1


def test_to_close_is_not_to_be_hung_up_on(talk: Conversation) -> None:
    talk.lines.close()
    talk.lines.close()
    assert talk.other.recv(1) == b""
    assert talk.gone == 0


def test_a_message_larger_than_the_socket_takes_goes_out_piece_by_piece() -> None:
    talk = Conversation(most=8_000_000)
    talk.lines.say("x" * 4_000_000)
    got = bytearray()

    def read() -> None:
        got.extend(talk.other.recv(1_000_000))

    talk.reactor.watch(talk.other, read)
    assert talk.reactor.until(lambda: got.endswith(b"\n"), PATIENCE)
    assert len(got) == 4_000_003
    talk.reactor.close()


def test_one_who_does_not_read_is_hung_up_on_when_too_much_is_kept_for_it(talk: Conversation) -> None:
    talk.lines.say("x" * MOST)
    assert talk.gone == 1
    assert talk.other.recv(1) == b""
