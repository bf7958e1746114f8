"""A plain request that waits for nothing but its agent's answer needs no task, and ends as it would with one."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from gatewayd.bell import Hearer
from gatewayd.course import Course, Failed, OnItsWay, Ring
from gatewayd.errors import UpstreamTimeout
from gatewayd.incoming import Asked
from gatewayd.model import Hold, Holding, UsageRecord
from gatewayd.stores.base import Ledger
from tests.agents import RawAgent, raw_agent, read_body
from tests.gateways import RunningGateway, running_gateway
from tests.patience import PATIENCE, when
from tests.proxy.wire import OK, Caller, Heard, calling, chunked, message
from tests.standins import current, swap_stores


class Flight:
    """A gateway before an agent that answers a first request, so that its connection idles, and then when it is let."""

    def __init__(self, gateway: RunningGateway, agent: RawAgent, caller: Caller, may_answer: asyncio.Semaphore) -> None:
        self.gateway = gateway
        self.agent = agent
        self.caller = caller
        self.may_answer = may_answer

    @classmethod
    @asynccontextmanager
    async def begun(cls, tmp_path: Path) -> AsyncIterator["Flight"]:
        may_answer = asyncio.Semaphore(1)

        async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while True:
                await read_body(await reader.readuntil(b"\r\n\r\n"), reader)
                await may_answer.acquire()
                writer.write(OK)

        async with (
            raw_agent(script) as agent,
            running_gateway(tmp_path, agent.url) as gateway,
            calling(gateway) as caller,
        ):
            begun = cls(gateway, agent, caller, may_answer)
            await begun.ask()
            assert (await caller.hear()).status == 200
            yield begun

    async def ask(self, **more: Any) -> None:
        await self.caller.send(message(self.gateway, **more))

    async def fly(self) -> None:
        """Ask, until the agent was asked."""
        heard = sum(map(len, self.agent.received))
        await self.ask()
        await when(lambda: sum(map(len, self.agent.received)) > heard)

    async def land(self) -> Heard:
        self.may_answer.release()
        return await self.caller.hear()

    @property
    def talk(self) -> Any:
        """The conversation of who is being answered."""
        return self.exchange.request.talk

    @property
    def exchange(self) -> Any:
        (exchange,) = self.gateway.daemon._worker._drain.exchanges
        return exchange

    @property
    def awaited(self) -> Any:
        """What the agent's connection waits for."""
        return self.talk.course._inner._call._awaited

    async def between_callbacks(self, *calls: Callable[[], object]) -> list[object]:
        """What the calls gave, made one after the other by the loop and no task."""
        found: asyncio.Future[list[object]] = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(lambda: found.set_result([call() for call in calls]))
        return await found


@pytest.fixture
async def flight(tmp_path: Path) -> AsyncIterator[Flight]:
    async with Flight.begun(tmp_path) as begun:
        yield begun


async def test_from_its_head_to_its_end_a_plain_request_takes_no_step_of_its_connections_task(flight: Flight) -> None:
    await flight.fly()
    talk, until = flight.talk, flight.talk.idle_until
    assert (talk.bell.is_awaited, talk.waiter, talk.is_waiting) == (True, None, False)
    hear = flight.awaited.hear
    (_, *ended) = await flight.between_callbacks(
        lambda: hear(OK), lambda: talk.asked, lambda: talk.course, lambda: talk.bell.is_awaited, lambda: talk.is_waiting
    )
    assert ended == [None, None, True, True]
    assert talk.waiter is talk.bell
    assert talk.idle_until > until
    assert (await flight.caller.hear()).body == b"ok"
    line = (await flight.gateway.log_lines(2))[1]
    assert (line["status"], line["outcome"], line["quantity"]) == (200, "delivered", 1)


async def test_who_has_to_wait_for_a_connection_is_awaited_by_the_task(flight: Flight) -> None:
    await flight.fly()  # which has the one that idled
    async with calling(flight.gateway) as other:
        await other.send(message(flight.gateway))
        await when(lambda: len(flight.agent.received) == 2 and flight.agent.received[1])
        exchanges: list[Any] = list(flight.gateway.daemon._worker._drain.exchanges)
        talks = [each.request.talk for each in exchanges]
        assert sorted(talk.bell.is_awaited for talk in talks) == [False, True]
        flight.may_answer.release()
        flight.may_answer.release()
        assert (await other.hear()).status == (await flight.caller.hear()).status == 200


Happening = Callable[[Flight], object]


def answers(flight: Flight) -> None:
    flight.awaited.hear(OK)


def caller_leaves(flight: Flight) -> None:
    flight.talk.task.cancel()


def is_cut(flight: Flight) -> None:
    flight.gateway.daemon._worker._drain.cut()


def is_revoked(flight: Flight) -> None:
    flight.gateway.daemon._worker._drain.cut_refused(lambda _: True)


def is_late(flight: Flight) -> None:
    flight.awaited.protocol.set_exception(UpstreamTimeout())


