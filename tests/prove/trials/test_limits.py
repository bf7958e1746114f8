from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from gatewayd.prove.caller import Answer
from gatewayd.prove.findings import Finding
from gatewayd.prove.stage import Stage
from gatewayd.prove.trials.limits import LIMITS, Crowd
from tests.prove.records import answer, wrongs
from tests.prove.trying import SMALL, assert_kept


async def test_a_rate_lets_its_burst_through_and_no_more_though_a_worker_dies(tmp_path: Path) -> None:
    findings = await SMALL["limits"].tried(tmp_path)
    assert_kept(findings)
    assert findings["limits"].counts["limits"] == 2


@pytest.mark.parametrize(
    ("visits", "troubled", "answers", "wrong"),
    [
        pytest.param(7, False, [answer(429)], {}, id="exactly"),
        pytest.param(9, False, [answer(429)], {"over the limit": 2}, id="over it"),
        pytest.param(5, False, [answer(429)], {"short of the limit": 2}, id="short of it"),
        pytest.param(5, True, [answer(429)], {}, id="short of it, for somebody died"),
        pytest.param(8, True, [answer(429)], {"over the limit": 1}, id="over it, whoever died"),
        pytest.param(7, True, [answer(0, whole=False)], {}, id="a connection that broke with its worker"),
        pytest.param(7, False, [answer(0, whole=False)], {"other answers": 1}, id="a connection that broke"),
        pytest.param(7, True, [answer(503)], {"other answers": 1}, id="an error"),
    ],
)
def test_what_reached_the_agent_is_what_counts(
    visits: int, troubled: bool, answers: list[Answer], wrong: object
) -> None:
    agent = SimpleNamespace(visits_of=lambda user: [None] * visits)
    place = SimpleNamespace(agent=agent, user=lambda bought: SimpleNamespace(name="ann", bought=bought))
    crowd, finding = Crowd(cast("Stage", place), 7), Finding(LIMITS)
    crowd._answers.extend(answers)
    crowd._judge(finding, troubled=troubled)
    assert wrongs(finding) == wrong
