"""What several processes have counted, added up, and as Prometheus wants to read it."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any, Final

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from gatewayd import __version__
from gatewayd.metrics.families import BUILD, FAMILIES, GAUGES, REQUESTS, Family, Labels

_ALIKE: Final = frozenset(gauge.name for gauge in GAUGES if gauge.alike)

Samples = Mapping[str, Any]  # what `Metrics.samples` returns, fit for JSON


@dataclass(slots=True, eq=False)
class Tally(Collector):
    """What several processes have counted, added up. Mutable: it grows by `add`."""

    counters: dict[str, dict[Labels, float]] = field(default_factory=dict)
    histograms: dict[str, dict[Labels, list[float]]] = field(default_factory=dict)
    gauges: dict[str, tuple[str, float]] = field(default_factory=dict)

    @classmethod
    def of(cls, several: Iterable[Samples]) -> "Tally":
        tally = cls()
        for samples in several:
            tally.add(samples)
        return tally

    def add(self, samples: Samples) -> None:
        """Add what one process says that it has counted."""
        for name, counts in samples.get("counters", {}).items():
            known = self.counters.setdefault(name, {})
            for labels, count in counts:
                known[tuple(labels)] = known.get(tuple(labels), 0) + count
        for name, series in samples.get("histograms", {}).items():
            sums = self.histograms.setdefault(name, {})
            for labels, values in series:
                before = sums.get(tuple(labels))
                sums[tuple(labels)] = list(map(sum, zip(before, values, strict=True))) if before else list(values)
        for name, (help_text, value) in samples.get("gauges", {}).items():
            self._level(name, help_text, value)

    def _level(self, name: str, help_text: str, value: float) -> None:
        before = self.gauges.get(name, ("", 0.0))[1]
        self.gauges[name] = help_text, max(before, value) if name in _ALIKE else before + value

    def lasting(self) -> dict[str, Any]:
        """What stays true of a process that is gone, as samples: all that only ever grows."""
        return {
            "counters": {name: _listed(counts) for name, counts in self.counters.items()},
            "histograms": {name: _listed(series) for name, series in self.histograms.items()},
        }

    def requests(self) -> dict[tuple[str, int], int]:
        """Ended requests by route and status."""
        totals: dict[tuple[str, int], int] = {}
        for (route, _, code), count in self.counters.get(REQUESTS.name, {}).items():
            totals[route, int(code)] = totals.get((route, int(code)), 0) + int(count)
        return totals

    def text(self) -> bytes:
        """All of it in Prometheus' text format."""
        registry = CollectorRegistry()
        registry.register(self)
        return generate_latest(registry)

    def collect(self) -> Iterator[Metric]:
        """What prometheus_client writes."""
        for family in FAMILIES:
            yield self._histogram(family) if family.buckets else self._counter(family)
        build = GaugeMetricFamily(BUILD, "The version that runs.", labels=["version"])
        build.add_metric([__version__], 1)
        yield build
        for name, (help_text, value) in self.gauges.items():
            yield GaugeMetricFamily(name, help_text, value=value)

    def _counter(self, family: Family) -> Metric:
        metric = CounterMetricFamily(family.name, family.help, labels=family.labels)
        for labels, count in self.counters.get(family.name, {}).items():
            metric.add_metric(labels, count)
        return metric

    def _histogram(self, family: Family) -> Metric:
        metric = HistogramMetricFamily(family.name, family.help, labels=family.labels)
        bounds = [*map(floatToGoString, family.buckets), "+Inf"]
        for labels, (total, *counts) in self.histograms.get(family.name, {}).items():
            if any(counts):
                metric.add_metric(labels, list(zip(bounds, accumulate(counts), strict=True)), total)
        return metric


def _listed(series: Mapping[Labels, Any]) -> Sequence[Any]:
    return [[list(labels), value] for labels, value in series.items()]
