"""One timer for all of a client's calls; the loop's clock is set by hand."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest
from gatewayd_sdk._asyncio.deadlines import Deadlines


class Loop(asyncio.SelectorEventLoop):
    """A loop of which the time passes when it is told so."""

    now = 1000.0

    def time(self) -> float:
        return self.now


def on_a_clock(scenario: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner(loop_factory=Loop) as runner:
        runner.run(scenario)


async def passes(seconds: float) -> None:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, Loop)
    loop.now += seconds
    for _ in range(10):
        await asyncio.sleep(0)


def test_each_call_ends_at_its_own_time() -> None:
    async def scenario() -> None:
        deadlines = Deadlines(asyncio.get_running_loop())
        wait = asyncio.Event().wait
        late = asyncio.create_task(deadlines.within(10, wait()))
        await passes(0)
        early = asyncio.create_task(deadlines.within(5, wait()))
        await passes(0)
        await passes(4.9)
        assert not early.done()
        await passes(0.2)
        assert isinstance(early.exception(), TimeoutError)
        assert not late.done()
        await passes(5)
        assert isinstance(late.exception(), TimeoutError)

    on_a_clock(scenario())


def test_a_call_in_time_gives_what_it_gives_and_costs_no_timer() -> None:
    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        deadlines = Deadlines(loop)
        for _ in range(50):
            assert await deadlines.within(5, asyncio.sleep(0, "done")) == "done"
        assert await deadlines.within(None, asyncio.sleep(0, "done")) == "done"
        assert len(loop._scheduled) == 1  # type: ignore[attr-defined]
        await passes(6)
        assert not loop._scheduled  # type: ignore[attr-defined]

    on_a_clock(scenario())


def test_who_cancels_a_call_is_not_told_of_a_timeout() -> None:
    async def scenario() -> None:
        deadlines = Deadlines(asyncio.get_running_loop())
        call = asyncio.create_task(deadlines.within(5, asyncio.Event().wait()))
        await passes(0)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call

    on_a_clock(scenario())


def test_nothing_is_set_once_it_is_closed() -> None:
    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        deadlines = Deadlines(loop)
        await deadlines.within(5, asyncio.sleep(0))
        deadlines.close()
        assert all(handle.cancelled() for handle in loop._scheduled)  # type: ignore[attr-defined]

    on_a_clock(scenario())
