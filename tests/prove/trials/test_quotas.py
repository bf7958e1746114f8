import random
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewayd.prove.caller import Answer
from gatewayd.prove.conditions import Conditions
from gatewayd.prove.configuration import HIGHEST_COST, PRICES, Bought, Price
from gatewayd.prove.findings import Finding
from gatewayd.prove.stage import User
from gatewayd.prove.trials.quotas import FALSE_REFUSALS, Crowd, Round, Used, judge_refusals
from tests.prove.records import answer, wrongs
from tests.prove.trying import SMALL, assert_kept, tried
from tests.valkey import valkey


async def test_exactly_what_fits_is_admitted(tmp_path: Path) -> None:
    findings = await SMALL["quotas"].tried(tmp_path)
    assert_kept(findings)
    assert findings["overspend"].counts["quotas"] == 5
    assert findings["false-refusals"].counts["refusals"] >= 5 * 200


def judged(played: Round, *answers: Answer) -> dict[str, int]:
    crowd, finding = Crowd([], User("ann", Bought(played.quota), ""), played), Finding(FALSE_REFUSALS)
    crowd.answers.extend(answers)
    judge_refusals(crowd, finding)
    return wrongs(finding)


def admitted(sent: float, ended: float) -> Answer:
    return answer(200, sent=sent, ended=ended)


REFUSED = answer(402, sent=5.0, ended=6.0)


@pytest.mark.parametrize(
    ("played", "others", "in_error"),
    [
        pytest.param(Round(10, Price(4)), [], True, id="nothing was used"),
        pytest.param(Round(10, Price(4)), [admitted(1, 2)], True, id="4 of 10 were"),
        pytest.param(Round(10, Price(4)), [admitted(1, 2), admitted(2, 3)], False, id="8 of 10 were"),
        pytest.param(Round(10, Price(4)), [admitted(1, 2), admitted(5.5, 9)], False, id="8 may have been"),
        pytest.param(Round(10, Price(4)), [admitted(1, 2), admitted(6.5, 9)], True, id="one came later"),
        pytest.param(Round(10, Price(1, 5), stated=1), [admitted(1, 2)] * 5, True, id="5 of 10 were stated"),
        pytest.param(Round(10, Price(1, 5), stated=1), [admitted(1, 2)] * 6, False, id="6 of 10 were stated"),
        pytest.param(Round(10, Price(1, 5), stated=1), [admitted(1, 2), admitted(4, 9)], False, id="one held 5"),
        pytest.param(Round(3, Price(4)), [], False, id="it could never fit"),
    ],
)
def test_a_refusal_is_in_error_if_it_fitted_all_the_time(played: Round, others: list[Answer], in_error: bool) -> None:
    assert judged(played, REFUSED, *others) == ({"refused in error": 1} if in_error else {})


@pytest.mark.parametrize("status", [0, 429, 500, 503])
def test_nothing_but_200_and_402_is_an_answer(status: int) -> None:
    assert judged(Round(10, Price(4)), answer(status)) == {"other answers": 1}


TIMES = st.tuples(st.integers(0, 9), st.integers(0, 9)).map(sorted)


@given(st.lists(TIMES), TIMES, st.sampled_from(PRICES), st.integers(0, HIGHEST_COST))
def test_used_is_what_a_look_at_each_call_says(
    calls: list[list[int]], refusal: list[int], price: Price, stated: int
) -> None:
    played = Round(100, price, min(stated, price.held))
    others = [admitted(*call) for call in calls]
    refused = answer(402, sent=refusal[0], ended=refusal[1])
    begun = [other for other in others if other.sent < refused.ended or other.ended <= refused.sent]
    by_hand = sum(played.charged if other.ended <= refused.sent else price.held for other in begun)
    found = Used(played, others).at_most(refused)
    # A call of no length at the very moment of another's is in doubt, and doubt is the gateway's.
    assert found == by_hand or any(other.sent == refused.ended for other in others)


def test_rounds_are_drawn_from_all_that_there_is() -> None:
    chance = random.Random(1)
    rounds = [Round.drawn(chance) for _ in range(500)]
    assert {each.price.cost for each in rounds} == set(range(1, HIGHEST_COST + 1))
    assert any(each.quota % each.charged for each in rounds)
    assert any(each.stated is not None and each.stated < each.price.held for each in rounds)
    assert all(1 <= each.charged <= each.price.held for each in rounds)
    assert any(each.pause for each in rounds)


def test_a_round_tells_the_agent_what_to_state() -> None:
    assert Round(10, Price(2, 5), stated=3, pause=0.002).target == "/cost-2-of-5/call?quantity=3&after=0.0020"
    assert Round(10, Price(2)).target == "/cost-2/call"


async def test_two_daemons_on_one_database_share_a_quota(tmp_path: Path, rest: str) -> None:
    with valkey() as counters:
        shared = Conditions(74, tmp_path, rounds=2, workers=(1,), daemons=2, ledger=f"postgresql:{rest}")
        findings = await tried("quotas", replace(shared, counters=counters.url))
    assert_kept(findings)
    assert findings["overspend"].counts["quotas"] == 2
