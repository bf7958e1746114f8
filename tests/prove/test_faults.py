"""Each check is seen to fail: the trial of each fault, small, must count what it breaks."""

import asyncio
from collections.abc import Mapping
from pathlib import Path

import pytest

from gatewayd.prove.catalogue import TRIALS, checks_of
from gatewayd.prove.faults import BY_NAME, FAULTS, Fault
from gatewayd.prove.findings import Finding
from gatewayd.prove.trials import patience
from tests.prove.trying import SMALL

pytestmark = pytest.mark.timeout(180)  # all of them are tried before the first is judged

# A fault, the trial that meets it, and what it counts.
FOUND = {
    "bottomless-lease": ("quotas", "overspent"),
    "hasty-refusal": ("quotas", "refused in error"),
    "lost-journal": ("kills", "missing"),
    "second-posting": ("kills", "invented"),
    "lying-outage": ("outage", "told 402"),
    "forgetful-outage": ("outage", "missing"),
    "forgetful-counter": ("limits", "over the limit"),
    "short-wait": ("patience", "refused in time"),
    "long-wait": ("patience", "let through early"),
    "patched-body": ("endings", "taken for whole"),
    "deaf-gateway": ("departures", "not cancelled"),
    "hasty-reload": ("calm", "broken streams"),
    "hasty-stop": ("calm", "cut off"),
    "shared-fate": ("calm", "broken elsewhere"),
    "kept-lease": ("kills", "left held"),
}
LONG = ("kills", "outage", "patience")
AT_ONCE = 5
"""Most of a trial's time nothing runs, and what has to fail cannot fail for a busy machine."""


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Finding]:
    """What the check of each fault found."""
    turns = asyncio.Semaphore(AT_ONCE)

    async def look_for(fault: Fault, folder: Path) -> Finding:
        async with turns:
            return (await SMALL[FOUND[fault.name][0]].tried(folder, fault.name))[fault.check]

    async def look_for_all() -> list[Finding]:
        waits = [look_for(BY_NAME[name], tmp_path_factory.mktemp("fault")) for name in longest_first]
        return await asyncio.gather(*waits)

    longest_first = sorted(BY_NAME, key=lambda name: FOUND[name][0] not in LONG)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(patience, "RATES", (25,))
        return dict(zip(longest_first, asyncio.run(look_for_all()), strict=True))


@pytest.mark.parametrize("name", BY_NAME)
def test_a_fault_is_found_by_its_check(found: Mapping[str, Finding], name: str) -> None:
    wrong = FOUND[name][1]
    assert not found[name].passed, found[name].figure
    assert found[name].counts[wrong] > 0, found[name].reasons
    assert any(reason.startswith(f"{wrong}: ") for reason in found[name].reasons)


def test_every_check_has_a_fault() -> None:
    assert {fault.check for fault in FAULTS} == {check.name for check in checks_of(TRIALS)}
    assert len(BY_NAME) == len(FAULTS)
