"""What a daemon says of itself: each worker's part, added up."""

import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gatewayd import __version__
from gatewayd.build import BUILD
from gatewayd.config.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstances:
    """What is true of the daemon as a whole."""

    state: str
    uptime: float
    listening: Sequence[str]
    admin: str | None
    ledger: Mapping[str, Any] | None  # the bookkeeper's status, if it says anything
    last_reload: Mapping[str, Any] | None = None  # when it was, whether it was adopted, and why not


def describe(
    settings: Settings,
    daemon: Circumstances,
    workers: Sequence[Mapping[str, Any]],
    children: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """The daemon's status; `workers` are their own parts (Worker.status), {} for one that says nothing."""
    return {
        "pid": os.getpid(),
        "version": __version__,
        "build": BUILD,
        "state": daemon.state,
        "uptime_seconds": round(daemon.uptime, 3),
        "listening": daemon.listening,
        "admin": daemon.admin,
        "connections": _sum(workers, "connections"),
        "in_flight": _sum(workers, "in_flight"),
        "generation": _highest(workers, "generation"),
        "running_by_generation": running_by_generation(workers),
        "routes": sorted(settings.routes),
        "plans": {plan.name: plan.quota for plan in settings.plans.values()},
        "last_reload": daemon.last_reload,
        "ledger": daemon.ledger,
        "accounts": _highest(workers, "accounts"),
        "workers": workers,
        "children": children,
    }


def running_by_generation(workers: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    """How many requests run on each generation."""
    running: Counter[str] = Counter()
    for each in workers:
        running.update(each.get("running_by_generation", {}))
    return dict(sorted(running.items(), key=lambda item: int(item[0])))


def _sum(workers: Sequence[Mapping[str, Any]], key: str) -> int:
    return sum(each.get(key, 0) for each in workers)


def _highest(workers: Sequence[Mapping[str, Any]], key: str) -> int:
    return max((each.get(key, 0) for each in workers), default=0)
