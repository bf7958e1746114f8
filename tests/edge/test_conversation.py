"""What a conversation takes without the parser, and when it may be taken."""

import asyncio
from collections.abc import Callable
from typing import Any, cast

import pytest
from aiohttp.base_protocol import BaseProtocol
from aiohttp.streams import StreamReader

from gatewayd.edge.conversation import Conversation, conversation_of
from gatewayd.edge.whole import stream_of
from gatewayd.incoming import Caller
from gatewayd.outbox import FEW, Outbox
from gatewayd.policies.base import surround
from tests.sealing import NONE, NotedBooks

POST = b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n"


class Line:
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        self.written: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def is_closing(self) -> bool:
        return False


def conversation() -> Conversation:
    loop = asyncio.get_running_loop()
    talk = Conversation(loop, Outbox(loop))
    talk.longest_plain = 1024
    talk.bell.arm()
    return talk


def with_ring(talk: Conversation) -> Conversation:
    talk.caller = Caller(cast("Any", None), cast("Any", None), stream_of, "::1", None)
    return talk


@pytest.mark.parametrize(
    ("said", "owed"), [(POST, 2), (POST + b"h", 1), (POST + b"hi", 0), (POST + b"hi" + POST, -len(POST)), (b"POS", -1)]
)
async def test_only_what_came_whole_and_alone_is_taken_and_what_is_owed_is_noted(said: bytes, owed: int) -> None:
    talk = conversation()
    assert (talk.take_plain(said), talk.owed) == (owed == 0, owed)
    assert (talk.plain is not None) == (owed == 0)


async def test_what_was_taken_is_given_out_once_with_its_body() -> None:
    talk = with_ring(conversation())
    assert talk.next_plain() is None
    assert talk.take_plain(POST + b"hi")
    asked = talk.next_plain()
    assert asked is not None
    assert (asked.method, asked.raw_path, asked.keep_alive, asked.take_body()) == ("POST", "/a", True, b"hi")
    assert (talk.next_plain(), conversation_of(asked)) == (None, talk)


async def test_without_a_ring_no_request_of_ours_is_made() -> None:
    talk = conversation()
    assert talk.take_plain(POST + b"hi")
    assert talk.next_plain() is None
    assert talk.plain is not None


def a_stream(talk: Conversation) -> None:
    loop = asyncio.get_running_loop()
    talk.body = StreamReader(BaseProtocol(loop), 1024, loop=loop)


@pytest.mark.parametrize(
    "happens",
    [
        lambda talk: talk.bell.cancel(),
        lambda talk: setattr(talk, "begun", b"GET"),
        lambda talk: setattr(talk, "deaf", True),
        lambda talk: setattr(talk, "closes", True),
        lambda talk: setattr(talk, "is_over", True),
        a_stream,
    ],
    ids=["answering", "a head begun", "deaf", "closing", "over", "a body"],
)
async def test_it_waits_for_a_request_only_where_nothing_can_stand_before_one(
    happens: Callable[[Conversation], object],
) -> None:
    talk = conversation()
    assert talk.is_waiting
    happens(talk)
    assert not talk.is_waiting


async def test_a_head_that_came_in_time_is_timed_no_more() -> None:
    talk = conversation()
    timer = talk.deadline = asyncio.get_running_loop().call_later(60, lambda: None)
    assert talk.take_plain(POST + b"hi")
    assert timer.cancelled()
    assert talk.deadline is None


async def test_an_answer_waits_for_the_end_of_the_turn_unless_a_next_request_is_there() -> None:
    talk, line = conversation(), Line()
    talk.say(b"nobody is there", NONE)
    talk.transport = cast("asyncio.Transport", line)
    talk.outbox.speakers = FEW
    talk.say(b"one", NONE)
    assert line.written == []
    assert talk.take_plain(POST + b"hi")  # which may be answered by others, behind it
    assert line.written == [b"one"]
    talk.say(b"two", NotedBooks(line.written))
    assert line.written == [b"one", b"sealed", b"two"]


async def test_whoever_rings_hears_of_no_fault_which_is_the_tasks() -> None:
    talk = with_ring(conversation())
    assert talk.take_plain(POST + b"hi")
    asked = talk.next_plain()
    assert asked is not None
    talk.begin(asked)
    talk.course = surround([], lambda _: cast("Any", {})["nothing"], asked)  # which nobody can follow, and was followed

    async def answer() -> None:
        await talk.bell
        assert talk.course is not None
        await talk.course

    task = asyncio.ensure_future(answer())
    await asyncio.sleep(0)
    asyncio.get_running_loop().call_soon(talk.rung)
    with pytest.raises(KeyError):
        await task
