"""What is counted of each ended request, as cheaply as it can be: some additions to numbers in a sheet."""

from bisect import bisect_left
from collections.abc import Callable
from typing import Any, Final

from gatewayd.errors import ClientClosed
from gatewayd.exchange import Exchange
from gatewayd.metrics.families import (
    ABORTS,
    BUCKETS,
    DURATION,
    FIRST_BYTE,
    OVERHEAD,
    OVERHEAD_BUCKETS,
    REJECTED,
    REQUESTS,
    UNITS,
    Family,
    Gauge,
    Labels,
)
from gatewayd.metrics.sheet import Sheet
from gatewayd.metrics.tally import Tally

_UNROUTED: Final = "none"
_OWN: Final = "gateway"


class Metrics:
    """Counts what it is shown. Mutable by nature; one for each process."""

    def __init__(self, sheet: Sheet | None = None) -> None:
        """`sheet` may have what a predecessor counted: this goes on from there."""
        self._sheet = sheet or Sheet()
        self._numbers = self._sheet.numbers
        self._known = self._sheet.series()
        self._requests: dict[tuple[str, str, int], int] = {}
        self._rejected: dict[str, int] = {}
        self._units: dict[Labels, int] = {}
        self._routes: dict[str, tuple[int, int, int]] = {}
        self._aborts = self._at(ABORTS, ())
        self._gauges: dict[str, tuple[str, Callable[[], float]]] = {}

    def watch(self, gauge: Gauge, read: Callable[[], float]) -> None:
        """Show what somebody else counts, as it stands at the moment of a scrape."""
        self._gauges[gauge.name] = gauge.help, read

    def report(self, exchange: Exchange) -> None:
        """Count an ended request."""
        numbers = self._numbers
        route = exchange.route.name or (_OWN if exchange.route.own else _UNROUTED)
        key = (route, exchange.request.method, exchange.status)
        at = self._requests.get(key)
        numbers[at if at is not None else self._request(key)] += 1
        duration, first_byte, overhead = self._routes.get(route) or self._route(route)
        _observe(numbers, duration, BUCKETS, exchange.ended - exchange.started)
        if exchange.first_byte:
            _observe(numbers, first_byte, BUCKETS, exchange.first_byte - exchange.reached)
        if exchange.asked:
            _observe(numbers, overhead, OVERHEAD_BUCKETS, exchange.overhead)
        if exchange.code:
            self._refused(exchange.code)
        if exchange.quantity:
            self._charge(exchange)

    def _request(self, key: tuple[str, str, int]) -> int:
        route, method, status = key
        at = self._at(REQUESTS, (route, method, str(status)))
        if at:
            self._requests[key] = at
        return at

    def _route(self, route: str) -> tuple[int, int, int]:
        places = (self._at(DURATION, (route,)), self._at(FIRST_BYTE, (route,)), self._at(OVERHEAD, (route,)))
        if all(places):
            self._routes[route] = places
        return places

    def _refused(self, code: str) -> None:
        if code == ClientClosed.code:
            self._numbers[self._aborts] += 1
            return
        if (at := self._rejected.get(code)) is None:
            at = self._rejected[code] = self._at(REJECTED, (code,))
        self._numbers[at] += 1

    def _charge(self, exchange: Exchange) -> None:
        identity = exchange.proved
        plan = exchange.plan(identity) if identity is not None else None
        labels = exchange.route.name, exchange.unit, plan.name if plan is not None else ""
        if (at := self._units.get(labels)) is None:
            at = self._at(UNITS, labels)
            if at:
                self._units[labels] = at
        self._numbers[at] += exchange.quantity

    def _at(self, family: Family, labels: Labels) -> int:
        """Where the series is; 0 if there is no room for it. A histogram is its sum, then the count of each bucket."""
        if (known := self._known.get((family.name, labels))) is not None:
            return known
        if self._sheet.full:
            return 0
        return self._sheet.add(family.name, labels, len(family.buckets) + 2 if family.buckets else 1)

    def levels(self) -> dict[str, Any]:
        """What is watched, as it stands now, as samples."""
        return {"gauges": {name: [help_text, read()] for name, (help_text, read) in self._gauges.items()}}

    def samples(self) -> dict[str, Any]:
        """All of it as plain lists, for another process to add up."""
        return self._sheet.samples() | self.levels()

    def text(self) -> bytes:
        """All of it in Prometheus' text format."""
        return Tally.of([self.samples()]).text()


def _observe(numbers: "memoryview[float]", at: int, bounds: tuple[float, ...], value: float) -> None:
    numbers[at] += value
    numbers[at + 1 + bisect_left(bounds, value)] += 1
