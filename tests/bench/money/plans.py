"""From a plan's change to the moment that every worker goes by it, in a daemon that has a great many accounts."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

from gatewayd.stores.open import open_clerk
from tests.agents import raw_agent, talk
from tests.bench import filling
from tests.bench.declare import AsyncRound, Bench, Figure, Measured, at_most, on_a_loop, scaled
from tests.daemons import RunningDaemon, running_daemon
from tests.faults.test_revoked import configured, streaming, token_of
from tests.postgres import shared_server

ACCOUNTS = 300_000
USAGE = b"GET /gateway/v1/usage HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer %b\r\nConnection: close\r\n\r\n"
HEALTH = b"GET /health HTTP/1.1\r\nHost: h\r\n\r\n"
EACH = 8
"""Connections, so that the kernel gives each of the three workers some."""


@on_a_loop
@asynccontextmanager
async def _open(scale: float, database: str) -> AsyncIterator[AsyncRound]:
    with TemporaryDirectory(prefix="bench-") as folder:
        ledger = f"postgresql:{shared_server().space()}" if database == "postgresql" else f"sqlite:{folder}/ledger.db"
        filling.accounts(ledger, scaled(ACCOUNTS, scale, 1_000))
        async with raw_agent(streaming) as agent:
            config = configured(Path(folder), agent, ledger)
            config.write_text(f"{config.read_text()}\n[plans.pro]\nquota = {{ api_calls = 1000 }}\n")
            begun = time.monotonic()
            async with running_daemon(config) as daemon:
                start = time.monotonic() - begun
                plans = count(1)

                async def measure() -> Measured:
                    name = f"user-{next(plans)}"
                    token = token_of(config, name).encode()
                    assert await _goes_by(daemon, token, b'"free"')
                    with _probed(daemon) as waits:
                        with open_clerk(ledger) as clerk:
                            clerk.assign(name, "pro")
                        changed = time.monotonic()
                        while not await _goes_by(daemon, token, b'"pro"'):
                            await asyncio.sleep(0.01)
                        took = time.monotonic() - changed
                        await asyncio.sleep(0.5)  # so that what follows the change is felt too
                    return {"in force": took * 1e3, "stall": max(waits) * 1e3, "start": start}

                yield measure


async def _goes_by(daemon: RunningDaemon, token: bytes, plan: bytes) -> bool:
    answers = await asyncio.gather(*(talk(daemon.port, USAGE % token) for _ in range(EACH)))
    return all(b'"plan":' + plan in answer for answer in answers)


@contextmanager
def _probed(daemon: RunningDaemon) -> Iterator[list[float]]:
    """How long callers wait for a word of the gateway's own meanwhile; each is asked again and again."""
    waits: list[float] = []
    probes = [asyncio.ensure_future(_probe(daemon, waits)) for _ in range(EACH)]
    try:
        yield waits
    finally:
        for each in probes:
            each.cancel()


async def _probe(daemon: RunningDaemon, waits: list[float]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", daemon.port)
    try:
        while True:
            begun = time.monotonic()
            writer.write(HEALTH)
            await reader.readuntil(b"\r\n\r\n")
            await reader.read(4096)
            waits.append(time.monotonic() - begun)
            await asyncio.sleep(0.02)
    finally:
        writer.close()


FIGURES = (
    Figure("in force", "ms", f"after the change of one plan of {ACCOUNTS:,}, at all three workers", at_most(1_000)),
    Figure("stall", "ms", "the longest that a caller waited for /health meanwhile"),
    Figure("start", "s", "from the start of such a daemon to its ready line"),
)
BENCHES = tuple(
    Bench(f"money.plans.{database}", FIGURES, partial(_open, database=database), pinned=False)
    for database in ("sqlite", "postgresql")
)
