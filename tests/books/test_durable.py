"""Flushes are shared, and one that failed is known to all who waited for it."""

import asyncio
import threading

import pytest

from gatewayd.books.durable import Flusher
from gatewayd.errors import StoreError


async def test_who_comes_while_a_flush_runs_waits_for_the_next() -> None:
    go, runs = threading.Event(), 0

    def flush() -> None:
        nonlocal runs
        go.wait(5)
        runs += 1

    flusher = Flusher(flush)
    first = flusher.flushed()
    await asyncio.sleep(0)
    second, third = flusher.flushed(), flusher.flushed()
    assert second is third
    assert second is not first
    go.set()
    await asyncio.gather(first, second)
    await flusher.close()
    assert runs == 2


async def test_a_flush_that_failed_is_an_error_and_the_next_may_succeed() -> None:
    faults = [StoreError("the disk is gone")]

    def flush() -> None:
        if faults:
            raise faults.pop()

    flusher = Flusher(flush)
    with pytest.raises(StoreError, match="the disk is gone"):
        await flusher.flushed()
    await flusher.flushed()
    await flusher.close()
