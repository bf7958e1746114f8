"""The document that the page, `gatewayd top` and programs share: how the gateway is, at one look."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final

from gatewayd.admin.counts import NOT_AGENTS, Counts, RouteCounts
from gatewayd.admin.history import STEP, WINDOW
from gatewayd.admin.quantiles import quantile
from gatewayd.admin.states import AgentState, State
from gatewayd.admin.usage import Nearest, UserRow
from gatewayd.admin.verdict import verdict
from gatewayd.admin.wording import moment
from gatewayd.errors import ClientClosed, UpstreamTimeout
from gatewayd.metrics.families import FIRST_BYTE, OVERHEAD
from gatewayd.model import rfc3339

_P95: Final = 0.95
_SEVERITY: Final[Mapping[State, int]] = {"down": 0, "failing": 1, "up": 2, "quiet": 2}
_NO_LEDGER: Final = {"up": False, "pending": 0, "drift": 0}

Series = Mapping[str, Sequence[tuple[float, float]]]


def overview(
    *,
    utc: float,
    silent_since: float,
    status: Mapping[str, Any],
    now: Counts,
    lately: Counts,
    series: Series,
    states: Mapping[str, AgentState],
    sighted: Mapping[str, Any],
    nearest: Nearest,
) -> dict[str, Any]:
    """All of it, fit for JSON: rates are a second, times in seconds, shares of 1, `lately` is the last minute."""
    agents = [
        _agent(name, states.get(name, AgentState()), now, lately, series.get(name, ()), sighted["in_flight"])
        for name in _agents(status, now)
    ]
    facts = {
        "at": rfc3339(utc),
        "silent_since": moment(silent_since),
        "window_seconds": WINDOW,
        "step_seconds": STEP,
        "status": status,
        "ended": _totals(now.all()),
        "lately": _lately(lately),
        "in_flight": status["in_flight"],
        "agents": sorted(agents, key=lambda each: _SEVERITY[each["state"]]),
        "series": _all(series),
        "refusals": _refusals(now, lately),
        "nearest": _nearest(nearest),
        "failures": sighted["failures"],
        "refused": sighted["refusals"],
        "generations": {
            "current": status["generation"],
            "running": status["running_by_generation"],
            "last_reload": status.get("last_reload"),
        },
        "ledger": status["ledger"] or _NO_LEDGER,
    }
    return {"verdict": asdict(verdict(facts)), **facts}


def _totals(counts: RouteCounts) -> dict[str, int]:
    return {"requests": counts.total, "refused": counts.refused, "failed": counts.failed}


def _lately(lately: Counts) -> dict[str, Any]:
    counts = lately.all()
    return {
        "seconds": round(lately.at, 3),
        "ended": counts.total,
        "failed": counts.failed,
        "rate": counts.total / lately.at if lately.at else 0.0,
        "failed_share": counts.failed / counts.total if counts.total else None,
        "own_p95": quantile(_P95, OVERHEAD.buckets, counts.overhead),
        "agents_p95": quantile(_P95, FIRST_BYTE.buckets, counts.first_byte),
    }


def _agents(status: Mapping[str, Any], now: Counts) -> Sequence[str]:
    """Those that are configured; then those that were, as long as they are counted."""
    configured = list(status["routes"])
    return [*configured, *(name for name in now.routes if name not in {*configured, *NOT_AGENTS})]


def _agent(
    name: str,
    state: AgentState,
    now: Counts,
    lately: Counts,
    series: Sequence[tuple[float, float]],
    in_flight: Mapping[str, int],
) -> dict[str, Any]:
    ended, new = now.of(name), lately.of(name)
    timeouts = UpstreamTimeout.code
    return {
        "name": name,
        "state": state.state,
        "since": moment(state.since),
        "cause": state.cause,
        "in_flight": in_flight.get(name, 0),
        "timeouts": _coded(now, name, timeouts),
        **_totals(ended),
        "lately": {
            "ended": new.total,
            "failed": new.failed,
            "timeouts": _coded(lately, name, timeouts),
            "rate": new.total / lately.at if lately.at else 0.0,
            "p95": quantile(_P95, FIRST_BYTE.buckets, new.first_byte),
        },
        "series": [[round(all_, 3), round(failed, 3)] for all_, failed in series],
    }


def _coded(counts: Counts, route: str, code: str) -> int:
    return sum(count for (name, found, _), count in counts.codes.items() if (name, found) == (route, code))


def _all(series: Series) -> list[list[float]]:
    """Every route's added up, the newest last; a route that came later counts from then on."""
    longest = max(map(len, series.values()), default=0)
    rows = [[(0.0, 0.0)] * (longest - len(each)) + list(each) for each in series.values()]
    return [[round(sum(value[part] for value in step), 3) for part in (0, 1)] for step in zip(*rows, strict=True)]


def _refusals(now: Counts, lately: Counts) -> list[dict[str, Any]]:
    """What was refused, by reason, the most of the last minute first; a caller that left was not refused."""
    reasons = [
        {"code": code, "total": total, "lately": lately.reasons.get(code, 0)}
        for code, total in now.reasons.items()
        if code != ClientClosed.code
    ]
    return sorted(reasons, key=lambda each: (each["lately"], each["total"]), reverse=True)


def _nearest(nearest: Nearest) -> dict[str, Any]:
    return {"at": moment(nearest.at), "fault": nearest.fault or None, "users": [user_row(row) for row in nearest.rows]}


def user_row(row: UserRow) -> dict[str, Any]:
    """A user's use as JSON: as `gatewayd usage` says it, with a share of the limit and a forecast."""
    forecast = row.forecast
    return {
        "user": row.balance.user_id,
        "plan": row.plan or None,
        **row.balance.document(),
        "share": round(row.share, 6) if row.share is not None else None,
        "forecast": forecast.units if forecast is not None else None,
        "used_up_at": moment(forecast.used_up_at) if forecast is not None else None,
    }
