"""How late a loop was, seen by itself."""

import asyncio
import time

from gatewayd.process.lag import PERIOD, Lag


async def test_a_loop_that_was_kept_busy_says_how_late_it_was() -> None:
    lag = Lag()
    time.sleep(PERIOD + 0.1)  # what nobody should do
    assert lag.worst >= 0.1
    await asyncio.sleep(0)
    assert lag.worst >= 0.1, "and goes on to say it for a while"
    lag.stop()


async def test_an_idle_loop_is_not_late_before_its_time() -> None:
    lag = Lag()
    assert lag.worst == 0.0
    lag.stop()
