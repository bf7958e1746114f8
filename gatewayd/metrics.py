"""Numbers about ended requests, for Prometheus and for the admin page. No user and no path is a label.

Each process counts for itself; what several have counted is added up where it is shown.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any, Final

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from gatewayd import __version__
from gatewayd.errors import ClientClosed
from gatewayd.exchange import Exchange

_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)
_OVERHEAD_BUCKETS: Final = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 1)
_UNROUTED: Final = "none"
_OWN: Final = "gateway"
_SAME_EVERYWHERE: Final = frozenset({"gatewayd_config_generation"})  # the highest is shown, and not their sum

Labels = tuple[str, ...]
Samples = Mapping[str, Any]  # what `Metrics.samples` returns, fit for JSON


@dataclass(frozen=True, slots=True)
class _Family:
    """What is said of a metric; one with buckets is a histogram, another a counter."""

    name: str
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()


_REQUESTS: Final = _Family("gatewayd_requests", "Ended requests.", ("route", "method", "code"))
_DURATION: Final = _Family(
    "gatewayd_request_duration_seconds", "From the first byte to the last.", ("route",), _BUCKETS
)
_FIRST_BYTE: Final = _Family(
    "gatewayd_upstream_first_byte_seconds", "From the request sent to the agent's head.", ("route",), _BUCKETS
)
_OVERHEAD: Final = _Family(
    "gatewayd_overhead_seconds", "The gateway's own share of a request.", ("route",), _OVERHEAD_BUCKETS
)
_REJECTED: Final = _Family("gatewayd_rejected", "Requests refused, by code.", ("reason",))
_ABORTS: Final = _Family("gatewayd_client_aborts", "Callers that left before the end.")
_UNITS: Final = _Family("gatewayd_usage_units", "Units charged.", ("agent", "unit", "plan"))
_FAMILIES: Final = (_REQUESTS, _DURATION, _FIRST_BYTE, _OVERHEAD, _REJECTED, _ABORTS, _UNITS)


class _Histogram:
    """How many values came up to each bound, the last for those beyond, and their sum."""

    __slots__ = ("_bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        self.counts[bisect_left(self._bounds, value)] += 1
        self.total += value


class _RouteMetrics:
    """The histograms of one route."""

    __slots__ = ("duration", "first_byte", "overhead")

    def __init__(self) -> None:
        self.duration = _Histogram(_DURATION.buckets)
        self.first_byte = _Histogram(_FIRST_BYTE.buckets)
        self.overhead = _Histogram(_OVERHEAD.buckets)


class Metrics:
    """Counts what it is shown. Mutable by nature; one for each process."""

    def __init__(self) -> None:
        self._requests: dict[tuple[str, str, int], int] = {}
        self._rejected: dict[str, int] = {}
        self._aborts = 0
        self._units: dict[Labels, int] = {}
        self._routes: dict[str, _RouteMetrics] = {}
        self._gauges: dict[str, tuple[str, Callable[[], float]]] = {}

    def watch(self, name: str, help_text: str, read: Callable[[], float]) -> None:
        """Show what somebody else counts, as it stands at the moment of a scrape."""
        self._gauges[name] = help_text, read

    def report(self, exchange: Exchange) -> None:
        """Count an ended request."""
        route = exchange.route.name or (_OWN if exchange.route.own else _UNROUTED)
        key = (route, exchange.request.method, exchange.status)
        self._requests[key] = self._requests.get(key, 0) + 1
        histograms = self._routes.get(route)
        if histograms is None:
            histograms = self._routes[route] = _RouteMetrics()
        histograms.duration.observe(exchange.ended - exchange.started)
        if exchange.first_byte:
            histograms.first_byte.observe(exchange.first_byte - exchange.reached)
            histograms.overhead.observe(exchange.overhead)
        if exchange.code == ClientClosed.code:
            self._aborts += 1
        elif exchange.code:
            self._rejected[exchange.code] = self._rejected.get(exchange.code, 0) + 1
        if exchange.quantity:
            self._charge(exchange)

    def _charge(self, exchange: Exchange) -> None:
        identity = exchange.proved
        plan = exchange.plan(identity) if identity is not None else None
        labels = exchange.route.name, exchange.unit, plan.name if plan is not None else ""
        self._units[labels] = self._units.get(labels, 0) + exchange.quantity

    def samples(self) -> dict[str, Any]:
        """All of it as plain lists, for another process to add up."""
        routes = self._routes.items()
        return {
            "counters": {
                _REQUESTS.name: [
                    [[route, method, str(code)], n] for (route, method, code), n in self._requests.items()
                ],
                _REJECTED.name: [[[reason], count] for reason, count in self._rejected.items()],
                _ABORTS.name: [[[], self._aborts]],
                _UNITS.name: [[list(labels), count] for labels, count in self._units.items()],
            },
            "histograms": {
                _DURATION.name: [[[route], [each.duration.total, *each.duration.counts]] for route, each in routes],
                _FIRST_BYTE.name: [
                    [[route], [each.first_byte.total, *each.first_byte.counts]] for route, each in routes
                ],
                _OVERHEAD.name: [[[route], [each.overhead.total, *each.overhead.counts]] for route, each in routes],
            },
            "gauges": {name: [help_text, read()] for name, (help_text, read) in self._gauges.items()},
        }

    def text(self) -> bytes:
        """All of it in Prometheus' text format."""
        return Tally.of([self.samples()]).text()


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
        self.gauges[name] = help_text, max(before, value) if name in _SAME_EVERYWHERE else before + value

    def lasting(self) -> dict[str, Any]:
        """What stays true of a process that is gone, as samples: all that only ever grows."""
        return {
            "counters": {name: _listed(counts) for name, counts in self.counters.items()},
            "histograms": {name: _listed(series) for name, series in self.histograms.items()},
        }

    def requests(self) -> dict[tuple[str, int], int]:
        """Ended requests by route and status."""
        totals: dict[tuple[str, int], int] = {}
        for (route, _, code), count in self.counters.get(_REQUESTS.name, {}).items():
            totals[route, int(code)] = totals.get((route, int(code)), 0) + int(count)
        return totals

    def text(self) -> bytes:
        """All of it in Prometheus' text format."""
        registry = CollectorRegistry()
        registry.register(self)
        return generate_latest(registry)

    def collect(self) -> Iterator[Metric]:
        """What prometheus_client writes."""
        for family in _FAMILIES:
            yield self._histogram(family) if family.buckets else self._counter(family)
        build = GaugeMetricFamily("gatewayd_build_info", "The version that runs.", labels=["version"])
        build.add_metric([__version__], 1)
        yield build
        for name, (help_text, value) in self.gauges.items():
            yield GaugeMetricFamily(name, help_text, value=value)

    def _counter(self, family: _Family) -> Metric:
        metric = CounterMetricFamily(family.name, family.help, labels=family.labels)
        for labels, count in self.counters.get(family.name, {}).items():
            metric.add_metric(labels, count)
        return metric

    def _histogram(self, family: _Family) -> Metric:
        metric = HistogramMetricFamily(family.name, family.help, labels=family.labels)
        bounds = [*map(floatToGoString, family.buckets), "+Inf"]
        for labels, (total, *counts) in self.histograms.get(family.name, {}).items():
            if any(counts):
                metric.add_metric(labels, list(zip(bounds, accumulate(counts), strict=True)), total)
        return metric


def _listed(series: Mapping[Labels, Any]) -> Sequence[Any]:
    return [[list(labels), value] for labels, value in series.items()]
