"""What is counted of each ended request, as cheaply as it can be: some additions to numbers in a sheet."""

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
from gatewayd.metrics.series import Counter, Histogram, Tab
from gatewayd.metrics.sheet import Sheet
from gatewayd.metrics.tally import Tally
from gatewayd.outbox import Outbox
from gatewayd.routing import Route

_UNROUTED: Final = "none"
_OWN: Final = "gateway"


class Metrics:
    """Counts what it is shown. Mutable by nature; one for each process.

    What it counted is on the sheet at once, or before the answer leaves that waits for others (`settle_with`).
    """

    def __init__(self, sheet: Sheet | None = None) -> None:
        """`sheet` may have what a predecessor counted: this goes on from there."""
        self._sheet = sheet or Sheet()
        self._numbers = self._sheet.numbers
        self._known = self._sheet.series()
        self._tab = Tab()
        self._outbox: Outbox | None = None
        self._requests: dict[tuple[str, str, int], Counter] = {}
        self._rejected: dict[str, int] = {}
        self._units: dict[Labels, Counter] = {}
        self._nowhere = Counter(self._numbers, 0)  # for what finds no room
        self._routes: dict[str, _Times] = {}
        self._times: _Times | None = None  # the latest route's, which is known by its name: nobody is to keep it
        self._aborts = self._at(ABORTS, ())
        self._gauges: dict[str, tuple[str, Callable[[], float]]] = {}

    def watch(self, gauge: Gauge, read: Callable[[], float]) -> None:
        """Show what somebody else counts, as it stands at the moment of a scrape."""
        self._gauges[gauge.name] = gauge.help, read

    def settle_with(self, outbox: Outbox) -> None:
        """Let what was counted wait with the answers in there, and go on the sheet before they leave."""
        self._outbox = outbox
        outbox.first = self._tab.settle

    def report(self, exchange: Exchange) -> None:
        """Count an ended request: on the sheet at once, but for one whose answer still waits in the outbox."""
        self._count(exchange)
        outbox = self._outbox
        if outbox is None or exchange.leaves != outbox.round:
            self._tab.settle()

    def _count(self, exchange: Exchange) -> None:
        tab = self._tab
        times, name = self._times, exchange.route.name
        if times is None or not name or times.route != name:
            times = self._times = self._times_of(exchange.route)
        if times.method != exchange.method or times.status != exchange.status:
            times.method, times.status = exchange.method, exchange.status
            times.requests = self._request((times.route, exchange.method, exchange.status))
        times.requests.add(1.0)
        tab.note(times.requests)
        times.duration.observe(exchange.ended - exchange.started)
        tab.note(times.duration)
        if exchange.first_byte:
            times.first_byte.observe(exchange.first_byte - exchange.reached)
            tab.note(times.first_byte)
        if exchange.asked:
            times.overhead.observe(exchange.overhead)
            tab.note(times.overhead)
        if exchange.code:
            self._refused(exchange.code)
        if exchange.quantity:
            self._charge(exchange, times)

    def _request(self, key: tuple[str, str, int]) -> Counter:
        if (counter := self._requests.get(key)) is None:
            route, method, status = key
            counter = self._counter(REQUESTS, (route, method, str(status)))
            if counter is not self._nowhere:
                self._requests[key] = counter
        return counter

    def _times_of(self, route: Route) -> "_Times":
        name = route.name or (_OWN if route.own else _UNROUTED)
        known = self._routes.get(name)
        return known if known is not None else self._begin(name)

    def _begin(self, route: str) -> "_Times":
        numbers, labels = self._numbers, (route,)
        times = self._routes[route] = _Times(
            route,
            Histogram(numbers, self._at(DURATION, labels), BUCKETS),
            Histogram(numbers, self._at(FIRST_BYTE, labels), BUCKETS),
            Histogram(numbers, self._at(OVERHEAD, labels), OVERHEAD_BUCKETS),
            self._nowhere,
        )
        return times

    def _refused(self, code: str) -> None:
        if code == ClientClosed.code:
            self._numbers[self._aborts] += 1
            return
        if (at := self._rejected.get(code)) is None:
            at = self._rejected[code] = self._at(REJECTED, (code,))
        self._numbers[at] += 1

    def _charge(self, exchange: Exchange, times: "_Times") -> None:
        identity = exchange.proved
        plan = exchange.plan(identity) if identity is not None else None
        unit, name = exchange.unit, plan.name if plan is not None else ""
        if times.unit != unit or times.plan != name:
            times.unit, times.plan = unit, name
            times.units = self._unit((exchange.route.name, unit, name))
        times.units.add(float(exchange.quantity))
        self._tab.note(times.units)

    def _unit(self, labels: Labels) -> Counter:
        if (counter := self._units.get(labels)) is None:
            counter = self._counter(UNITS, labels)
            if counter is not self._nowhere:
                self._units[labels] = counter
        return counter

    def _counter(self, family: Family, labels: Labels) -> Counter:
        at = self._at(family, labels)
        return Counter(self._numbers, at) if at else self._nowhere

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
        self._tab.settle()
        return self._sheet.samples() | self.levels()

    def text(self) -> bytes:
        """All of it in Prometheus' text format."""
        return Tally.of([self.samples()]).text()


class _Times:
    """How long requests of one route take, and what the last of them added to besides: the next one likely does too."""

    __slots__ = ("duration", "first_byte", "method", "overhead", "plan", "requests", "route", "status", "unit", "units")

    def __init__(
        self, route: str, duration: Histogram, first_byte: Histogram, overhead: Histogram, nowhere: Counter
    ) -> None:
        self.route = route
        self.duration = duration
        self.first_byte = first_byte
        self.overhead = overhead
        self.method = ""
        self.status = 0
        self.requests = nowhere
        self.unit = ""
        self.plan = ""
        self.units = nowhere
