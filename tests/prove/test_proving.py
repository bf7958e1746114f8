from dataclasses import replace
from pathlib import Path

import pytest

from gatewayd.errors import StoreError
from gatewayd.prove.catalogue import Trial
from gatewayd.prove.conditions import Conditions
from gatewayd.prove.daemon import DaemonFailed
from gatewayd.prove.findings import Check, Findings
from gatewayd.prove.proving import prove

ONE, TWO = (Check(name, "", wrongs=("wrong",), needs=("tries",)) for name in ("one", "two"))


async def well(_: Conditions, findings: Findings) -> None:
    findings["one"].count("tries")


async def test_every_trial_adds_to_what_is_found_and_is_announced(tmp_path: Path) -> None:
    announced: list[str] = []
    conditions = replace(Conditions(1, tmp_path), announce=announced.append)
    findings = await prove([Trial("first", (ONE,), well), Trial("second", (ONE,), well)], conditions)
    assert findings["one"].counts["tries"] == 2
    assert findings["one"].passed
    assert announced == ["first", "second"]


@pytest.mark.parametrize("error", [DaemonFailed("no"), StoreError("no"), ConnectionError("no"), EOFError("no")])
async def test_a_trial_that_could_not_be_carried_out_proved_nothing_and_the_others_go_on(
    tmp_path: Path, error: Exception
) -> None:
    async def ill(_: Conditions, findings: Findings) -> None:
        raise error

    findings = await prove([Trial("ill", (ONE, TWO), ill), Trial("well", (ONE,), well)], Conditions(1, tmp_path))
    for name in ("one", "two"):
        assert findings[name].reasons == ["the trial of ill could not be carried out: no"]
        assert not findings[name].passed
    assert findings["one"].counts["tries"] == 1
