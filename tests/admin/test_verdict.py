"""One sentence: the worst that is true, for whom, and what to do."""

from typing import Any

import pytest

from gatewayd.admin.counts import Counts, RouteCounts
from gatewayd.admin.states import AgentState
from tests.admin.overviews import UTC, document, sighting

DOWN = AgentState("down", UTC - 60, "cannot be reached")
FAILING = AgentState("failing", UTC - 60, "breaks off")


def lately(total: int = 100, failed: int = 0, overhead: tuple[float, ...] = (), **reasons: int) -> Counts:
    return Counts(60.0, {"email": RouteCounts(total, 0, failed, overhead)}, reasons)


def said(**facts: Any) -> tuple[str, str, str]:
    verdict = document(**facts)["verdict"]
    return verdict["level"], verdict["sentence"], verdict["cause"]


def both(counts: Counts) -> dict[str, Counts]:
    return {"now": counts, "lately": counts}


@pytest.mark.parametrize(
    ("facts", "level", "sentence"),
    [
        pytest.param({}, "good", "Serving; nobody called in the last minute.", id="quiet"),
        pytest.param(both(lately()), "good", "Serving; no request failed in the last minute.", id="well"),
        pytest.param(
            both(lately(100, 2)), "good", "Serving; 2 of 100 requests failed in the last minute.", id="few failures"
        ),
        pytest.param({"state": "draining"}, "warning", "The gateway is draining.", id="draining"),
        pytest.param({"silent_since": UTC - 9}, "bad", "The daemon has not answered since 15:59:51 UTC.", id="silent"),
        pytest.param(
            {"ledger": {"up": True, "pending": 0, "drift": 3}}, "bad", "The books differ by 3 units.", id="drift"
        ),
        pytest.param({"ledger": {"up": False, "pending": 9, "drift": 0}}, "bad", "The ledger is away.", id="ledger"),
        pytest.param({"ledger": None}, "bad", "The ledger is away.", id="no bookkeeper"),
        pytest.param(
            {"children": [{"name": "worker 2", "pid": 1, "state": "dead", "restarts": 4}]},
            "bad",
            "worker 2 is dead.",
            id="a dead worker",
        ),
        pytest.param(
            {"states": {"email": DOWN}}, "bad", "email cannot be reached, since 15:59:00 UTC.", id="an agent is away"
        ),
        pytest.param(
            {"states": {"email": DOWN, "rag": DOWN}},
            "bad",
            "email and rag do not answer, since 15:59:00 UTC.",
            id="two are",
        ),
        pytest.param(
            both(lately(100, 5, store_unavailable=5)),
            "bad",
            "The gateway refused 5 requests with store_unavailable in the last minute.",
            id="stores",
        ),
        pytest.param(
            {"states": {"rag": FAILING}}, "warning", "rag at times breaks off, since 15:59:00 UTC.", id="failing"
        ),
        pytest.param(
            both(lately(100, 0, rate_limited=30, token_missing=3)),
            "warning",
            "Serving, but 33 % of the last minute's requests were refused.",
            id="refusals",
        ),
        pytest.param(
            both(lately(9, 0, rate_limited=9)), "good", "Serving; no request failed in the last minute.", id="too few"
        ),
        pytest.param(
            both(lately(100, 0, upstream_timeout=90)),
            "good",
            "Serving; no request failed in the last minute.",
            id="what agents do is no refusal",
        ),
        pytest.param(
            both(lately(100, 0, (0,) * 9 + (100, 0))),
            "warning",
            "Serving, but slowly: the gateway itself took 955 ms of its slowest requests.",
            id="slow",
        ),
    ],
)
def test_the_sentence(facts: dict[str, Any], level: str, sentence: str) -> None:
    assert said(**facts)[:2] == (level, sentence)


def test_the_worst_is_said_first() -> None:
    everything = {"states": {"email": DOWN, "rag": FAILING}, "ledger": {"up": False, "pending": 0, "drift": 0}}
    assert said(**everything)[1] == "The ledger is away."
    assert said(**everything, silent_since=1.0)[1].startswith("The daemon has not answered")


def test_for_whom_it_is_so() -> None:
    failures = [sighting(str(number), user=user) for number, user in enumerate("aabbbcd")]
    cause = said(states={"email": DOWN}, failures=failures, **both(lately(9, 7)))[2]
    assert cause == "7 calls failed in the last minute. Callers hit: b, a, c and 1 more."
    refusals = [sighting(code="rate_limited", status=429, user=None, client="10.0.0.9")]
    assert said(refusals=refusals, **both(lately(10, rate_limited=9)))[2] == (
        "Most of them with rate_limited. Callers hit: 10.0.0.9."
    )


def test_an_agent_that_nobody_has_called_since_may_be_there_again() -> None:
    assert said(states={"email": DOWN})[2].startswith("Nobody called in the last minute, so it may be over.")
