"""How long operators wait for the page and its JSON, with many users; and what a request pays to be seen."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter, process_time

import aiohttp
from aiohttp.test_utils import make_mocked_request

from gatewayd.admin.sightings import Sightings
from gatewayd.clock import SystemClock
from gatewayd.errors import RateLimited
from gatewayd.exchange import Exchange
from gatewayd.framing import Target
from gatewayd.model import BillingPeriod
from tests.admin.ledgers import fill_with_users
from tests.bench.declare import AsyncRound, Bench, Figure, Measured, Round, at_most, on_a_loop, scaled
from tests.clocks import ManualClock
from tests.gateways import running_gateway
from tests.policies.rings import EMAIL, Ring

USERS = 10_000
LOOKS = 40
REPORTS = 200_000
PATHS = {
    "now": "/",
    "overview": "/api/overview",
    "usage": "/usage",
    "json": "/api/usage",
    "user": "/usage/user?user=user-5",
}


@on_a_loop
@asynccontextmanager
async def looking(scale: float) -> AsyncIterator[AsyncRound]:
    users = [f"user-{number}" for number in range(scaled(USERS, scale, 100))]
    with TemporaryDirectory(prefix="bench-") as folder:
        await fill_with_users(Path(folder), users, BillingPeriod.at(SystemClock().utc()).name)
        async with running_gateway(Path(folder), "http://127.0.0.1:9") as gateway, aiohttp.ClientSession() as session:
            for _ in range(60):  # errors and refusals to be shown
                for headers in ({}, gateway.bearer("ann")):
                    async with session.get(gateway.url + "/api/email/x", headers=headers) as response:
                        await response.read()

            async def measure() -> Measured:
                return {name: await slowest(session, gateway.admin_url + path) for name, path in PATHS.items()}

            yield measure


async def slowest(session: aiohttp.ClientSession, url: str) -> float:
    """Milliseconds until the answer was whole: nineteen in twenty took less."""
    took = []
    for _ in range(LOOKS):
        began = perf_counter()
        async with session.get(url) as response:
            await response.read()
        took.append((perf_counter() - began) * 1000)
    return sorted(took)[LOOKS * 19 // 20 - 1]


@contextmanager
def seen(scale: float) -> Iterator[Round]:
    reports = scaled(REPORTS, scale)
    clock = ManualClock()
    ring = Ring(EMAIL, clock)
    exchange = Exchange(make_mocked_request("GET", "/api/email/x"), ring.generation, clock)
    exchange.target, exchange.route = Target("/api/email/x", "/api/email/x", ""), ring.generation.routes.routes[0]

    def measure() -> Measured:
        found = {}
        for name in ("fine", "flood"):
            exchange.status = 200
            if name == "flood":
                exchange.refused(RateLimited(retry_after=1))
            report, began = Sightings().report, process_time()
            for _ in range(reports):
                report(exchange)
            found[name] = (process_time() - began) / reports * 1e6
            exchange.code = ""
        return found

    yield measure


BENCHES = (
    Bench(
        "page.looking",
        tuple(
            Figure(name, "ms", f"{path} with {USERS:,} users, 95th percentile", at_most(50))
            for name, path in PATHS.items()
        ),
        looking,
    ),
    Bench(
        "page.seen",
        (
            Figure("fine", "µs CPU", "what a request pays that went well", at_most(0.5)),
            Figure("flood", "µs CPU", "what one pays that is refused, among many in a second", at_most(1)),
        ),
        seen,
    ),
)
