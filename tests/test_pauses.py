"""The loop of the tests: time passes in it as long as it runs, and not while it stands still."""

import asyncio
import time
from types import SimpleNamespace

import pytest

from tests import pauses
from tests.pauses import STEP_SECONDS, Calm, CalmClock, skip


def test_a_pause_is_no_longer_than_a_step_wherever_it_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    passed = [0.0]
    monkeypatch.setattr(pauses, "time", SimpleNamespace(monotonic=lambda: passed[0]))
    calm = Calm()
    began = calm.time()
    passed[0] += 100
    assert calm.time() - began == STEP_SECONDS, "in the middle of a callback"
    calm.select(0)
    assert calm.time() - began == STEP_SECONDS
    passed[0] += STEP_SECONDS / 2
    assert calm.time() - began == pytest.approx(STEP_SECONDS * 1.5), "what takes less counts as it is"
    calm.close()


async def test_waiting_takes_its_time_and_what_is_skipped_is_due_at_once() -> None:
    loop, began, clock = asyncio.get_running_loop(), time.monotonic(), CalmClock()
    before = clock.monotonic()
    await asyncio.sleep(STEP_SECONDS * 2.5)
    assert time.monotonic() - began >= STEP_SECONDS * 2.5
    assert clock.monotonic() - before >= STEP_SECONDS * 2.5
    due = asyncio.Event()
    loop.call_later(1_000_000, due.set)
    skip(1_000_000)
    await due.wait()
