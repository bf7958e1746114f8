from dataclasses import replace
from math import inf
from types import SimpleNamespace
from typing import cast

import pytest

from gatewayd.prove.configuration import Bought, Price
from gatewayd.prove.daemon import Daemon
from gatewayd.prove.findings import Finding
from gatewayd.prove.load import Call
from gatewayd.prove.stage import User
from gatewayd.prove.trials.kills import RECORDS
from gatewayd.prove.wounds import EXCUSED, Usage, Wound, judge_errors
from tests.prove.records import answer, wrongs

HERE, THERE = cast("Daemon", SimpleNamespace()), cast("Daemon", SimpleNamespace())
ANN, ENDS = User("ann", Bought(), ""), Bought(quota=9)


def wound(victim: str, lasted: float, daemon: Daemon = HERE) -> Wound:
    return Wound(daemon, victim, 10.0, 10.0 + lasted)


def call(status: int, *, whole: bool = True, sent: float = 10.2, ended: float = 10.3) -> Call:
    return Call(ANN, HERE, Price(1).target(), replace(answer(status, sent=sent, ended=ended), whole=whole))


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
    judge_errors([call], [wound], {}, finding, ends=ENDS)
    assert wrongs(finding) == ({} if excused else {"unforced errors": 1})


def test_an_answer_needs_no_excuse() -> None:
    finding = Finding(RECORDS)
    judge_errors([call(200)], [], {}, finding, ends=ENDS)
    assert wrongs(finding) == {}


def test_errors_name_what_was_killed() -> None:
    finding = Finding(RECORDS)
    judge_errors([call(503)], [wound("bookkeeper", 0.5)], {}, finding, ends=ENDS)
    assert "bookkeeper was killed" in finding.reasons[0]


BOB = User("bob", ENDS, "")


def bobs(status: int, price: Price, name: str = "r", *, whole: bool = True, ended: float = 5.0) -> Call:
    seen = replace(answer(status, name=name, sent=1.0, ended=ended), whole=whole)
    return Call(BOB, HERE, price.target(), seen)


@pytest.mark.parametrize(
    ("before", "charged", "due"),
    [
        pytest.param([bobs(200, Price(5))], {"r": 5}, True, id="it was used up"),
        pytest.param([bobs(200, Price(4))], {"r": 4}, False, id="it fitted"),
        pytest.param([bobs(200, Price(1, 5))], {"r": 1}, False, id="less was charged than held"),
        pytest.param([bobs(200, Price(1, 5), ended=10.25)], {"r": 1}, True, id="it was still held"),
        pytest.param([bobs(0, Price(5), whole=False)], {}, True, id="nobody knows what became of one"),
        pytest.param([bobs(402, Price(5)), bobs(503, Price(5))], {}, False, id="who was refused used nothing"),
    ],
)
def test_whose_quota_ends_may_be_told_so_and_nobody_before(
    before: list[Call], charged: dict[str, int], due: bool
) -> None:
    refused = Call(BOB, HERE, Price(5).target(), answer(402, sent=10.2, ended=10.3))
    assert Usage([*before, refused], charged).allows(refused) == due
    finding = Finding(RECORDS)
    judge_errors([refused], [], {}, finding, ends=replace(ENDS, quota=4))
    assert wrongs(finding) == {"unforced errors": 1}, "who did not buy what ends"
