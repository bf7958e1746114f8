"""Lines between worker and bookkeeper: whole ones only, and nobody waits for one who does not read."""

import asyncio
from typing import Any

import pytest

from gatewayd.books.messages import HIGH_WATER, Message, Messenger


class Wire(asyncio.Transport):
    """A transport that keeps what was written; `unread` says how much of it nobody took yet."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.writes = 0
        self.unread = 0
        self.aborted = False

    def write(self, data: Any) -> None:
        self.writes += 1
        self.written += bytes(data)

    def get_write_buffer_size(self) -> int:
        return self.unread

    def abort(self) -> None:
        self.aborted = True


def connected(heard: list[Message]) -> tuple[Messenger, Wire]:
    def hear(_: Messenger, message: Message) -> None:
        if message == ["fault"]:
            raise ValueError("this cannot be handled")
        heard.append(message)

    messenger, wire = Messenger(hear, lambda _: None), Wire()
    messenger.connection_made(wire)
    return messenger, wire


async def test_messages_are_heard_whole_however_their_bytes_arrive() -> None:
    heard: list[Message] = []
    messenger, _ = connected(heard)
    for byte in b'["want",1]\n["back","\xc3\xa4"]\n["gro':
        messenger.data_received(bytes([byte]))
    assert heard == [["want", 1], ["back", "ä"]]


async def test_what_cannot_be_handled_ends_the_connection_and_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    heard: list[Message] = []
    messenger, wire = connected(heard)
    messenger.data_received(b'["fault"]\n["after"]\n')
    assert wire.aborted
    assert not heard
    assert "could not be handled" in caplog.text


async def test_one_long_message_is_sent_but_none_to_who_does_not_read() -> None:
    messenger, wire = connected([])
    messenger.say("x" * (HIGH_WATER + 1))
    await asyncio.sleep(0)
    sent_whole = not wire.aborted
    wire.unread = HIGH_WATER + 1
    messenger.say("more")
    await asyncio.sleep(0)
    assert sent_whole
    assert wire.aborted
    assert b"more" not in wire.written


async def test_nothing_is_said_to_who_is_gone() -> None:
    messenger, wire = connected([])
    messenger.connection_lost(None)
    messenger.say("anything")
    messenger.hang_up()
    assert not wire.written
    assert not wire.aborted


async def test_what_is_said_in_one_turn_leaves_at_its_end_in_one_write_and_in_order() -> None:
    messenger, wire = connected([])
    messenger.say("want", 1)
    messenger.say("back", "ä")
    before = wire.writes
    await asyncio.sleep(0)
    messenger.say("grown")
    await asyncio.sleep(0)
    assert (before, wire.writes) == (0, 2)
    assert wire.written == '["want",1]\n["back","ä"]\n["grown"]\n'.encode()


async def test_what_was_said_before_hanging_up_has_left() -> None:
    messenger, wire = connected([])
    messenger.say("answer", 7)
    messenger.hang_up()
    assert wire.aborted
    assert wire.written == b'["answer",7]\n'
    await asyncio.sleep(0)
    assert wire.writes == 1
