"""All of it: the trials one after the other, whatever becomes of each."""

from collections.abc import Sequence

from gatewayd.errors import GatewayError
from gatewayd.prove.catalogue import Trial, checks_of
from gatewayd.prove.conditions import Conditions
from gatewayd.prove.findings import Findings


async def prove(trials: Sequence[Trial], conditions: Conditions) -> Findings:
    """What was found for every check that one of them tells about."""
    findings = Findings(checks_of(trials))
    for trial in trials:
        conditions.announce(trial.name)
        await _try(trial, conditions, findings)
    return findings


async def _try(trial: Trial, conditions: Conditions, findings: Findings) -> None:
    """A trial that could not be carried out proved nothing."""
    try:
        await trial.run(conditions, findings)
    except (GatewayError, OSError, EOFError) as error:
        for check in trial.tells:
            findings[check.name].failed(f"the trial of {trial.name} could not be carried out: {error}")
