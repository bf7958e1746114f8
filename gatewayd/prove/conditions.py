"""Under which conditions the promises are tried."""

import random
import secrets
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

MEMORY: Final = "memory:"

Outage = Callable[[], AbstractAsyncContextManager[None]]


@dataclass(frozen=True, slots=True)
class Conditions:
    """What one run of trials is given. `folder` is where all files go.

    An empty `ledger` is an SQLite file for each trial. `rounds` replaces every trial's own number of them, unless
    that is larger and `at_least_usual`. `run` is in every user's name: a ledger may be used again. `database_away`
    and `counters_away` take the servers away for as long as their `with` lasts; without them the trials do it as
    well as they can from outside. `announce` is told the name of each trial that begins.
    """

    seed: int
    folder: Path
    rounds: int | None = None
    at_least_usual: bool = False
    workers: tuple[int, ...] = (1, 2, 4)
    daemons: int = 1
    ledger: str = field(default="", repr=False)
    counters: str = field(default=MEMORY, repr=False)
    sabotage: str = ""
    run: str = field(default_factory=lambda: secrets.token_hex(4))
    outage_seconds: float = 2.0
    database_away: Outage | None = None
    counters_away: Outage | None = None
    announce: Callable[[str], object] = lambda trial: None  # noqa: ARG005

    def rounds_of(self, usual: int) -> int:
        """How many rounds a trial plays that usually plays so many."""
        asked = self.rounds or usual
        return max(asked, usual) if self.at_least_usual else asked

    def chance(self, trial: str) -> random.Random:
        """The same for the same seed, whatever other trials do."""
        return random.Random(f"{self.seed} {trial}")  # noqa: S311  # chance that can be repeated, not secrecy
