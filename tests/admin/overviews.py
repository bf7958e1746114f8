"""Documents as the observatory makes them, for what only shows them."""

from collections.abc import Mapping, Sequence
from typing import Any

from gatewayd.admin.counts import Counts, RouteCounts
from gatewayd.admin.overview import overview
from gatewayd.admin.states import AgentState
from gatewayd.admin.usage import Nearest, UserRow
from gatewayd.model import Balance

UTC = 1_764_000_000.0
ROUTES = ("email", "rag")


def status(**more: Any) -> dict[str, Any]:
    return {
        "pid": 7,
        "version": "0.1.0",
        "state": "serving",
        "uptime_seconds": 600.0,
        "listening": ["http://127.0.0.1:8080"],
        "connections": 3,
        "in_flight": 2,
        "generation": 1,
        "running_by_generation": {"1": 2},
        "routes": list(ROUTES),
        "ledger": {"up": True, "pending": 0, "drift": 0},
        "workers": [{"pid": 8}],
        "children": [{"name": "worker", "pid": 8, "state": "serving", "restarts": 0}],
    } | more


def sighting(request_id: str = "01a2", **more: Any) -> dict[str, Any]:
    return {
        "request_id": request_id,
        "time": "2025-11-24T16:00:00.000Z",
        "user": "ann",
        "plan": "free",
        "client": "127.0.0.1",
        "method": "GET",
        "path": "/api/email/x",
        "route": "email",
        "status": 502,
        "code": "upstream_connect",
        "outcome": "failed",
        "duration_ms": 12.5,
        "generation": 1,
        "decisions": [{"by": "auth", "decision": "pass", "reason": "the token proves ann"}],
    } | more


def near(user: str = "ann", spent: int = 9, limit: int = 10, unit: str = "api_calls") -> UserRow:
    return UserRow(Balance(user, unit, "2025-11", limit, 0, spent), "free", None)


def document(
    *,
    now: Counts | None = None,
    lately: Counts | None = None,
    states: Mapping[str, AgentState] | None = None,
    failures: Sequence[Mapping[str, Any]] = (),
    refusals: Sequence[Mapping[str, Any]] = (),
    nearest: Nearest | None = None,
    silent_since: float = 0.0,
    series: Mapping[str, Sequence[tuple[float, float]]] | None = None,
    in_flight: Mapping[str, int] | None = None,
    **more: Any,
) -> dict[str, Any]:
    """An overview; `more` is for the daemon's status."""
    quiet = Counts(60.0, {name: RouteCounts() for name in ROUTES})
    return overview(
        utc=UTC,
        silent_since=silent_since,
        status=status(**more),
        now=now or quiet,
        lately=lately or quiet,
        series=series or {},
        states=states or {},
        sighted={"failures": list(failures), "refusals": list(refusals), "in_flight": in_flight or {}},
        nearest=nearest or Nearest(),
    )
