"""Every metric of the contract is made, and nothing else; everything that names a metric names one that is made."""

import json
import re
from pathlib import Path

import pytest

from gatewayd.metrics.families import BUCKETS, BUILD, FAMILIES, GAUGES

ROOT = Path(__file__).parents[2]
MADE = {family.name + ("" if family.buckets else "_total") for family in FAMILIES} | {gauge.name for gauge in GAUGES}
SERIES = {name + end for name in MADE | {BUILD} for end in ("", "_bucket", "_sum", "_count")}
CONTRACT = (ROOT / "docs/contract.md").read_text().split("`metrics` on the admin listener")[1].split("##")[0]
NAME = re.compile(r"\bgatewayd_[a-z_]+\b")


def test_the_contract_and_the_code_name_the_same_metrics() -> None:
    assert set(NAME.findall(CONTRACT)) == MADE | {BUILD}


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_no_label_is_a_user_or_a_path(family: object) -> None:
    assert not {"user", "path", "client", "token"} & set(family.labels)  # type: ignore[attr-defined]


def test_buckets_rise_up_to_two_minutes() -> None:
    assert list(BUCKETS) == sorted(BUCKETS)
    assert BUCKETS[-1] == 120


@pytest.mark.parametrize("family", [each for each in FAMILIES if each.labels], ids=lambda family: family.name)
def test_the_contract_says_the_labels_where_they_are_all_there_is_to_know(family: object) -> None:
    said = re.search(rf"`{family.name}_total\{{([a-z,]+)\}}`", CONTRACT)  # type: ignore[attr-defined]
    assert said is None or tuple(said[1].split(",")) == family.labels  # type: ignore[attr-defined]


def test_the_dashboard_and_the_rules_name_only_metrics_that_are_there() -> None:
    dashboard = (ROOT / "conf/grafana/gatewayd.json").read_text()
    rules = (ROOT / "conf/alerts/gatewayd.yml").read_text()
    for text in (dashboard, rules):
        assert set(NAME.findall(text)) <= SERIES
    queries = [target["expr"] for panel in json.loads(dashboard)["panels"] for target in panel.get("targets", ())]
    assert {name for query in queries for made in NAME.findall(query) for name in [_plain(made)]} >= MADE


def _plain(series: str) -> str:
    return next((name for name in MADE if series in (f"{name}_bucket", f"{name}_sum", f"{name}_count")), series)
