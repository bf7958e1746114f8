import random
from pathlib import Path
from typing import cast

import pytest

from gatewayd.prove.caller import Answer, Listener
from gatewayd.prove.conditions import Conditions
from gatewayd.prove.configuration import Bought
from gatewayd.prove.findings import Finding
from gatewayd.prove.load import Call
from gatewayd.prove.stage import Stage, User
from gatewayd.prove.trials.outage import AMPLE, OUTAGE, Kinds, Suffered, judge_answers
from tests.prove.records import answer, wrongs
from tests.prove.trying import SMALL, assert_kept, tried

AWAY = Suffered(begins=10.0, began=10.5, ended=20.0, healed=21.0)
USERS = {
    "unlimited": User("unlimited", Bought(), ""),
    "leased": User("leased", Bought(quota=9), ""),
    "stranger": User("stranger", Bought(quota=9), ""),
}


async def test_an_outage_is_survived(tmp_path: Path) -> None:
    findings = await SMALL["outage"].tried(tmp_path)
    assert_kept(findings)
    assert findings["outage"].counts["told 503"] > 0


class NoStage:
    """Enough of one for `Kinds`."""

    def user(self, bought: Bought) -> User:
        return User("somebody", bought, "")

    def caller(self) -> None:
        return None


def judged(who: str, told: Answer) -> Finding:
    finding, kinds = Finding(OUTAGE), Kinds(cast("Stage", NoStage()), random.Random(1))
    kinds.strangers.add("stranger")
    judge_answers([Call(USERS[who], cast("Listener", None), "", told)], [AWAY], kinds, finding)
    return finding


@pytest.mark.parametrize(
    ("who", "status", "sent", "ended", "wrong"),
    [
        pytest.param("unlimited", 200, 12.0, 13.0, {}, id="unlimited, served"),
        pytest.param("unlimited", 503, 12.0, 13.0, {"not served": 1}, id="unlimited, not served"),
        pytest.param("leased", 200, 12.0, 13.0, {}, id="with a lease, served"),
        pytest.param("leased", 503, 12.0, 13.0, {}, id="with a lease that is used up"),
        pytest.param("leased", 402, 12.0, 13.0, {"told 402": 1}, id="told a lie"),
        pytest.param("leased", 500, 12.0, 13.0, {"other answers": 1}, id="told anything else"),
        pytest.param("leased", 503, 30.0, 31.0, {"not served": 1}, id="not served in calm"),
        pytest.param("stranger", 503, 12.0, 13.0, {}, id="a stranger, told the truth"),
        pytest.param("stranger", 200, 12.0, 13.0, {"served on credit": 1}, id="a stranger, served"),
        pytest.param("stranger", 200, 10.2, 13.0, {}, id="a stranger who came just before it"),
        pytest.param("stranger", 200, 19.0, 20.5, {}, id="a stranger who waited for its end"),
        pytest.param("stranger", 503, 20.5, 22.0, {}, id="a stranger while the daemons recover"),
        pytest.param("stranger", 402, 30.0, 31.0, {"told 402": 1}, id="a lie in calm"),
    ],
)
def test_an_answer_is_right_or_wrong_by_who_asked_when(
    who: str, status: int, sent: float, ended: float, wrong: object
) -> None:
    assert wrongs(judged(who, answer(status, sent=sent, ended=ended))) == wrong


def test_what_was_done_in_the_outage_is_counted() -> None:
    served, refused = (answer(status, sent=12.0, ended=13.0) for status in (200, 503))
    assert judged("unlimited", served).counts["served without a limit"] == 1
    assert judged("leased", served).counts["served from leases"] == 1
    assert judged("stranger", refused).counts["told 503"] == 1
    assert judged("unlimited", answer(sent=30.0, ended=31.0)).counts["served without a limit"] == 0


def test_a_broken_answer_is_not_served() -> None:
    assert wrongs(judged("unlimited", answer(sent=12.0, ended=13.0, whole=False))) == {"not served": 1}


@pytest.mark.parametrize("missing", [None, "unlimited", "leased", "stranger"])
def test_an_outage_is_over_no_earlier_than_everybody_was_answered_in_it(missing: str | None) -> None:
    kinds = Kinds(cast("Stage", NoStage()), random.Random(1))
    kinds.strangers.add("stranger")
    ample = User("leased", AMPLE, "")
    users = {"unlimited": USERS["unlimited"], "leased": ample, "stranger": User("stranger", AMPLE, "")}
    told = {name: answer(503 if name == "stranger" else 200, sent=12.0, ended=13.0) for name in users}
    calls = [Call(users[name], cast("Listener", None), "", told[name]) for name in users if name != missing]
    calls += [Call(user, cast("Listener", None), "", answer(sent=9.0, ended=13.0)) for user in users.values()]
    assert kinds.all_answered(calls, 10.5) == (missing is None)


async def test_a_database_that_cannot_be_reached_is_survived_too(tmp_path: Path, rest: str) -> None:
    conditions = Conditions(1, tmp_path, workers=(1,), ledger=f"postgresql:{rest}", outage_seconds=0.6)
    assert_kept(await tried("outage", conditions))
