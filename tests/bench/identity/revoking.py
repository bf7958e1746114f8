"""From the revocation to the last byte of what the revoked caller had open, on three workers."""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from gatewayd.model import Revocation
from gatewayd.stores.open import open_clerk
from tests.bench.declare import AsyncRound, Bench, Figure, Measured, at_most, on_a_loop, scaled
from tests.bench.identity.standing import standing
from tests.daemons import running_daemon
from tests.faults.test_revoked import UPGRADE, configured, opened, statuses, streaming, token_of
from tests.postgres import shared_server

STREAMS = 60


@on_a_loop
@asynccontextmanager
async def _open(scale: float, database: str) -> AsyncIterator[AsyncRound]:
    count = scaled(STREAMS, scale, 12)
    async with standing(streaming) as (folder, agent):
        ledger = f"postgresql:{shared_server().space()}" if database == "postgresql" else f"sqlite:{folder}/ledger.db"
        config = configured(folder, agent, ledger)
        async with running_daemon(config) as daemon:
            numbers = itertools.count()

            async def measure() -> Measured:
                user = f"user-{next(numbers)}"
                token = token_of(config, user)
                async with (
                    opened(daemon, token, count=count // 2) as events,
                    opened(daemon, token, UPGRADE, count=count // 2) as sockets,
                ):
                    with open_clerk(ledger) as clerk:
                        clerk.revoke(Revocation("user", user, time.time()))
                    began = time.monotonic()
                    await asyncio.wait([each.ended for each in (*events, *sockets)])
                    ended = time.monotonic() - began
                    assert await statuses(daemon, token, 6) == {b"401"}
                    return {"last byte": ended * 1e3}

            yield measure


FIGURES = (Figure("last byte", "ms", f"of {STREAMS} event streams and WebSockets", at_most(1_000)),)
BENCHES = tuple(
    Bench(f"identity.revoking.{database}", FIGURES, partial(_open, database=database), pinned=False)
    for database in ("sqlite", "postgresql")
)
