"""What a call costs in each gateway: 32 callers of 1,000 users, POST of 160 bytes, JSON answer of 913."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import partial
from time import process_time
from typing import Final

from tests.bench import machine
from tests.bench.declare import AsyncRound, Bench, Figure, Measured, Ratio, at_least, at_most, on_a_loop
from tests.bench.plane import gateways
from tests.bench.plane.agent import PREFIX, agent
from tests.bench.plane.gateways import Gate, Gateway
from tests.bench.plane.load import LONGEST, Callers, Load, in_turn
from tests.bench.plane.processes import spent
from tests.bench.plane.wire import Tokens

SECONDS: Final = 3.0
WARM_UP: Final = 1.0
USERS: Final = 1_000
MICRO: Final = 1e6
MILLI: Final = 1e3
PATH: Final = f"{PREFIX}0/process?draft=1"

FIGURES: Final = (
    Figure("cpu", "µs CPU", "the gateway's, all its processes, for a request"),
    Figure("worker", "µs CPU", "of that, the process's that used most"),
    Figure("rate", "requests/s", "how many are served, by one core"),
    Figure("p50", "ms", "half of the answers were there in this time"),
    Figure("p99", "ms", "99 of 100 answers were there in this time"),
    Figure("memory", "MiB", "what the gateway's processes have in RAM after it"),
    Figure("load", "core", "the share of their core that load and agent used: near 1 they were the limit"),
)


async def measured(
    gateway: Gateway, callers: Callers, users: Iterator[int], seconds: float = LONGEST
) -> dict[str, float]:
    """A time of load, as the figures say it."""
    before = gateway.tree.cpu_seconds()
    load = await callers.ask(users, seconds)
    used = spent(before, gateway.tree.cpu_seconds()).values()
    return {
        "cpu": sum(used) / load.requests * MICRO,
        "worker": max(used) / load.requests * MICRO,
        "memory": gateway.tree.resident_bytes() / 2**20,
        **_of(load),
    }


def _of(load: Load) -> dict[str, float]:
    return {
        "rate": load.rate,
        "p50": load.quantile(0.5) * MILLI,
        "p99": load.quantile(0.99) * MILLI,
        "load": load.own,
    }


@on_a_loop
@asynccontextmanager
async def compared(scale: float, *, gate: Gate) -> AsyncIterator[AsyncRound]:
    machine.pin(machine.BESIDE)
    async with agent() as upstream, gate(upstream) as gateway:
        callers, users = Callers(gateway.port, Tokens(USERS), [PATH]), in_turn(USERS)
        await callers.connect()

        async def measure() -> Measured:
            # Others were measured meanwhile: what a gateway puts away when nobody calls, it has to fetch again.
            await callers.ask(users, WARM_UP * scale)
            return await measured(gateway, callers, users, SECONDS * scale)

        yield measure
        callers.close()


@on_a_loop
@asynccontextmanager
async def direct(scale: float) -> AsyncIterator[AsyncRound]:
    """The callers at the agent itself: what the load costs, and the most that it can do."""
    machine.pin(machine.BESIDE)
    async with agent() as upstream:
        callers, users = Callers(upstream, Tokens(USERS), [PATH]), in_turn(USERS)
        await callers.connect()

        async def measure() -> Measured:
            begun = process_time()
            load = await callers.ask(users, SECONDS * scale)
            return {"cpu": (process_time() - begun) / load.requests * MICRO, **_of(load)}

        yield measure
        callers.close()


def _compared(name: str, gate: Gate, peer: str | None = None) -> Bench:
    return Bench(f"plane.{name}", FIGURES, partial(compared, gate=gate), pinned=False, peer=peer)


BENCHES: Final = (
    Bench(
        "plane.direct",
        (
            Figure("cpu", "µs CPU", "load and agent's own, for a request"),
            *(each for each in FIGURES if each.name not in {"cpu", "worker", "memory"}),
        ),
        direct,
        pinned=False,
    ),
    _compared("gatewayd", gateways.gatewayd),
    _compared("envoy", gateways.envoy, "envoy"),
    _compared("caddy", gateways.caddy, "caddy"),
    _compared("nginx", gateways.nginx, "nginx"),
    _compared("haproxy", gateways.haproxy, "haproxy"),
    _compared("naive", gateways.naive),
    _compared("earlier", gateways.earlier, "fastapi"),
)

_TO: Final = {
    "envoy": ("Envoy with a token check and a rate limit", at_most(1.0)),
    "caddy": ("Caddy without any policy", None),
    "nginx": ("nginx with a rate limit", None),
    "haproxy": ("HAProxy with a token check and a rate limit", None),
    "naive": ("the proxy written by hand with aiohttp", at_most(0.65)),
}
RATIOS: Final = (
    *(
        Ratio(
            f"plane.cpu_to_{name}",
            f"gatewayd's CPU for a request against that of {what}",
            "plane.gatewayd.cpu",
            f"plane.{name}.cpu",
            target,
        )
        for name, (what, target) in _TO.items()
    ),
    Ratio(
        "plane.earlier_to_cpu",
        "CPU for a request of the earlier design against gatewayd's",
        "plane.earlier.cpu",
        "plane.gatewayd.cpu",
        at_least(30),
    ),
)
