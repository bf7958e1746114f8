"""A process to kill: leases and posts as fast as it can, and says what was acknowledged, a line each.

`python -m tests.stores.sqlite.spender FILE NAME SEED`
"""

import asyncio
import os
import random
import sys

from gatewayd.clock import SystemClock
from gatewayd.model import Account
from gatewayd.stores.base import Batch, LedgerStore
from gatewayd.stores.sqlite.store import open_store
from tests.stores.ledgers import posting, want


def say(*words: object) -> None:
    """One write, so that a line is whole or absent."""
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


async def spend(store: LedgerStore, name: str, chance: random.Random) -> None:
    account = Account(f"user-{chance.randrange(4)}", "api_calls", "2025-11")
    for number in range(1_000_000):
        (grant,) = await store.lease("node-1", [want(account, limit=2**40, most=chance.randint(1, 90))])
        amounts = [chance.randint(0, 9) for _ in range(chance.randint(1, 5))]
        made = [posting(f"{name}-{number}-{n}", account=account, quantity=each) for n, each in enumerate(amounts)]
        say("posting", *(each.id for each in made))
        await store.post("node-1", Batch(made, returned={account: grant.units // 2}))
        say("posted", *(each.id for each in made))


async def main(path: str, name: str, seed: int) -> None:
    store = await open_store(path, "process", SystemClock())
    await asyncio.gather(*(spend(store, f"{name}-{n}", random.Random(seed * 100 + n)) for n in range(8)))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
