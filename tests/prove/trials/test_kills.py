from pathlib import Path

from gatewayd.prove.trials.kills import VICTIMS
from tests.prove.trying import SMALL, assert_kept


async def test_no_record_is_lost_or_doubled_by_kills(tmp_path: Path) -> None:
    findings = await SMALL["kills"].tried(tmp_path)
    assert_kept(findings)
    assert findings["records"].counts["kills"] == SMALL["kills"].rounds


def test_who_may_die_is_everybody() -> None:
    assert set(VICTIMS) == {"worker", "bookkeeper", "children", "daemon"}
