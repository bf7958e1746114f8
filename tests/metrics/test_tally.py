"""What several processes say, added up: counters and levels are sums, what all say alike is said once."""

from prometheus_client.parser import text_string_to_metric_families

from gatewayd.metrics.families import DRIFT, GENERATION, IN_FLIGHT, level
from gatewayd.metrics.tally import Tally

ONE = {
    "counters": {"gatewayd_requests": [[["email", "GET", "200"], 2]]},
    "histograms": {"gatewayd_overhead_seconds": [[["email"], [0.5, 1, *[0] * 10]]]},
    "gauges": level(IN_FLIGHT, 3) | level(GENERATION, 7),
}


def test_counters_histograms_and_levels_are_summed_and_a_generation_is_not() -> None:
    tally = Tally.of([ONE, ONE, {"gauges": level(DRIFT, 4)}])
    values = {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(tally.text().decode())
        for sample in family.samples
    }
    assert values["gatewayd_requests_total", "200", "GET", "email"] == 4
    assert values["gatewayd_overhead_seconds_sum", "email"] == 1
    assert values["gatewayd_overhead_seconds_count", "email"] == 2
    assert values["gatewayd_overhead_seconds_bucket", "0.0001", "email"] == 2
    assert (values["gatewayd_in_flight",], values["gatewayd_config_generation",]) == (6, 7)
    assert values["gatewayd_ledger_drift",] == 4


def test_what_lasts_of_the_dead_is_what_only_grows() -> None:
    lasting = Tally.of([ONE]).lasting()
    assert "gauges" not in lasting
    assert Tally.of([lasting, ONE]).requests() == {("email", 200): 4}
