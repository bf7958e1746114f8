"""A process to kill: holds and settles as fast as it can, and says what was acknowledged, a line each.

`python -m tests.stores.sqlite.spender FILE NAME SEED`
"""

import asyncio
import os
import random
import sys

from gatewayd.clock import SystemClock
from gatewayd.stores.sqlite.ledger import SqliteLedger, open_ledger
from tests.stores.ledgers import hold, record


def say(*words: object) -> None:
    """One write, so that a line is whole or absent."""
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


async def spend(ledger: SqliteLedger, name: str, chance: random.Random) -> None:
    for number in range(1_000_000):
        units, cost = chance.randint(1, 9), chance.randint(1, 9)
        request = hold(f"{name}-{number}", units=units, cost=cost, limit=0)
        await ledger.hold(request)
        say("held", request.id, cost)
        quantity = chance.randint(0, 9)
        if chance.random() < 0.1:
            say("releasing", request.id, 0)
            await ledger.release(request.id)
            say("released", request.id, 0)
        else:
            await ledger.settle(record(request, quantity))
            say("settled", request.id, quantity)


async def main(path: str, name: str, seed: int) -> None:
    ledger = open_ledger(path, "process", SystemClock())
    await asyncio.gather(*(spend(ledger, f"{name}-{n}", random.Random(seed * 100 + n)) for n in range(8)))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
