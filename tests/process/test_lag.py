"""How late a loop was, seen by itself."""

import asyncio

import pytest

from gatewayd.process.lag import PERIOD, Lag


async def test_a_loop_that_was_kept_busy_says_how_late_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    lag, loop = Lag(), asyncio.get_running_loop()
    late = loop.time() + PERIOD + 0.1  # after what nobody should do
    monkeypatch.setattr(loop, "time", lambda: late)
    assert lag.worst >= 0.1
    while lag._due <= late:  # until it has looked
        await asyncio.sleep(0)
    assert lag.worst >= 0.1, "and goes on to say it for a while"
    lag.stop()


async def test_an_idle_loop_is_not_late_before_its_time() -> None:
    lag = Lag()
    assert lag.worst == 0.0
    lag.stop()
