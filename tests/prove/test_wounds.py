from dataclasses import replace
from math import inf
from types import SimpleNamespace
from typing import cast

import pytest

from gatewayd.prove.configuration import Bought
from gatewayd.prove.daemon import Daemon
from gatewayd.prove.findings import Finding
from gatewayd.prove.load import Call
from gatewayd.prove.stage import User
from gatewayd.prove.trials.kills import RECORDS
from gatewayd.prove.wounds import EXCUSED, Wound, judge_errors
from tests.prove.records import answer, wrongs

HERE, THERE = cast("Daemon", SimpleNamespace()), cast("Daemon", SimpleNamespace())
ANN, ENDS = User("ann", Bought(), ""), Bought(quota=9)


def wound(victim: str, lasted: float, daemon: Daemon = HERE) -> Wound:
    return Wound(daemon, victim, 10.0, 10.0 + lasted)


def call(status: int, *, whole: bool = True, sent: float = 10.2, ended: float = 10.3) -> Call:
    return Call(ANN, HERE, replace(answer(status, sent=sent, ended=ended), whole=whole))


LONG = EXCUSED + 1


@pytest.mark.parametrize(
    ("wound", "call", "excused"),
    [
        pytest.param(wound("worker", 0.5), call(0, whole=False), True, id="its worker died"),
        pytest.param(wound("daemon", 0.5), call(200, whole=False), True, id="its daemon died in the answer"),
        pytest.param(wound("bookkeeper", 0.5), call(0, whole=False), False, id="the bookkeeper has no callers"),
        pytest.param(wound("worker", 0.5, THERE), call(0, whole=False), False, id="another daemon's worker"),
        pytest.param(wound("worker", 0.1), call(0, whole=False), False, id="long whole again"),
        pytest.param(wound("worker", 0.5), call(0, whole=False, sent=9, ended=9.9), False, id="it was over before"),
        pytest.param(wound("bookkeeper", 0.5), call(503), False, id="an error without need"),
        pytest.param(wound("bookkeeper", LONG), call(503), True, id="nobody there for long"),
        pytest.param(wound("daemon", LONG, THERE), call(503), True, id="who has leased the units is away for long"),
        pytest.param(wound("bookkeeper", LONG), call(502), False, id="the agent was there"),
        pytest.param(wound("bookkeeper", LONG), call(402), False, id="a lie"),
        pytest.param(wound("worker", inf), call(503), True, id="never whole again"),
    ],
)
def test_an_error_is_excused_by_a_wound_that_explains_it(wound: Wound, call: Call, excused: bool) -> None:
    assert wound.excuses(call) == excused
    finding = Finding(RECORDS)
    judge_errors([call], [wound], finding, ends=ENDS)
    assert wrongs(finding) == ({} if excused else {"unforced errors": 1})


def test_an_answer_needs_no_excuse() -> None:
    finding = Finding(RECORDS)
    judge_errors([call(200)], [], finding, ends=ENDS)
    assert wrongs(finding) == {}


def test_errors_name_what_was_killed() -> None:
    finding = Finding(RECORDS)
    judge_errors([call(503)], [wound("bookkeeper", 0.5)], finding, ends=ENDS)
    assert "bookkeeper was killed" in finding.reasons[0]


def test_whose_quota_ends_may_be_told_so() -> None:
    finding = Finding(RECORDS)
    bob = User("bob", ENDS, "")
    judge_errors([replace(call(402), user=bob)], [], finding, ends=ENDS)
    assert wrongs(finding) == {}
    judge_errors([call(402)], [], finding, ends=ENDS)
    assert wrongs(finding) == {"unforced errors": 1}
