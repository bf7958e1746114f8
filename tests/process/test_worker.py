"""A worker's share, and what it says before it serves; whole workers are in test_supervisor."""

import asyncio

import pytest

from gatewayd.metrics import Sheet
from gatewayd.process.worker import Worker, share_of
from gatewayd.stores.shared.memory import SharedMemory
from tests.clocks import ManualClock
from tests.process.settings import settings


@pytest.mark.parametrize(
    ("most", "workers", "share"), [(100, 1, 100), (100, 4, 25), (10, 4, 2), (2, 4, 1)], ids=lambda each: str(each)
)
def test_connections_are_shared_out_and_every_worker_may_have_one(most: int, workers: int, share: int) -> None:
    whole = settings(f"max_connections = {most}")
    found = share_of(whole, workers)
    assert (found.server.max_connections, found.server.workers) == (share, workers)
    assert share == 1 or workers * share <= most
    assert whole.server.max_connections == most


async def test_a_worker_that_does_not_serve_yet_says_so_and_drains_at_once(clock: ManualClock) -> None:
    memory = SharedMemory.create()
    worker = Worker(settings(), clock, memory, Sheet(), asyncio.Event())
    found = await worker.status()
    assert (found["connections"], found["in_flight"], found["generation"], found["accounts"]) == (0, 0, 0, 0)
    await asyncio.wait_for(worker.drain(), 2)
    memory.close()
