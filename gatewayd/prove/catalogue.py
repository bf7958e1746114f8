"""Every trial, and the checks that it tells about."""

from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Final

from gatewayd.prove.books import DRIFT
from gatewayd.prove.conditions import Conditions
from gatewayd.prove.findings import Check, Findings
from gatewayd.prove.trials import calm, departures, endings, kills, limits, outage, patience, quotas

Run = Callable[[Conditions, Findings], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Trial:
    """`run` adds to the findings of the checks that it `tells` about. Raises what a stage raises."""

    name: str
    tells: tuple[Check, ...]
    run: Run


TRIALS: Final = (
    Trial(quotas.NAME, (quotas.OVERSPEND, quotas.FALSE_REFUSALS, DRIFT), quotas.run),
    Trial(kills.NAME, (kills.RECORDS, quotas.OVERSPEND, DRIFT), kills.run),
    Trial(outage.NAME, (outage.OUTAGE, DRIFT), outage.run),
    Trial(limits.NAME, (limits.LIMITS, DRIFT), limits.run),
    Trial(patience.NAME, (patience.RETRY_AFTER, DRIFT), patience.run),
    Trial(endings.NAME, (endings.BROKEN_BODY, DRIFT), endings.run),
    Trial(departures.NAME, (departures.DEPARTURE, DRIFT), departures.run),
    Trial(calm.NAME, (calm.RELOAD, calm.DRAIN, calm.DEATH, DRIFT), calm.run),
)


def checks_of(trials: Sequence[Trial]) -> list[Check]:
    """What they tell about, each once; last what all of them do."""
    told = dict.fromkeys(check for trial in trials for check in trial.tells)
    return sorted(told, key=lambda check: check is DRIFT)


def trials_for(names: Collection[str]) -> list[Trial]:
    """Those that tell about any of these checks; all of them, if none is named."""
    return [trial for trial in TRIALS if not names or any(check.name in names for check in trial.tells)]
