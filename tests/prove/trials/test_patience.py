from pathlib import Path
from typing import cast

import pytest

from gatewayd.prove.caller import Answer
from gatewayd.prove.configuration import Bought
from gatewayd.prove.findings import Finding
from gatewayd.prove.stage import Stage, User
from gatewayd.prove.trials import patience
from gatewayd.prove.trials.patience import RETRY_AFTER, Visitor
from tests.prove.records import answer, wrongs
from tests.prove.trying import SMALL, assert_kept


async def test_who_waits_as_long_as_told_is_let_through(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "RATES", (30,))
    findings = await SMALL["patience"].tried(tmp_path)
    assert_kept(findings)
    assert findings["retry-after"].counts["came in time"] == 4


class Scripted:
    """A stage whose one caller gets these answers."""

    def __init__(self, *answers: Answer) -> None:
        self._answers = iter(answers)

    def caller(self) -> "Scripted":
        return self

    async def call(self, target: str, token: str) -> Answer:
        return next(self._answers)

    def leave(self) -> None:
        pass


def refused(*, sent: float = 0.0, ended: float = 0.1, seconds: str = "3") -> Answer:
    return Answer(sent, ended, 429, {"retry-after": seconds}, whole=True)


def at(ended: float, status: int = 200) -> Answer:
    return answer(status, sent=ended - 0.1, ended=ended)


@pytest.mark.parametrize(
    ("early", "answers", "wrong", "came"),
    [
        pytest.param(False, [refused(), at(3.2)], {}, (1, 0), id="in time"),
        pytest.param(False, [at(0.0), at(0.0), refused(), at(3.2)], {}, (1, 0), id="after a burst"),
        pytest.param(False, [refused(), refused()], {"refused in time": 1}, (1, 0), id="refused in time"),
        pytest.param(False, [refused(), at(3.2, 503)], {"other answers": 1}, (1, 0), id="neither of both"),
        pytest.param(False, [at(0.0)] * 10, {"other answers": 1}, (0, 0), id="never refused"),
        pytest.param(False, [refused(seconds="soon")], {"other answers": 1}, (0, 0), id="not told when"),
        pytest.param(True, [refused(), refused(ended=1.9), at(3.2)], {}, (1, 1), id="early, and then in time"),
        pytest.param(True, [refused(), at(1.9)], {"let through early": 1}, (0, 1), id="let through early"),
        pytest.param(
            True, [refused(), at(2.1), refused(), at(1.9)], {"let through early": 1}, (0, 1), id="late, and then early"
        ),
        pytest.param(
            True, [refused(), refused(ended=2.1), refused(ended=1.9), at(3.2)], {}, (1, 1), id="late and refused first"
        ),
        pytest.param(True, [refused(), *[at(2.1), refused()] * 5, at(3.2)], {}, (1, 0), id="never in time to be early"),
        pytest.param(
            True,
            [refused(seconds="1"), at(1.2), refused(), refused(ended=1.9), at(3.2)],
            {},
            (1, 1),
            id="told to wait a second, in which nobody can come early",
        ),
        pytest.param(
            True, [refused(seconds="1"), at(1.2), at(1.2, 503)], {"other answers": 1}, (0, 0), id="refused anew"
        ),
        pytest.param(True, [refused(), at(2.1, 503)], {"other answers": 1}, (0, 0), id="late, and something else"),
    ],
)
async def test_a_visit_is_judged_by_what_it_was_told(
    early: bool, answers: list[Answer], wrong: object, came: tuple[int, int]
) -> None:
    finding = Finding(RETRY_AFTER)
    visitor = Visitor(cast("Stage", Scripted(*answers)), User("ann", Bought(), ""), finding)
    await visitor.visit(early=early)
    assert wrongs(finding) == wrong
    assert (finding.counts["came in time"], finding.counts["came early"]) == came
