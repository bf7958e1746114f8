"""What a worker remembers of requests that went wrong, for the page: bounded, and next to nothing for one that did not.

Metrics count everything; here is what they must not have: names, paths, request ids.
"""

from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from gatewayd.admin.decisions import decisions
from gatewayd.errors import ClientClosed
from gatewayd.exchange import Exchange
from gatewayd.model import rfc3339

KEPT: Final = 40
"""Of each kind, in each worker."""
A_SECOND: Final = 20
"""Of each kind: in a flood of errors the rest of a second is counted only."""
_LONGEST: Final = 200  # characters of what callers choose


class _Ring:
    """The last of one kind, newest last. Mutable."""

    def __init__(self) -> None:
        self.kept: deque[dict[str, Any]] = deque(maxlen=KEPT)
        self._second = 0
        self._room = 0

    def has_room(self, now: float) -> bool:
        if (second := int(now)) != self._second:
            self._second, self._room = second, A_SECOND
        self._room -= 1
        return self._room >= 0


class Sightings:
    """Reports ended requests. Mutable by nature; one for each process."""

    def __init__(self) -> None:
        self._codes: dict[tuple[str, str, int], int] = {}
        self._failures = _Ring()
        self._refusals = _Ring()

    def report(self, exchange: Exchange) -> None:
        """Remember it if it went wrong."""
        code = exchange.code
        if not code and exchange.status < 500:
            return
        if code:
            key = exchange.route.name, code, exchange.status
            self._codes[key] = self._codes.get(key, 0) + 1
            if code == ClientClosed.code:
                return
        ring = self._failures if exchange.status >= 500 or exchange.reached else self._refusals
        if ring.has_room(exchange.ended):
            ring.kept.append(sighting(exchange))

    def samples(self, in_flight: Iterable[Exchange] = ()) -> dict[str, Any]:
        """All of it as plain lists, with what is in flight now by route."""
        return {
            "codes": [[*key, count] for key, count in self._codes.items()],
            "failures": list(self._failures.kept),
            "refusals": list(self._refusals.kept),
            "in_flight": Counter(exchange.route.name for exchange in in_flight),
        }


def sighting(exchange: Exchange) -> dict[str, Any]:
    """What an operator may know of one request: no token, no query, no body; what callers chose is cut short."""
    identity, route = exchange.proved, exchange.route
    plan = exchange.plan(identity) if identity is not None else None
    return {
        "request_id": exchange.request_id,
        "time": rfc3339(exchange.started_at),
        "user": _short(identity.user) if identity is not None else None,
        "plan": plan.name if plan is not None else None,
        "client": exchange.client,
        "method": exchange.method,
        "path": _short(exchange.target.path),
        "route": route.name or None,
        "status": exchange.status,
        "code": exchange.code or None,
        "outcome": exchange.outcome,
        "duration_ms": round((exchange.ended - exchange.started) * 1000, 3),
        "generation": exchange.generation.number,
        "decisions": [
            {"by": name, "decision": finding.decision, "reason": _short(finding.reason)}
            for name, finding in decisions(exchange)
        ],
    }


def _short(text: str) -> str:
    """Fit for JSON too: half a surrogate pair is none of its characters."""
    cut = text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
    return cut.encode("utf-8", "replace").decode()


def merged(several: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """What several workers have seen, as one of them would say it; the newest come first."""
    codes: Counter[tuple[str, str, int]] = Counter()
    in_flight: Counter[str] = Counter()
    parts = list(several)
    for part in parts:
        codes.update({tuple(key): count for *key, count in part.get("codes", ())})
        in_flight.update(part.get("in_flight", {}))
    return {
        "codes": [[*key, count] for key, count in sorted(codes.items())],
        "failures": _newest(part.get("failures", ()) for part in parts),
        "refusals": _newest(part.get("refusals", ()) for part in parts),
        "in_flight": dict(in_flight),
    }


def _newest(rings: Iterable[Sequence[Mapping[str, Any]]]) -> list[Mapping[str, Any]]:
    return sorted((each for ring in rings for each in ring), key=_age, reverse=True)[:KEPT]


def _age(each: Mapping[str, Any]) -> str:
    request_id: str = each["request_id"]  # which sorts by time
    return request_id
