"""What a worker says before it serves; whole workers are in test_supervisor."""

import asyncio

from gatewayd.metrics import Sheet
from gatewayd.process.worker import Worker
from gatewayd.stores.shared.memory import SharedMemory
from tests.clocks import ManualClock
from tests.patience import PATIENCE
from tests.process.settings import settings


async def test_a_worker_that_does_not_serve_yet_says_so_and_drains_at_once(clock: ManualClock) -> None:
    memory = SharedMemory.create()
    worker = Worker(settings(), clock, memory, Sheet(), asyncio.Event())
    found = await worker.status()
    assert (found["connections"], found["in_flight"], found["generation"], found["accounts"]) == (0, 0, 0, 0)
    await asyncio.wait_for(worker.drain(), PATIENCE)
    memory.close()
