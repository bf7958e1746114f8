"""A pause of the process that judges is nobody's fault."""

import asyncio
import time

import pytest

from gatewayd.prove.pauses import BEAT_SECONDS, NOTICED, Pauses, watched


@pytest.mark.parametrize(
    ("since", "until", "awake"),
    [(0.0, 10.0, 6.0), (0.0, 2.0, 2.0), (0.0, 4.0, 3.0), (4.0, 5.0, 0.0), (5.0, 8.5, 2.0), (7.0, 7.5, 0.5)],
)
def test_who_stood_still_saw_nothing_late(since: float, until: float, awake: float) -> None:
    pauses = Pauses()
    pauses.note(3.0, 6.0)
    pauses.note(8.0, 9.0)
    assert pauses.awake(since, until) == awake


async def test_a_pause_is_noticed_while_it_is_watched_for() -> None:
    began = time.monotonic()
    async with watched() as pauses:
        await asyncio.sleep(0)
        time.sleep(BEAT_SECONDS + NOTICED + 0.1)  # the process stands still
        await asyncio.sleep(BEAT_SECONDS)
    ended = time.monotonic()
    assert pauses.awake(began, ended) <= ended - began - NOTICED
