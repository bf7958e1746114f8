"""Numbers about ended requests, for Prometheus and for the admin page. No user and no path is a label."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.exposition import generate_latest

from gatewayd import __version__
from gatewayd.errors import ClientClosed
from gatewayd.exchange import Exchange

disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series for each, which says when this process met it first

_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)
_OVERHEAD_BUCKETS: Final = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 1)
_UNROUTED: Final = "none"
_OWN: Final = "gateway"


@dataclass(frozen=True, slots=True)
class _RouteMetrics:
    """The children of one route, looked up once: finding a child by its labels costs twice what counting does."""

    duration: Histogram
    first_byte: Histogram
    overhead: Histogram


class Metrics:
    """Counts what it is shown. Mutable by nature; one for each process, with a registry of its own."""

    def __init__(self) -> None:
        registry = self.registry = CollectorRegistry()
        self._requests = Counter("gatewayd_requests", "Ended requests.", ("route", "method", "code"), registry=registry)
        self._duration = _histogram(registry, "gatewayd_request_duration_seconds", "From the first byte to the last.")
        self._first_byte = _histogram(
            registry, "gatewayd_upstream_first_byte_seconds", "From the request sent to the agent's head."
        )
        self._overhead = _histogram(
            registry, "gatewayd_overhead_seconds", "The gateway's own share of a request.", _OVERHEAD_BUCKETS
        )
        self._rejected = Counter("gatewayd_rejected", "Requests refused, by code.", ("reason",), registry=registry)
        self._aborts = Counter("gatewayd_client_aborts", "Callers that left before the end.", registry=registry)
        self._units = Counter("gatewayd_usage_units", "Units charged.", ("agent", "unit", "plan"), registry=registry)
        self._routes: dict[str, _RouteMetrics] = {}
        self._counts: dict[tuple[str, str, int], Counter] = {}
        build = Gauge("gatewayd_build_info", "The version that runs.", ("version",), registry=registry)
        build.labels(__version__).set(1)

    def watch(self, name: str, help_text: str, read: Callable[[], float]) -> None:
        """Show what somebody else counts, as it stands at the moment of a scrape."""
        Gauge(name, help_text, registry=self.registry).set_function(read)

    def report(self, exchange: Exchange) -> None:
        """Count an ended request."""
        route = exchange.route.name or (_OWN if exchange.route.own else _UNROUTED)
        self._count(route, exchange.request.method, exchange.status)
        children = self._routes.get(route) or self._new_route(route)
        children.duration.observe(exchange.ended - exchange.started)
        if exchange.first_byte:
            children.first_byte.observe(exchange.first_byte - exchange.reached)
            children.overhead.observe(exchange.overhead)
        if exchange.code == ClientClosed.code:
            self._aborts.inc()
        elif exchange.code:
            self._rejected.labels(exchange.code).inc()
        if exchange.quantity:
            self._charge(exchange)

    def _count(self, route: str, method: str, status: int) -> None:
        key = (route, method, status)
        if (child := self._counts.get(key)) is None:
            child = self._counts[key] = self._requests.labels(route, method, str(status))
        child.inc()

    def _charge(self, exchange: Exchange) -> None:
        identity = exchange.proved
        plan = exchange.plan(identity) if identity is not None else None
        labels = exchange.route.name, exchange.unit, plan.name if plan is not None else ""
        self._units.labels(*labels).inc(exchange.quantity)

    def _new_route(self, route: str) -> _RouteMetrics:
        children = _RouteMetrics(
            self._duration.labels(route), self._first_byte.labels(route), self._overhead.labels(route)
        )
        self._routes[route] = children
        return children

    def text(self) -> bytes:
        """All of it in Prometheus' text format."""
        return generate_latest(self.registry)

    def requests(self) -> dict[tuple[str, int], int]:
        """Ended requests by route and status."""
        totals: dict[tuple[str, int], int] = {}
        for sample in (sample for family in self._requests.collect() for sample in family.samples):
            if sample.name.endswith("_total"):
                key = sample.labels["route"], int(sample.labels["code"])
                totals[key] = totals.get(key, 0) + int(sample.value)
        return totals


def _histogram(
    registry: CollectorRegistry, name: str, help_text: str, buckets: tuple[float, ...] = _BUCKETS
) -> Histogram:
    return Histogram(name, help_text, ("route",), registry=registry, buckets=buckets)
