"""Who waits for a bell goes on as it would from a future, but for `ring`, which takes no turn of the loop."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextvars import ContextVar
from typing import cast

import pytest

from gatewayd.bell import Bell, is_stepping

_SAID: ContextVar[str] = ContextVar("said", default="nothing")


class Waiting:
    """A task that waits for its bell again and again, and what came of each time."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.bell = Bell(self.loop)
        self.heard: list[object] = []
        self.over = False
        self.task = self.loop.create_task(self._wait())

    async def _wait(self) -> None:
        _SAID.set("by the task")
        while not self.over:
            self.bell.arm()
            try:
                await self.bell
            except (OSError, asyncio.CancelledError) as error:
                self.heard.append(type(error))
            else:
                self.heard.append(_SAID.get())

    async def between_callbacks(self, call: Callable[[], object]) -> list[object]:
        """What was heard when `call`, made by the loop and no task, had returned."""
        found: asyncio.Future[list[object]] = self.loop.create_future()

        def now() -> None:
            call()
            found.set_result(list(self.heard))

        self.loop.call_soon(now)
        return await found


@pytest.fixture
async def waiting() -> AsyncIterator[Waiting]:
    found = Waiting()
    await asyncio.sleep(0)
    yield found
    found.over = True
    found.bell.set_result(None)
    await found.task


async def test_who_waits_goes_on_before_ring_returns_each_time(waiting: Waiting) -> None:
    for number in range(1, 4):
        assert await waiting.between_callbacks(waiting.bell.ring) == ["by the task"] * number


async def test_a_task_that_rings_is_not_interrupted(waiting: Waiting) -> None:
    waiting.bell.ring()
    assert waiting.heard == []
    await asyncio.sleep(0)
    assert waiting.heard == ["by the task"]


async def test_what_a_future_is_told_wakes_in_the_next_turn(waiting: Waiting) -> None:
    assert asyncio.isfuture(cast("object", waiting.bell))
    assert await waiting.between_callbacks(lambda: waiting.bell.set_result(None)) == []
    assert waiting.heard == ["by the task"]
    assert await waiting.between_callbacks(lambda: waiting.bell.set_exception(OSError())) == ["by the task"]
    assert waiting.heard == ["by the task", OSError]


async def test_it_wakes_once(waiting: Waiting) -> None:
    def all_at_once() -> None:
        waiting.bell.set_result(None)
        assert waiting.bell.done()
        waiting.bell.ring()
        waiting.bell.set_result(None)
        waiting.bell.set_exception(OSError())
        assert not waiting.bell.cancel()

    await waiting.between_callbacks(all_at_once)
    await asyncio.sleep(0)
    assert waiting.heard == ["by the task"]


async def test_its_task_can_be_cancelled_while_it_waits(waiting: Waiting) -> None:
    assert waiting.task.cancel()
    waiting.bell.ring()
    await asyncio.sleep(0)
    assert waiting.heard == [asyncio.CancelledError]
    assert await waiting.between_callbacks(waiting.bell.ring) == [asyncio.CancelledError, "by the task"]


async def test_its_task_can_be_cancelled_between_its_being_rung_and_its_going_on(waiting: Waiting) -> None:
    waiting.bell.ring()
    assert waiting.task.cancel()
    await asyncio.sleep(0)
    assert waiting.heard == [asyncio.CancelledError]


async def test_a_timeout_ends_the_waiting() -> None:
    bell = Bell(asyncio.get_running_loop())
    bell.arm()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await bell


async def test_what_was_rung_before_it_was_awaited_is_not_waited_for() -> None:
    bell = Bell(asyncio.get_running_loop())
    bell.ring()
    bell.arm()
    bell.set_result(None)
    await bell
    bell.arm()
    bell.ring()  # nobody waits, so nobody hears it
    assert not bell.done()


async def test_it_belongs_to_its_loop() -> None:
    loop = asyncio.get_running_loop()
    assert Bell(loop).get_loop() is loop


async def test_whether_a_task_takes_a_step_is_looked_up_where_asyncio_does(waiting: Waiting) -> None:
    loop = asyncio.get_running_loop()
    assert is_stepping(loop)
    assert asyncio.current_task() is not None
    seen: list[tuple[bool, object]] = []
    await waiting.between_callbacks(lambda: seen.append((is_stepping(loop), asyncio.current_task())))
    assert seen == [(False, None)]
