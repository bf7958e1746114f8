"""Trials made small: what is needed to see each check pass, and fail with each of its faults."""

from dataclasses import dataclass, replace
from pathlib import Path

from gatewayd.prove.catalogue import TRIALS
from gatewayd.prove.conditions import Conditions
from gatewayd.prove.findings import Findings
from gatewayd.prove.proving import prove

TRIAL = {trial.name: trial for trial in TRIALS}


@dataclass(frozen=True)
class Small:
    """So many rounds of a trial with a seed that is known to bring out its faults; enough for its checks to pass."""

    trial: str
    rounds: int
    seed: int = 1
    workers: int = 2

    async def tried(self, folder: Path, sabotage: str = "") -> Findings:
        """What was found."""
        away = 2.0 if sabotage else 1.0  # what is tried again when the ledger is back is not lost yet
        conditions = Conditions(self.seed, folder, rounds=self.rounds, workers=(self.workers,), outage_seconds=away)
        return await tried(self.trial, replace(conditions, sabotage=sabotage))


async def tried(trial: str, conditions: Conditions) -> Findings:
    """What was found by the trial of this name."""
    return await prove([TRIAL[trial]], conditions)


SMALL = {
    "quotas": Small("quotas", 5, seed=74),
    "kills": Small("kills", 4, seed=358),
    "outage": Small("outage", 1),
    "limits": Small("limits", 2),
    "patience": Small("patience", 4),
    "endings": Small("endings", 1),
    "departures": Small("departures", 1),
    "calm": Small("calm", 4, seed=3),
}


def assert_kept(findings: Findings) -> None:
    """Every check has passed, and says why if not."""
    broken = {found.check.name: found.reasons for found in findings if not found.passed}
    assert not broken, broken
