"""What a connection waits for is known without its protocol, and says when the connection need not be looked at."""

import asyncio
from collections.abc import Callable
from functools import partial
from types import SimpleNamespace

import pytest

from gatewayd.errors import Overloaded, UpstreamTimeout
from gatewayd.proxy.awaited import Awaited
from gatewayd.proxy.call import Call
from gatewayd.proxy.plain import plain_answer
from tests.agents import answering, raw_agent
from tests.patience import when
from tests.proxy.upstreams import ask, upstream_at
from tests.proxy.wire import OK, beat, saying


async def test_one_parser_goes_on_with_the_next_answer_unless_that_is_heads() -> None:
    awaited = Awaited(asyncio.get_running_loop())
    assert [awaited.expect(bodiless=each) for each in (False, False, True, False, True, True)] == [
        True,
        False,
        True,
        True,
        True,
        True,
    ]


async def test_an_answer_is_taken_once() -> None:
    awaited = Awaited(asyncio.get_running_loop())
    awaited.answer = found = plain_answer(OK)
    assert found is not None
    assert (awaited.take(), awaited.take()) == (found, None)


class Told:
    """A protocol that notes what it was failed with."""

    def __init__(self) -> None:
        self.errors: list[BaseException] = []

    def set_exception(self, error: BaseException) -> None:
        self.errors.append(error)


async def test_a_plain_answer_that_is_waited_for_is_heard_here_and_all_else_by_the_protocol_while_there_is_one() -> (
    None
):
    heard: list[bytes] = []
    awaited = Awaited(asyncio.get_running_loop(), SimpleNamespace(hear=heard.append))
    awaited.hear(b"unasked")
    for answer in (OK, OK[:10]):
        awaited.expect(bodiless=False)
        awaited.hear(answer)
    awaited.hear(OK[10:])
    taken = awaited.take()
    awaited.protocol = None
    awaited.hear(b"after the end")
    assert heard == [b"unasked", OK[:10], OK[10:]]
    assert taken is not None
    assert taken.body == b"ok"


async def test_who_is_late_is_told_once_and_nobody_after_the_end() -> None:
    told = Told()
    awaited = Awaited(asyncio.get_running_loop(), told)
    awaited.within(0.01)
    assert (awaited.is_timed, awaited.is_watched) == (True, True)
    await when(lambda: told.errors)
    assert [type(each) for each in told.errors] == [UpstreamTimeout]
    assert (awaited.is_timed, awaited.is_watched) == (False, False)
    awaited.within(30)
    awaited.end()
    assert not awaited.is_watched


async def test_who_was_in_time_is_told_nothing_and_the_next_one_has_all_of_his_time() -> None:
    told, loop = Told(), asyncio.get_running_loop()
    awaited = Awaited(loop, told)
    awaited.within(0.02)
    awaited.in_time()
    await when(lambda: not awaited.is_watched)
    assert told.errors == []
    awaited.within(0.02)
    awaited.in_time()
    began = loop.time()
    awaited.within(0.06)
    await when(lambda: told.errors)
    assert loop.time() - began > 0.055
    awaited.end()


async def test_a_connection_with_plain_answers_only_is_quiet_until_somebody_speaks_out_of_turn() -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(2):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(OK)
        speaks.append(writer)
        await reader.read()

    speaks: list[asyncio.StreamWriter] = []
    async with raw_agent(script) as agent, upstream_at(agent.port) as upstream:
        for _ in range(2):
            call, _ = await ask(upstream)
            assert call.body is not None
            call.body.take()
            call.release()
            assert call.protocol.awaited.is_quiet
        speaks[0].write(OK)
        while call.protocol.awaited.is_quiet:
            await beat()
        assert upstream.way.idle() is None


@pytest.mark.parametrize(
    "spoil", [Call.serve_nobody_else, partial(Call.fail, refusal=Overloaded())], ids=["ends", "failed"]
)
async def test_a_connection_that_is_to_end_or_failed_is_not_quiet(spoil: Callable[[Call], None]) -> None:
    async with raw_agent(answering(OK)) as agent, upstream_at(agent.port) as upstream:
        call, _ = await ask(upstream)
        assert call.body is not None
        call.body.take()
        call.release()
        again, _ = await ask(upstream)
        awaited = again.protocol.awaited
        before = awaited.is_quiet
        spoil(again)
        assert (before, awaited.is_quiet) == (True, False)
        again.release()
        assert upstream.way.idle() is None


async def test_an_answer_that_is_not_plain_makes_it_be_looked_at() -> None:
    async with raw_agent(saying(OK[:10], OK[10:])) as agent, upstream_at(agent.port) as upstream:
        call, _ = await ask(upstream)
        assert not call.protocol.awaited.is_quiet
        call.abort()
