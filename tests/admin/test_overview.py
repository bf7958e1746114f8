"""The document that page, terminal and programs share."""

import orjson

from gatewayd.admin.counts import Counts, RouteCounts
from gatewayd.admin.states import AgentState
from gatewayd.admin.usage import Nearest
from gatewayd.metrics.families import FIRST_BYTE, OVERHEAD
from tests.admin.overviews import UTC, document, near, sighting

FAST = tuple(100 if place == 2 else 0 for place in range(len(OVERHEAD.buckets) + 1))
SLOW = tuple(100 if place == 8 else 0 for place in range(len(FIRST_BYTE.buckets) + 1))
EMAIL = RouteCounts(100, 10, 5, FAST, SLOW)
CODES = {("email", "upstream_timeout", 504): 3, ("email", "rate_limited", 429): 10}
NOW = Counts(
    9000.0, {"email": RouteCounts(500, 20, 9), "gone": RouteCounts(7), "gateway": RouteCounts(3)}, {"x": 4}, CODES
)
LATELY = Counts(50.0, {"email": EMAIL}, {"x": 1}, {("email", "upstream_timeout", 504): 1})


def test_rates_shares_and_percentiles_are_those_of_the_last_minute() -> None:
    found = document(now=NOW, lately=LATELY)["lately"]
    assert (found["rate"], found["failed_share"]) == (2.0, 0.05)
    assert (found["ended"], found["failed"], found["seconds"]) == (100, 5, 50.0)
    assert OVERHEAD.buckets[1] < found["own_p95"] <= OVERHEAD.buckets[2]
    assert FIRST_BYTE.buckets[7] < found["agents_p95"] <= FIRST_BYTE.buckets[8]


def test_totals_are_counted_since_the_start() -> None:
    assert document(now=NOW, lately=LATELY)["ended"] == {"requests": 510, "refused": 20, "failed": 9}


def test_an_agent_is_told_with_its_state_its_calls_and_its_timeouts() -> None:
    states = {"email": AgentState("failing", UTC, "breaks off")}
    series = {"email": [(1.0, 0.5)]}
    found = document(now=NOW, lately=LATELY, states=states, series=series, in_flight={"email": 2})
    email, rag, gone = found["agents"]
    assert (email["name"], email["state"], email["since"], email["cause"]) == (
        "email",
        "failing",
        "2025-11-24T16:00:00Z",
        "breaks off",
    )
    assert (email["requests"], email["failed"], email["timeouts"], email["in_flight"]) == (500, 9, 3, 2)
    assert (email["lately"]["rate"], email["lately"]["timeouts"]) == (2.0, 1)
    assert email["series"] == [[1.0, 0.5]]
    assert (rag["name"], rag["state"], rag["since"], rag["requests"]) == ("rag", "quiet", None, 0)
    assert (gone["name"], gone["requests"]) == ("gone", 7)


def test_agents_in_trouble_come_first() -> None:
    found = document(states={"email": AgentState("up", UTC), "rag": AgentState("down", UTC, "breaks off")})
    assert [each["name"] for each in found["agents"]] == ["rag", "email"]


def test_refusals_are_by_reason_and_who_left_was_not_refused() -> None:
    now = Counts(1.0, {}, {"rate_limited": 5, "token_missing": 9, "client_closed": 3})
    lately = Counts(1.0, {}, {"rate_limited": 2})
    assert document(now=now, lately=lately)["refusals"] == [
        {"code": "rate_limited", "total": 5, "lately": 2},
        {"code": "token_missing", "total": 9, "lately": 0},
    ]


def test_series_of_all_agents_are_added_up_from_the_newest_point_back() -> None:
    series = {"email": [(1.0, 0.0), (2.0, 1.0)], "rag": [(10.0, 0.0)]}
    assert document(series=series)["series"] == [[1.0, 0.0], [12.0, 1.0]]


def test_users_near_their_limits_have_their_share_and_a_fault_is_said() -> None:
    found = document(nearest=Nearest(UTC, [near()], "away"))["nearest"]
    assert (found["at"], found["fault"]) == ("2025-11-24T16:00:00Z", "away")
    assert found["users"][0]["share"] == 0.9
    assert document()["nearest"] == {"at": None, "fault": None, "users": []}


def test_all_of_it_is_json_whatever_callers_are_called() -> None:
    text = orjson.dumps(document(failures=[sighting(user="<script>\n\"'")], nearest=Nearest(UTC, [near("<b>")])))
    assert orjson.loads(text)["failures"][0]["user"] == "<script>\n\"'"


def test_of_no_requests_nothing_is_said() -> None:
    found = document()["lately"]
    assert (found["failed_share"], found["own_p95"], found["agents_p95"], found["rate"]) == (None, None, None, 0.0)
