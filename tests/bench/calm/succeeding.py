"""Upgrades and socket-activated restarts while callers come all the time: whether anybody is refused."""

import asyncio
import os
import signal
import socket
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Final

from tests.agents import answering, raw_agent
from tests.bench.declare import AsyncRound, Bench, Figure, Measured, at_most, on_a_loop, scaled
from tests.daemons import COMMAND, RunningDaemon, environment, gatewayd, running_daemon
from tests.patience import PATIENCE
from tests.process.callers import Callers, calling
from tests.process.reloads import email, says
from tests.process.test_daemon import PASS_SOCKET

UPGRADES: Final = 20
RESTARTS: Final = 50
SERVED: Final = 20  # answers of each daemon before the next one comes
OK: Final = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
TWO: Final = "workers = 2"


@on_a_loop
@asynccontextmanager
async def upgrading(scale: float) -> AsyncIterator[AsyncRound]:
    with TemporaryDirectory(prefix="bench-") as name:
        async with (
            raw_agent(answering(OK)) as agent,
            running_daemon(says(Path(name), email(agent.url), server=TWO)) as daemon,
        ):

            async def measure() -> Measured:
                async with calling(daemon.url) as callers:
                    took = [await _upgraded(daemon) for _ in range(scaled(UPGRADES, scale))]
                return _measured(took, callers.met)

            yield measure


async def _upgraded(daemon: RunningDaemon) -> float:
    """How long it took. Raises RuntimeError if it was refused."""
    began = time.monotonic()
    found = await asyncio.to_thread(gatewayd, "upgrade", "-c", daemon.config)
    if found.returncode:
        raise RuntimeError(found.stderr)
    return time.monotonic() - began


@on_a_loop
@asynccontextmanager
async def restarting(scale: float) -> AsyncIterator[AsyncRound]:
    with TemporaryDirectory(prefix="bench-") as name, socket.create_server(("127.0.0.1", 0), backlog=512) as public:
        url = f"http://127.0.0.1:{public.getsockname()[1]}"
        async with raw_agent(answering(OK)) as agent:
            config = says(Path(name), email(agent.url), listen="systemd:public", server=TWO)

            async def measure() -> Measured:
                turns = scaled(RESTARTS, scale, 2)
                async with calling(url) as callers:
                    took = [await _life(config, public, callers, last=turn == turns) for turn in range(1, turns + 1)]
                return _measured(took, callers.met)

            yield measure


async def _life(config: Path, public: socket.socket, callers: Callers, *, last: bool) -> float:
    """One daemon on the socket, from its start to its end; how long it took until it was ready.

    The last one serves the callers who are there to their end, since nobody comes after it.
    """
    fd = os.dup(public.fileno())
    began = time.monotonic()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", PASS_SOCKET, str(fd), "public"),
        *(*COMMAND, "start", "-c", str(config)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env=environment(),
        pass_fds=[fd],
    )
    os.close(fd)
    assert process.stdout is not None
    if not await process.stdout.readline():
        raise RuntimeError(f"the daemon ended with {await process.wait()}")
    ready = time.monotonic() - began
    await _served(callers)
    if last:
        await callers.leave()
    process.send_signal(signal.SIGTERM)
    if code := await process.wait():
        raise RuntimeError(f"the daemon ended with {code}")
    return ready


async def _served(callers: Callers) -> None:
    enough = callers.met["200"] + SERVED
    async with asyncio.timeout(PATIENCE):
        while callers.met["200"] < enough:
            await asyncio.sleep(0.005)


def _measured(took: list[float], met: Counter[str]) -> Measured:
    return {"median": median(took), "answers": met["200"], "refused": met.total() - met["200"]}


_MET: Final = (
    Figure("answers", "requests", "answered by 200 meanwhile"),
    Figure("refused", "requests", "answered otherwise, refused or reset", at_most(0)),
)
BENCHES: Final = (
    Bench("calm.upgrades", (Figure("median", "s", "`gatewayd upgrade`"), *_MET), upgrading, pinned=False),
    Bench(
        "calm.restarts",
        (Figure("median", "s", "from the start to the ready line, imports included", at_most(0.7)), *_MET),
        restarting,
        pinned=False,
    ),
)
