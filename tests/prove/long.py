"""The promises about money at length, on a real PostgreSQL and Valkey: `python -m tests.prove.long`.

Servers come from the wheels that the tests use, and end with this process. `--slice 1/8` is an eighth of all rounds and
kills, on seeds of its own, so that all eight add up to the whole without a quarter of an hour in one piece.
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


@dataclass(frozen=True, slots=True)
class Slice:
    """One of `count` like pieces of a run; what cannot be cut (an outage of so many seconds) is in the first."""

    number: int = 1
    count: int = 1

    @classmethod
    def read(cls, text: str) -> "Slice":
        """Raises ValueError unless it is written like 2/8."""
        number, count = map(int, text.split("/"))
        if not 0 < number <= count:
            raise ValueError(text)
        return cls(number, count)

    def of(self, total: int) -> int:
        """So many of them are in this piece; all pieces together have all."""
        return total * self.number // self.count - total * (self.number - 1) // self.count

    def seed(self, seed: int) -> int:
        """Another one for each piece, and the run's own if it is in one."""
        return seed + 1_000 * (self.number - 1)


def parts(base: Conditions, asked: argparse.Namespace, stores: "Stores") -> list[Part]:
    """What `make prove` runs, in order."""
    piece: Slice = asked.slice
    shared = replace(base, seed=base.seed + 1, ledger=stores.ledger, counters=stores.counters, daemons=2)
    stopped = replace(shared, rounds=1, outage_seconds=asked.outage, database_away=stores.database_away, workers=(2,))
    bereft = replace(shared, daemons=3, workers=(2,), counters_away=stores.counters_away)
    half = replace(shared, rounds=piece.of(asked.rounds // 2))
    found = [
        Part("one daemon, SQLite", "quotas", replace(base, rounds=piece.of(-(-asked.rounds // 2)))),
        Part("two daemons, PostgreSQL", "quotas", half),
        Part("one daemon, SQLite", "kills", replace(base, rounds=piece.of(-(-asked.kills // 2)))),
        Part("two daemons, PostgreSQL", "kills", replace(half, rounds=piece.of(asked.kills // 2), workers=(2,))),
        Part("three daemons, Valkey killed", "limits", replace(bereft, rounds=piece.of(20))),
        Part("one daemon, SQLite", "calm", replace(base, rounds=piece.of(200))),
    ]
    if piece.number == 1:
        found.append(Part(f"PostgreSQL stopped for {asked.outage:g} s", "outage", stopped))
    return [part for part in found if part.conditions.rounds and asked.only in (None, part.trial)]


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
    parser.add_argument("--slice", type=Slice.read, default=Slice(), metavar="K/N", help="the Kth of N like pieces")
    return parser.parse_args()


def main() -> None:
    options, failed = chosen(), False
    seed = options.slice.seed(options.seed)
    trials: dict[str, Trial] = {trial.name: trial for trial in TRIALS}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gatewayd-prove-")))
        stores = Stores(shared_server(), stack.enter_context(valkey()))
        print(f"seed {seed}", flush=True)
        for part in parts(Conditions(seed, folder), options, stores):
            found = list(asyncio.run(prove([trials[part.trial]], part.conditions)))
            tell(part, found)
            failed = failed or not all(finding.passed for finding in found)
    sys.exit(failed)


if __name__ == "__main__":
    main()
