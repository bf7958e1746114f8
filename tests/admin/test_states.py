"""How an agent is, judged by its calls."""

import pytest

from gatewayd.admin.counts import Counts, RouteCounts
from gatewayd.admin.states import AgentState, AgentStates


def calls(total: int, failed: int = 0, **codes: tuple[int, int]) -> Counts:
    """`codes`: the status and the count of each."""
    return Counts(
        10.0,
        {"email": RouteCounts(total, 0, failed)},
        codes={("email", code, status): count for code, (status, count) in codes.items()},
    )


@pytest.mark.parametrize(
    ("lately", "state", "cause"),
    [
        pytest.param(calls(10), "up", "", id="all well"),
        pytest.param(calls(0), "quiet", "", id="no calls"),
        pytest.param(calls(5, rate_limited=(429, 5)), "quiet", "", id="refused by the gateway"),
        pytest.param(calls(5, client_closed=(499, 5)), "quiet", "", id="callers left"),
        pytest.param(calls(5, 5, store_unavailable=(503, 5)), "quiet", "", id="the gateway failed"),
        pytest.param(calls(3, 3, upstream_connect=(502, 3)), "down", "cannot be reached", id="away"),
        pytest.param(calls(3, 3, upstream_timeout=(504, 3)), "down", "does not answer in time", id="too slow"),
        pytest.param(calls(3, 3), "down", "answers with errors of its own", id="its own errors"),
        pytest.param(calls(20, 1), "failing", "answers with errors of its own", id="one in twenty"),
        pytest.param(calls(21, 1), "up", "", id="one in twenty-one"),
        pytest.param(calls(4, upstream_reset=(200, 2)), "failing", "breaks off", id="broke off after its head"),
        pytest.param(calls(2, 2, upstream_reset=(502, 1)), "down", "breaks off", id="as many of each: one of them"),
        pytest.param(calls(9, 3, upstream_protocol=(502, 2)), "failing", "answers what is not HTTP", id="the most"),
    ],
)
def test_its_state_and_what_most_failures_were(lately: Counts, state: str, cause: str) -> None:
    states = AgentStates()
    states.learn(["email"], lately, 5.0)
    found = states.known["email"]
    assert (found.state, found.cause) == (state, cause)
    assert found.since == (0.0 if state == "quiet" else 5.0)


def test_it_is_so_since_its_state_changed_and_stays_so_without_calls() -> None:
    states = AgentStates()
    for utc, lately in ((1.0, calls(1)), (2.0, calls(1)), (3.0, calls(0))):
        states.learn(["email"], lately, utc)
        assert states.known["email"] == AgentState("up", 1.0)
    states.learn(["email"], calls(1, 1, upstream_connect=(502, 1)), 4.0)
    states.learn(["email"], calls(0), 9.0)
    assert states.known["email"] == AgentState("down", 4.0, "cannot be reached")


def test_an_agent_that_is_configured_no_more_is_forgotten() -> None:
    states = AgentStates()
    states.learn(["email"], calls(1), 1.0)
    states.learn(["rag"], calls(1), 2.0)
    assert states.known == {"rag": AgentState()}
