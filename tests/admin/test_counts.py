"""What was counted up to a moment, and what came on top since another."""

from gatewayd.admin.counts import Counts, RouteCounts, counts
from gatewayd.metrics import Tally
from gatewayd.metrics.families import FIRST_BYTE, OVERHEAD

SAMPLES = {
    "counters": {
        "gatewayd_requests": [
            [["email", "GET", "200"], 5],
            [["email", "POST", "502"], 2],
            [["rag", "GET", "429"], 3],
            [["gateway", "GET", "200"], 4],
        ],
        "gatewayd_rejected": [[["rate_limited"], 3], [["upstream_connect"], 2]],
    },
    "histograms": {
        OVERHEAD.name: [[["email"], [0.1, *([1] * (len(OVERHEAD.buckets) + 1))]]],
        FIRST_BYTE.name: [[["email"], [9.0, *([2] * (len(FIRST_BYTE.buckets) + 1))]]],
    },
}


def test_metrics_and_what_was_sighted_become_counts_by_route() -> None:
    found = counts(1.0, Tally.of([SAMPLES]), [["email", "upstream_connect", 502, 2]])
    assert found.of("email").total == 7
    assert (found.of("email").refused, found.of("email").failed) == (0, 2)
    assert (found.of("rag").total, found.of("rag").refused) == (3, 3)
    assert found.of("nowhere").total == 0
    assert sum(found.of("email").overhead) == len(OVERHEAD.buckets) + 1
    assert found.reasons == {"rate_limited": 3, "upstream_connect": 2}
    assert found.codes == {("email", "upstream_connect", 502): 2}
    assert found.all().total == 14


def test_a_difference_is_what_came_on_top_and_never_below_nothing() -> None:
    before = Counts(1.0, {"a": RouteCounts(5, 1, 1, (1, 2), (0, 0))}, {"x": 2}, {("a", "x", 502): 2})
    after = Counts(4.0, {"a": RouteCounts(9, 1, 0, (3, 1), (1, 0))}, {"x": 5, "y": 1}, {("a", "x", 502): 2})
    new = after.since(before)
    assert new.at == 3.0
    assert new.of("a") == RouteCounts(4, 0, 0, (2, 0), (1, 0))
    assert new.reasons == {"x": 3, "y": 1}
    assert new.codes == {}


def test_a_route_that_is_new_came_on_top_whole() -> None:
    new = Counts(2.0, {"a": RouteCounts(3, 0, 0, (1,), (2,))}).since(Counts(1.0))
    assert new.of("a") == RouteCounts(3, 0, 0, (1,), (2,))
    assert new.all().overhead == (1,)
