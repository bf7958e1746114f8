"""What was counted up to one moment, in the shape that rates and shares are made of."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from gatewayd.metrics import Tally
from gatewayd.metrics.families import FIRST_BYTE, OVERHEAD, REJECTED

NOT_AGENTS: Final = frozenset({"none", "gateway"})
"""Routes in metrics that are no agent's: paths that no route claims, and the gateway's own."""

Buckets = Sequence[float]


@dataclass(frozen=True, slots=True)
class RouteCounts:
    """One route's ended requests: all, answered 4xx, answered 5xx; and its histograms, as counts by bucket."""

    total: int = 0
    refused: int = 0
    failed: int = 0
    overhead: Buckets = ()
    first_byte: Buckets = ()

    def since(self, before: "RouteCounts") -> "RouteCounts":
        """What came on top of an earlier count; never less than nothing, if a process died with its last numbers."""
        return RouteCounts(
            max(0, self.total - before.total),
            max(0, self.refused - before.refused),
            max(0, self.failed - before.failed),
            _less(self.overhead, before.overhead),
            _less(self.first_byte, before.first_byte),
        )


@dataclass(frozen=True, slots=True)
class Counts:
    """`at` is monotonic; `reasons` are refusals by code, `codes` the same by route and status too."""

    at: float
    routes: Mapping[str, RouteCounts] = field(default_factory=dict)
    reasons: Mapping[str, int] = field(default_factory=dict)
    codes: Mapping[tuple[str, str, int], int] = field(default_factory=dict)

    def since(self, before: "Counts") -> "Counts":
        """What came on top of an earlier moment; `at` is then how long that was, in seconds."""
        return Counts(
            self.at - before.at,
            {name: each.since(before.routes.get(name, _NOTHING)) for name, each in self.routes.items()},
            _fewer(self.reasons, before.reasons),
            _fewer(self.codes, before.codes),
        )

    def all(self) -> RouteCounts:
        """Every route's, added up."""
        routes = self.routes.values()
        return RouteCounts(
            sum(each.total for each in routes),
            sum(each.refused for each in routes),
            sum(each.failed for each in routes),
            _summed(each.overhead for each in routes),
            _summed(each.first_byte for each in routes),
        )

    def of(self, route: str) -> RouteCounts:
        return self.routes.get(route, _NOTHING)


_NOTHING: Final = RouteCounts()


def counts(at: float, tally: Tally, codes: Iterable[Sequence[Any]]) -> Counts:
    """From metrics, and from what workers have sighted by route and code."""
    requests = tally.requests()
    overhead, first_byte = _buckets(tally, OVERHEAD.name), _buckets(tally, FIRST_BYTE.name)
    routes = {
        name: RouteCounts(
            _total(requests, name, 0, 1000),
            _total(requests, name, 400, 500),
            _total(requests, name, 500, 1000),
            overhead.get(name, ()),
            first_byte.get(name, ()),
        )
        for name in sorted({route for route, _ in requests})
    }
    return Counts(at, routes, _reasons(tally), {(route, code, status): count for route, code, status, count in codes})


def _buckets(tally: Tally, name: str) -> dict[str, Buckets]:
    return {labels[0]: tuple(each) for labels, (_, *each) in tally.histograms.get(name, {}).items()}


def _reasons(tally: Tally) -> dict[str, int]:
    return {labels[0]: int(count) for labels, count in tally.counters.get(REJECTED.name, {}).items()}


def _total(requests: Mapping[tuple[str, int], int], route: str, least: int, below: int) -> int:
    return sum(count for (name, status), count in requests.items() if name == route and least <= status < below)


def _less(now: Buckets, before: Buckets) -> Buckets:
    if not before:
        return now
    return tuple(max(0, new - old) for new, old in zip(now, before, strict=True))


def _summed(several: Iterable[Buckets]) -> Buckets:
    return tuple(map(sum, zip(*(each for each in several if each), strict=True)))


def _fewer(now: Mapping[Any, int], before: Mapping[Any, int]) -> dict[Any, int]:
    return {key: count - before.get(key, 0) for key, count in now.items() if count > before.get(key, 0)}
