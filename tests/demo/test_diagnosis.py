"""The report names what is unusual, and what to do."""

from typing import Any

import pytest

from gatewayd.demo.diagnosis import diagnose
from gatewayd.demo.measurements import Series

CALM = (10.0, 11.0, 9.0, 10.0, 11.0, 9.0, 10.0, 11.0)
SPIKE = (10.0, 11.0, 9.0, 10.0, 99.0, 9.0, 10.0, 11.0)


def report(sensitivity: float = 1.0, **metrics: tuple[float, ...]) -> dict[str, Any]:
    series = [Series(name, tuple(map(float, range(len(values)))), values) for name, values in metrics.items()]
    return diagnose(series, sensitivity)


def test_calm_metrics_need_nothing() -> None:
    found = report(cpu=CALM)
    assert (found["status"], found["summary"]) == ("normal", "0 of 1 metrics are unusual.")
    assert found["recommended_action"] == "Nothing needs to be done."
    assert found["correlations"] == []


def test_an_outlier_is_named_with_its_place_and_its_severity() -> None:
    found = report(cpu=SPIKE, memory=CALM)
    [anomaly] = found["metrics"]["cpu"]["anomalies"]
    assert (anomaly["index"], anomaly["time"], anomaly["value"], anomaly["severity"]) == (
        4,
        4.0,
        99.0,
        "critical",
    )
    assert found["status"] == "critical"
    assert found["summary"] == "1 of 2 metrics is unusual: cpu has 1 anomaly, the worst (critical) at index 4."
    assert found["recommended_action"].startswith("cpu: find the busiest process")


@pytest.mark.parametrize(
    ("value", "severity"), [(14.0, "normal"), (16.0, "warning"), (19.0, "high"), (27.0, "critical")]
)
def test_severity_grows_with_the_distance(value: float, severity: str) -> None:
    assert report(a=(*CALM, value))["status"] == severity


def test_sensitivity_moves_the_threshold() -> None:
    values = (*CALM, 14.0)
    assert report(1.0, a=values)["status"] == "normal"
    assert report(2.0, a=values)["status"] == "high"
    assert report(0.1, a=SPIKE)["status"] == "high"


def test_metrics_that_are_unusual_together_are_named() -> None:
    found = report(cpu=SPIKE, latency=SPIKE, disk=CALM, short=SPIKE[:-1])
    assert found["correlations"] == [{"metrics": ["cpu", "latency"], "coefficient": 1.0, "shared_indexes": [4]}]


def test_a_new_level_is_told() -> None:
    found = report(queue=(1.0, 2.0) * 8 + (8.0, 9.0) * 8)
    assert found["metrics"]["queue"]["change_point"]["index"] == 16
    assert found["summary"].endswith("the level of queue changed at index 16.")


def test_several_anomalies_are_counted() -> None:
    found = report(temperature=(*CALM, *CALM, 90.0, 99.0))
    assert "temperature has 2 anomalies, the worst (critical) at index 17" in found["summary"]
    assert found["recommended_action"] == "temperature: compare with what changed at that time."


def test_a_long_list_is_cut_to_the_worst_in_order() -> None:
    values = tuple(float(value % 3) for value in range(2_000)) + tuple(float(value) for value in range(100, 300))
    found = report(a=values)["metrics"]["a"]
    indexes = [anomaly["index"] for anomaly in found["anomalies"]]
    assert (found["anomaly_count"], len(indexes), indexes) == (200, 100, list(range(2_100, 2_200)))
