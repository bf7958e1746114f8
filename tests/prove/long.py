"""The promises about money at length, on a real PostgreSQL and Valkey: `python -m tests.prove.long`.

Servers come from the wheels that the tests use, and end with this process.
"""

import argparse
import asyncio
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from gatewayd.prove.catalogue import TRIALS, Trial
from gatewayd.prove.conditions import Conditions
from gatewayd.prove.findings import Finding
from gatewayd.prove.proving import prove
from tests.postgres import Server, shared_server
from tests.valkey import Valkey, valkey


@dataclass(frozen=True, slots=True)
class Part:
    """One trial under its own conditions."""

    name: str
    trial: str
    conditions: Conditions


def parts(base: Conditions, rounds: int, kills: int, outage: float, stores: "Stores") -> list[Part]:
    """What `make prove` runs, in order."""
    shared = replace(base, seed=base.seed + 1, ledger=stores.ledger, counters=stores.counters, daemons=2)
    stopped = replace(shared, rounds=1, outage_seconds=outage, database_away=stores.database_away)
    bereft = replace(shared, rounds=20, daemons=3, workers=(2,), counters_away=stores.counters_away)
    return [
        Part("one daemon, SQLite", "quotas", replace(base, rounds=-(-rounds // 2))),
        Part("two daemons, PostgreSQL", "quotas", replace(shared, rounds=rounds // 2)),
        Part("one daemon, SQLite", "kills", replace(base, rounds=-(-kills // 2))),
        Part("two daemons, PostgreSQL", "kills", replace(shared, rounds=kills // 2, workers=(2,))),
        Part(f"PostgreSQL stopped for {outage:g} s", "outage", replace(stopped, workers=(2,))),
        Part("three daemons, Valkey killed", "limits", bereft),
    ]


class Stores:
    """The two servers, running."""

    def __init__(self, database: Server, counters: Valkey) -> None:
        self._database = database
        self._counters = counters
        self.ledger = f"postgresql:{database.space()}"
        self.counters = counters.url

    @asynccontextmanager
    async def database_away(self) -> AsyncIterator[None]:
        """It crashes, and comes back."""
        await asyncio.to_thread(self._database.stop)
        try:
            yield
        finally:
            await asyncio.to_thread(self._database.start)

    @asynccontextmanager
    async def counters_away(self) -> AsyncIterator[None]:
        """It is killed, and comes back having forgotten everything."""
        await asyncio.to_thread(self._counters.kill)
        try:
            yield
        finally:
            await asyncio.to_thread(self._counters.start)


def tell(part: Part, found: Sequence[Finding]) -> None:
    print(f"\n{part.trial}, {part.name}")
    for finding in found:
        print("\n".join(finding.lines), flush=True)


def chosen() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.prove.long", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=1000, help="quotas that 200 callers use up (%(default)s)")
    parser.add_argument("--kills", type=int, default=300, help="kills under load (%(default)s)")
    parser.add_argument("--outage", type=float, default=60.0, help="seconds without PostgreSQL (%(default)s)")
    parser.add_argument("--only", choices=[trial.name for trial in TRIALS], help="this trial only")
    return parser.parse_args()


def main() -> None:
    options, failed = chosen(), False
    trials: dict[str, Trial] = {trial.name: trial for trial in TRIALS}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gatewayd-prove-")))
        stores = Stores(shared_server(), stack.enter_context(valkey()))
        print(f"seed {options.seed}", flush=True)
        base = Conditions(options.seed, folder)
        for part in parts(base, options.rounds, options.kills, options.outage, stores):
            if options.only in (None, part.trial):
                found = list(asyncio.run(prove([trials[part.trial]], part.conditions)))
                tell(part, found)
                failed = failed or not all(finding.passed for finding in found)
    sys.exit(failed)


if __name__ == "__main__":
    main()
