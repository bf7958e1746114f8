from pathlib import Path
from typing import cast

import pytest

from gatewayd.model import Outcome
from gatewayd.prove.books import Books
from gatewayd.prove.findings import Finding
from gatewayd.prove.pauses import Pauses
from gatewayd.prove.stage import Stage
from gatewayd.prove.trials.departures import DEPARTURE, LATEST, Departure, judge
from tests.prove.records import row, visit, wrongs
from tests.prove.trying import SMALL, assert_kept


async def test_who_leaves_cancels_the_agents_request(tmp_path: Path) -> None:
    findings = await SMALL["departures"].tried(tmp_path)
    assert_kept(findings)
    assert findings["departure"].longest["cancelled after"] <= LATEST


@pytest.mark.parametrize(
    ("cancelled", "outcome", "quantity", "wrong"),
    [
        pytest.param(5.2, Outcome.CLIENT_CLOSED, 3, {}, id="at once"),
        pytest.param(5.0 + LATEST + 0.5, Outcome.CLIENT_CLOSED, 3, {}, id="seen late, after a pause of our own"),
        pytest.param(5.0 + LATEST + 0.1, Outcome.CLIENT_CLOSED, 3, {"not cancelled": 1}, id="late"),
        pytest.param(None, Outcome.CLIENT_CLOSED, 3, {"not cancelled": 1}, id="never"),
        pytest.param(5.2, Outcome.FAILED, 0, {"misrecorded": 1}, id="said to be the agent's fault"),
    ],
)
def test_a_late_cancellation_and_a_wrong_record_are_counted(
    cancelled: float | None, outcome: Outcome, quantity: int, wrong: object
) -> None:
    departure, finding = Departure(cast("Stage", None), "silent"), Finding(DEPARTURE)
    departure.visit, departure.left = visit(), 5.0
    departure.visit.left = cancelled
    pauses = Pauses()
    pauses.note(5.1, 5.6 if cancelled == 5.0 + LATEST + 0.5 else 5.1)
    judge(departure, Books({"r1": [row(outcome=outcome, quantity=quantity)]}), pauses, finding)
    assert wrongs(finding) == wrong
