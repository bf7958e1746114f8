"""What a request costs when two workers share the callers, beside one that has them all."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from gatewayd.process.control import inquire, socket_path
from tests.agents import answering, raw_agent
from tests.bench import machine
from tests.bench.calm.reloading import OK, PLENTY
from tests.bench.declare import AsyncRound, Bench, Figure, Measured, Ratio, at_most, on_a_loop
from tests.daemons import running_daemon
from tests.process.reloads import bearer, email, says

SECONDS: Final = 6.0
WARM_UP: Final = 1.0
CONNECTIONS: Final = 32


async def asked(port: int, seconds: float) -> int:
    """How many requests were answered on all connections, one after the other on each."""
    token = bearer()["Authorization"]
    request = f"GET /api/email/x HTTP/1.1\r\nHost: a\r\nAuthorization: {token}\r\n\r\n".encode()
    end = time.monotonic() + seconds
    return sum(await asyncio.gather(*(_one(port, request, end) for _ in range(CONNECTIONS))))


async def _one(port: int, request: bytes, end: float) -> int:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    count = 0
    while not count or time.monotonic() < end:
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200 "):
            raise RuntimeError(head.decode())
        await reader.readexactly(2)
        count += 1
    writer.close()
    return count


@on_a_loop
@asynccontextmanager
async def opened(scale: float, *, workers: int) -> AsyncIterator[AsyncRound]:
    with TemporaryDirectory(prefix="bench-") as name:
        async with raw_agent(answering(OK)) as agent:
            config = says(Path(name), email(agent.url), server=f"workers = {workers}", general=PLENTY)
            async with running_daemon(config) as daemon:
                status = await inquire(socket_path(Path(name)), "status")
                pids = [each["pid"] for each in status["workers"]]
                await asked(daemon.port, WARM_UP * scale)

                async def measure() -> Measured:
                    before = sum(map(machine.cpu_seconds, pids))
                    count = await asked(daemon.port, SECONDS * scale)
                    return {"cpu": (sum(map(machine.cpu_seconds, pids)) - before) / count * 1e6}

                yield measure


BENCHES: Final = tuple(
    Bench(
        f"calm.workers_{count}",
        (Figure("cpu", "µs", "a request's CPU in all workers together"),),
        partial(opened, workers=count),
        pinned=False,
    )
    for count in (1, 2)
)
RATIOS: Final = (
    Ratio(
        "calm.workers_2_to_1",
        "a request's CPU with two workers against one",
        "calm.workers_2.cpu",
        "calm.workers_1.cpu",
        at_most(1.1),
    ),
)
