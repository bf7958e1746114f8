"""What is said of each metric (contract, section 7): its name without `_total`, a sentence, labels, buckets."""

from dataclasses import dataclass
from typing import Final

Labels = tuple[str, ...]

# The agents' own ceilings are minutes, so the last bound is 120 s; the gateway's own time is below a millisecond.
BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)
OVERHEAD_BUCKETS: Final = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 1)


@dataclass(frozen=True, slots=True)
class Family:
    """One with buckets (upper bounds in seconds) is a histogram, another a counter."""

    name: str
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Gauge:
    """A level. `alike`: every process says the same, so the highest is shown and not the sum."""

    name: str
    help: str
    alike: bool = False


REQUESTS: Final = Family("gatewayd_requests", "Ended requests.", ("route", "method", "code"))
DURATION: Final = Family("gatewayd_request_duration_seconds", "From the first byte to the last.", ("route",), BUCKETS)
FIRST_BYTE: Final = Family(
    "gatewayd_upstream_first_byte_seconds", "From the request sent to the agent's head.", ("route",), BUCKETS
)
OVERHEAD: Final = Family(
    "gatewayd_overhead_seconds",
    "What the gateway itself took of requests to agents: before the agent was asked, and after it had answered.",
    ("route",),
    OVERHEAD_BUCKETS,
)
REJECTED: Final = Family("gatewayd_rejected", "Requests refused, by code.", ("reason",))
ABORTS: Final = Family("gatewayd_client_aborts", "Callers that left before the end.")
UNITS: Final = Family("gatewayd_usage_units", "Units charged.", ("agent", "unit", "plan"))
DROPPED: Final = Family(
    "gatewayd_log_lines_dropped", "Log lines not written: the log was full (too slow) or failed.", ("log", "reason")
)
FAMILIES: Final = (REQUESTS, DURATION, FIRST_BYTE, OVERHEAD, REJECTED, ABORTS, UNITS, DROPPED)

IN_FLIGHT: Final = Gauge("gatewayd_in_flight", "Requests being served.")
GENERATION: Final = Gauge("gatewayd_config_generation", "The configuration in force.", alike=True)
RELOADED: Final = Gauge("gatewayd_reload_success", "1 if the last reload was adopted, 0 if it was refused.", alike=True)
LAG: Final = Gauge(
    "gatewayd_event_loop_lag_seconds", "How late the latest event loop was at most, in the last 15 s.", alike=True
)
PENDING: Final = Gauge("gatewayd_ledger_pending", "What is on its way into the ledger.")
DRIFT: Final = Gauge("gatewayd_ledger_drift", "Units by which balances and records differ.")
GAUGES: Final = (IN_FLIGHT, GENERATION, RELOADED, LAG, PENDING, DRIFT)
BUILD: Final = "gatewayd_build_info"


def level(gauge: Gauge, value: float) -> dict[str, list[object]]:
    """The gauge as samples have it."""
    return {gauge.name: [gauge.help, value]}
