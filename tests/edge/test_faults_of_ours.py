"""A fault of ours ends the connection that it is on, and no other, with and without a step of the connection's task."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from gatewayd.course import Ring
from gatewayd.policies import access_log
from tests.agents import RawAgent, answering, raw_agent
from tests.gateways import RunningGateway, running_gateway
from tests.patience import when
from tests.proxy.wire import OK, Caller, calling, chunked, message

WAYS: dict[str, dict[str, Any]] = {
    "without its task": {},
    "with its task": {"method": "POST", "fields": ["Transfer-Encoding: chunked"], "body": chunked(b"hi")},
}
Way = dict[str, Any]
way = pytest.mark.parametrize("way", WAYS.values(), ids=WAYS.keys())


class StopError(BaseException):
    """What only the outermost may catch."""


def fail() -> float:
    raise RuntimeError("a fault")


def stop(_exchange: object) -> None:
    raise StopError


class Case:
    """A caller who was answered once by an agent whose connection idles now."""

    def __init__(self, agent: RawAgent, gateway: RunningGateway, caller: Caller, caplog: Any) -> None:
        self.agent = agent
        self.gateway = gateway
        self.caller = caller
        self.caplog = caplog
        self.worker: Any = gateway.daemon._worker
        (connection,) = self.worker.connections
        self.talk: Any = connection.talk

    async def ask(self, way: Way) -> None:
        await self.caller.send(message(self.gateway, **way))

    async def ends(self) -> bytes:
        """What else comes to the caller; nobody is counted any more then, and others are served as before."""
        rest = await self.caller.gone()
        await when(lambda: self.worker._drain.in_flight == 0 and self.talk.protocol is None)
        assert (self.talk.asked, self.talk.course, self.talk.is_busy) == (None, None, False)
        async with calling(self.gateway) as other:
            for way in WAYS.values():
                await other.send(message(self.gateway, **way))
                assert (await other.hear()).status == 200
            await when(lambda: self.worker._runner.outbox.speakers == 0)
        return rest

    @property
    def told(self) -> list[str]:
        return [each.getMessage() for each in self.caplog.records if each.levelname == "ERROR"]


@pytest.fixture
async def case(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> AsyncIterator[Case]:
    async with (
        raw_agent(answering(OK)) as agent,
        running_gateway(tmp_path, agent.url) as gateway,
        calling(gateway) as caller,
    ):
        await caller.send(message(gateway))
        assert (await caller.hear()).status == 200
        yield Case(agent, gateway, caller, caplog)


@way
async def test_a_fault_behind_an_answer_ends_the_connection_behind_it_and_is_told(
    case: Case, way: Way, monkeypatch: pytest.MonkeyPatch
) -> None:
    def spoil(exchange: Any) -> None:
        exchange.leave = fail
        monkeypatch.undo()

    monkeypatch.setattr(access_log._reporters, "_found", (spoil,))
    await case.ask(way)
    assert (await case.caller.hear()).body == b"ok"
    assert await case.ends() == b""  # no other answer, of which nobody would know to what
    assert case.told == ["a connection was closed by an error of ours"]
    assert len(case.agent.received) == 1
    assert {record["outcome"] for record in await case.gateway.records_when(4)} == {"delivered"}


@way
async def test_what_nobody_catches_behind_an_answer_ends_that_connection_only(
    case: Case, way: Way, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access_log._reporters, "_found", (lambda _: monkeypatch.undo(), stop))
    await case.ask(way)
    assert (await case.caller.hear()).body == b"ok"
    assert await case.ends() == b""
    assert len(case.agent.received) == 1


@way
async def test_a_fault_between_two_requests_ends_the_connection_and_is_told(case: Case, way: Way) -> None:
    case.talk.now = fail
    await case.ask(way)
    assert (await case.caller.hear()).body == b"ok"
    assert await case.ends() == b""
    assert case.told == ["a connection was closed by an error of ours"]
    assert len(case.agent.received) == 1


async def test_a_fault_at_a_requests_beginning_is_answered_as_one_and_told(case: Case) -> None:
    case.talk.ring = Ring()  # which begins nothing
    await case.ask({})
    heard = await case.caller.hear()
    assert (heard.status, heard.closes) == (500, True)
    case.caller.writer.close()
    assert await case.ends() == b""
    assert case.told == ["a request failed outside the ring of policies"]


@way
async def test_a_request_that_came_just_before_its_connection_is_to_end_is_answered(case: Case, way: Way) -> None:
    connection, data = case.talk.protocol, message(case.gateway, **way)

    def come() -> None:
        connection.data_received(data)
        connection.end()

    asyncio.get_running_loop().call_soon(come)
    assert (await case.caller.hear()).body == b"ok"
    assert await case.ends() == b""


@way
async def test_who_waited_for_an_answer_in_vain_spoils_nothing(case: Case, way: Way) -> None:
    leaver = case.talk.leaver = asyncio.get_running_loop().create_future()
    leaver.cancel()
    for _ in range(2):
        await case.ask(way)
        assert (await case.caller.hear()).body == b"ok"
    assert (case.told, len(case.agent.received)) == ([], 1)
