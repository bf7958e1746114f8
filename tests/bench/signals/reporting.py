"""What a request pays for its metrics and its line, beside what prometheus-client's own way would cost.

In its multiprocess mode, that is: a file for each process, in memory that is mapped.
"""

import os
import subprocess
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from time import process_time

from aiohttp.test_utils import make_mocked_request

from gatewayd.clock import SystemClock
from gatewayd.config.loading import parse
from gatewayd.drain import Drain
from gatewayd.exchange import Exchange
from gatewayd.framing import Target
from gatewayd.generation import Generation, Stores
from gatewayd.identity.tokens import TokenVerifier
from gatewayd.metrics import Metrics
from gatewayd.model import Identity, Outcome
from gatewayd.pinning import Generations
from gatewayd.policies import POLICIES
from gatewayd.policies.log_line import line
from gatewayd.routing import Route, RouteTable
from tests.bench.declare import Bench, Figure, Measured, Round, at_most, scaled
from tests.gateways import CONFIG, PLANS, ROUTE, SECRET
from tests.standins import Accounts, BookLedger
from tests.stores.counters import small

REQUESTS = 100_000
MICRO = 1e6
KEPT = 256
"""Requests that are reported in turn, so that no line is made of what a cache has just seen."""


def exchanges() -> Sequence[Exchange]:
    """Delivered calls as a worker has them in the end."""
    clock = SystemClock()
    text = CONFIG.format(state="/nowhere", server="", general=PLANS) + ROUTE.format(upstream="http://127.0.0.1:9")
    settings = parse(text, "bench.toml", {"SECRET": SECRET}).settings
    route = settings.routes["email"]
    routes = RouteTable(
        [Route.with_rules(route.name, route.prefix, [policy.rule(settings, route) for policy in POLICIES])],
        {},
        unknown=Route.with_rules("", "", []),
    )
    stores = Stores(small(clock), BookLedger(), Accounts({}))
    generation = Generation(1, settings, routes, TokenVerifier(settings.auth, clock), stores)
    begin = Generations(generation, clock, Drain()).begin
    return [ended(begin(make_mocked_request("POST", "/api/email/process")), number) for number in range(KEPT)]


def ended(exchange: Exchange, number: int) -> Exchange:
    """As if it had taken some milliseconds, most of them its agent's."""
    exchange.client = "192.0.2.1"
    exchange.target = Target("/api/email/process", "", "/api/email/process")
    exchange.route = exchange.generation.routes.routes[0]
    exchange._identity = Identity(f"user-{number}", "free", frozenset(), None, None, 2e9)
    exchange.status, exchange.outcome = 200, Outcome.DELIVERED
    exchange.unit, exchange.quantity = "api_calls", 1
    exchange.bytes_in, exchange.bytes_out = 160, 913
    exchange.asked = exchange.started + 0.0001
    exchange.reached = exchange.started + 0.0002
    exchange.first_byte = exchange.started + 0.004
    exchange.answered = exchange.started + 0.0041
    exchange.ended = exchange.started + 0.0042
    return exchange


@contextmanager
def own(scale: float) -> Iterator[Round]:
    requests, given = scaled(REQUESTS, scale, KEPT), exchanges()
    metrics = Metrics()
    lines: deque[bytes] = deque(maxlen=KEPT)  # as many as wait for their thread

    def measure() -> Measured:
        begun = process_time()
        for number in range(requests):
            metrics.report(given[number % KEPT])
        counted = process_time()
        for number in range(requests):
            lines.append(line(given[number % KEPT]))
        written = process_time()
        return {
            "metrics": (counted - begun) / requests * MICRO,
            "line": (written - counted) / requests * MICRO,
            "whole": (written - begun) / requests * MICRO,
        }

    yield measure


# In a process of its own: the library decides when it is imported, by a variable, which way it counts.
_THEIRS = """
import sys, time
from prometheus_client import Counter, Histogram
requests = int(sys.argv[1])
buckets = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)
counter = Counter("requests", "", ("route", "method", "code")).labels("email", "POST", "200")
units = Counter("units", "", ("agent", "unit", "plan")).labels("email", "api_calls", "free")
times = [Histogram(name, "", ("route",), buckets=buckets).labels("email") for name in ("duration", "first", "own")]
begun = time.process_time()
for _ in range(requests):
    counter.inc()
    units.inc()
    for each in times:
        each.observe(0.004)
print(time.process_time() - begun)
"""


@contextmanager
def theirs(scale: float) -> Iterator[Round]:
    requests = scaled(REQUESTS, scale, KEPT)
    with TemporaryDirectory(prefix="bench-") as folder:
        place = Path(folder)

        def measure() -> Measured:
            found = subprocess.run(
                [sys.executable, "-c", _THEIRS, str(requests)],
                env=os.environ | {"PROMETHEUS_MULTIPROC_DIR": str(place)},
                check=True,
                capture_output=True,
                text=True,
            )
            return {"metrics": float(found.stdout) / requests * MICRO}

        yield measure


BENCHES = (
    Bench(
        "signals.request",
        (
            Figure("metrics", "µs CPU", "counting an ended request: 2 counters, 3 histograms"),
            Figure("line", "µs CPU", "making its line of the access log"),
            Figure("whole", "µs CPU", "both", at_most(5)),
        ),
        own,
    ),
    Bench(
        "signals.multiprocess",
        (Figure("metrics", "µs CPU", "the same numbers in prometheus-client's multiprocess mode, labels kept"),),
        theirs,
    ),
)