@pytest.mark.parametrize(
    ("happen", "status", "code", "outcome", "closed"),
    [
        pytest.param([caller_leaves], 499, "client_closed", "client_closed", True, id="left"),
        pytest.param([caller_leaves, answers], 499, "client_closed", "client_closed", True, id="left, then answered"),
        pytest.param([is_cut], 503, "draining", "failed", True, id="cut"),
        pytest.param([is_cut, answers], 503, "draining", "failed", True, id="cut, then answered"),
        pytest.param([is_revoked, answers], 401, "token_invalid", "failed", True, id="revoked, then answered"),
        pytest.param([is_late], 504, "upstream_timeout", "failed", True, id="late"),
        pytest.param([is_late, answers], 504, "upstream_timeout", "failed", True, id="late, then answered"),
        pytest.param([is_late, is_cut], 503, "draining", "failed", True, id="late, then cut"),
        pytest.param([answers], 200, None, "delivered", False, id="answered"),
    ],
)
async def test_what_comes_first_in_one_turn_of_the_loop_is_what_the_request_comes_to(
    flight: Flight, happen: list[Happening], status: int, code: str | None, outcome: str, closed: bool
) -> None:
    await flight.fly()
    awaited = flight.awaited
    await flight.between_callbacks(*[lambda each=each: each(flight) for each in happen])
    if status != 499:
        assert (await flight.caller.hear()).status == status
    line = (await flight.gateway.log_lines(2))[1]
    assert (line["status"], line["code"], line["outcome"]) == (status, code, outcome)
    _, record = await flight.gateway.records_when(2)
    assert (record["status"], record["outcome"]) == (status, outcome)
    assert (awaited.protocol is None) == closed
    async with calling(flight.gateway) as other:
        flight.may_answer.release()
        flight.may_answer.release()
        await other.send(message(flight.gateway))
        assert (await other.hear()).status == 200


async def test_a_connection_that_was_left_tells_nobody_who_is_answered_after(flight: Flight) -> None:
    await flight.fly()
    awaited, talk = flight.awaited, flight.talk
    await flight.between_callbacks(lambda: is_revoked(flight))
    assert (await flight.caller.hear()).status == 401
    await flight.ask()
    await when(lambda: len(flight.agent.received) == 2 and flight.agent.received[1])
    await flight.between_callbacks(lambda: awaited.come(UpstreamTimeout()))
    assert talk.asked is not None
    flight.may_answer.release()  # for the agent's first connection, which does not know yet that it was closed
    assert (await flight.land()).status == 200


NEXT = {
    "plain": {"body": b"hi", "method": "POST"},
    "parsed": {"fields": ["Transfer-Encoding: chunked"], "body": chunked(b"hi"), "method": "POST"},
}


@pytest.mark.parametrize("after", NEXT.values(), ids=NEXT.keys())
async def test_what_comes_meanwhile_is_answered_next(flight: Flight, after: dict[str, Any]) -> None:
    await flight.fly()
    talk = flight.talk
    await flight.ask(**after)
    await when(lambda: talk.plain is not None or talk.messages)
    assert (await flight.land()).body == b"ok"
    assert (await flight.land()).body == b"ok"
    assert b"hi" in b"".join(flight.agent.received)


@pytest.mark.parametrize("behind", [None, *NEXT.values()], ids=["nothing", *NEXT.keys()])
async def test_a_connection_that_is_to_end_does_so_behind_the_answer(
    flight: Flight, behind: dict[str, Any] | None
) -> None:
    await flight.fly()
    if behind is not None:
        talk = flight.talk
        await flight.ask(**behind)
        await when(lambda: talk.plain is not None or talk.messages)
    flight.exchange.request.protocol.end()
    assert (await flight.land()).body == b"ok"
    assert await flight.caller.gone() == b""


class Waiting:
    """A ledger that holds at once, and whose settlements are waited for."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self.settled = asyncio.Event()
        self.asked = asyncio.Event()

    async def hold(self, hold: Hold) -> Holding:
        return await self._ledger.hold(hold)

    def hold_at_once(self, hold: Hold, now: float) -> Holding | None:
        return self._ledger.hold_at_once(hold, now)

    def release(self, hold_id: str) -> Awaitable[None] | None:
        return self._ledger.release(hold_id)

    def seal(self) -> None:
        self._ledger.seal()

    async def settle(self, record: UsageRecord) -> None:
        self.asked.set()
        await self.settled.wait()
        if (closing := self._ledger.settle(record)) is not None:
            await closing


async def test_an_answer_whose_books_are_waited_for_goes_out_behind_them(tmp_path: Path) -> None:
    async with Flight.begun(tmp_path) as flight:
        ledger = Waiting(current(flight.gateway).stores.ledger)
        swap_stores(flight.gateway, ledger=ledger)
        await flight.fly()
        flight.may_answer.release()
        await asyncio.wait_for(ledger.asked.wait(), PATIENCE)
        exchange = flight.exchange
        assert not exchange.request.talk.bell.is_awaited
        assert (exchange.outcome, exchange.sent) == ("delivered", False)
        ledger.settled.set()
        assert (await flight.caller.hear()).body == b"ok"


async def test_a_course_has_to_be_awaited_unless_it_says_otherwise() -> None:
    course = Course()
    assert not course.follow(Hearer())
    assert course.go_on() is None
    with pytest.raises(NotImplementedError):
        await course
    with pytest.raises(NotImplementedError):
        Ring().begin(Asked)  # type: ignore[arg-type]  # nobody


def test_an_answer_on_its_way_says_whether_another_one_may_follow() -> None:
    answer = OnItsWay(200, True)
    assert (answer.status, answer.keep_alive) == (200, True)


async def test_what_failed_before_it_began_raises_that_where_it_is_awaited() -> None:
    course = Failed(LookupError())
    assert not course.follow(Hearer())
    with pytest.raises(LookupError):
        await course
