"""Reloads, a stop and a death under load; that each check can fail is in test_faults."""

from pathlib import Path

from tests.prove.trying import SMALL, assert_kept


async def test_reloads_a_stop_and_a_death_harm_nobody_else(tmp_path: Path) -> None:
    findings = await SMALL["calm"].tried(tmp_path)
    assert_kept(findings)
    assert findings["reload"].counts["reloads"] == 4
    assert (findings["drain"].counts["stops"], findings["worker-death"].counts["deaths"]) == (1, 1)
