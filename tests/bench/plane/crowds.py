"""What gatewayd's calls cost when there are many users, and when there are many routes."""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from random import Random
from typing import Final

from tests.bench import machine
from tests.bench.declare import AsyncRound, Bench, Figure, Measured, Ratio, at_most, on_a_loop, scaled
from tests.bench.plane.agent import PREFIX, agent
from tests.bench.plane.gateways import gatewayd
from tests.bench.plane.load import Callers, in_turn
from tests.bench.plane.throughput import PATH, SECONDS, USERS, WARM_UP, measured
from tests.bench.plane.wire import Tokens

FEW_USERS: Final = 1_000
MANY_USERS: Final = 1_000_000
FEW_ROUTES: Final = 5
MANY_ROUTES: Final = 50


@on_a_loop
@asynccontextmanager
async def of_users(scale: float, *, users: int) -> AsyncIterator[AsyncRound]:
    """All of them call once, in the opening; then some, as often as popularity has it, and then everybody in turn."""
    machine.pin(machine.BESIDE)
    users = scaled(users, scale)
    async with agent() as upstream, gatewayd(upstream) as gateway:
        callers, everybody = Callers(gateway.port, Tokens(users), [PATH]), in_turn(users)
        await callers.connect()
        first = await measured(gateway, callers, first_calls(everybody, users))

        async def measure() -> Measured:
            popular = await measured(gateway, callers, by_popularity(users), SECONDS * scale)
            equal = await measured(gateway, callers, everybody, SECONDS * scale)
            return {
                "first": first["cpu"],
                "popular": popular["cpu"],
                "equal": equal["cpu"],
                "p99": popular["p99"],
                "memory": equal["memory"],
            }

        yield measure
        callers.close()


def first_calls(everybody: Iterator[int], users: int) -> Iterator[int]:
    """Each once, then an end."""
    return (next(everybody) for _ in range(users))


def by_popularity(users: int, seed: int = 3) -> Iterator[int]:
    """Users as they come: the n-th calls 1/n as often as the first, so that each tenfold of ranks has equal shares."""
    random = Random(seed).random
    while True:
        yield int(users ** random()) - 1


@on_a_loop
@asynccontextmanager
async def of_routes(scale: float, *, routes: int) -> AsyncIterator[AsyncRound]:
    """Calls go to all of them in turn."""
    machine.pin(machine.BESIDE)
    async with agent() as upstream, gatewayd(upstream, routes=routes) as gateway:
        callers, users = Callers(gateway.port, Tokens(USERS), paths(routes)), in_turn(USERS)
        await callers.connect()
        await callers.ask(users, WARM_UP * scale)

        async def measure() -> Measured:
            found = await measured(gateway, callers, users, SECONDS * scale)
            return {"cpu": found["cpu"], "p99": found["p99"]}

        yield measure
        callers.close()


def paths(routes: int) -> Sequence[str]:
    return [f"{PREFIX}{number}/process?draft=1" for number in range(routes)]


def _of_users(name: str, users: int) -> Bench:
    return Bench(
        f"plane.users_{name}",
        (
            Figure("first", "µs CPU", f"a request of a user who is new, until {users:,} are known"),
            Figure("popular", "µs CPU", "a request then, the n-th user calling 1/n as often as the first (Zipf)"),
            Figure("equal", "µs CPU", "a request then, everybody calling equally often"),
            Figure("p99", "ms", "99 of 100 answers were there in this time, by popularity"),
            Figure("memory", "MiB", "what the gateway's processes have in RAM after it"),
        ),
        partial(of_users, users=users),
        pinned=False,
    )


def _of_routes(routes: int) -> Bench:
    return Bench(
        f"plane.routes_{routes}",
        (
            Figure("cpu", "µs CPU", f"a request with {routes} routes"),
            Figure("p99", "ms", "99 of 100 answers were there in this time"),
        ),
        partial(of_routes, routes=routes),
        pinned=False,
    )


BENCHES: Final = (
    _of_users("1k", FEW_USERS),
    _of_users("1m", MANY_USERS),
    _of_routes(FEW_ROUTES),
    _of_routes(MANY_ROUTES),
)
RATIOS: Final = (
    *(
        Ratio(
            f"plane.users_1m_to_1k.{figure}",
            f"a request's CPU with {MANY_USERS:,} users against {FEW_USERS:,}, {how}",
            f"plane.users_1m.{figure}",
            f"plane.users_1k.{figure}",
            at_most(1.2),
        )
        for figure, how in (("popular", "called by popularity"), ("equal", "everybody equally often"))
    ),
    Ratio(
        f"plane.routes_{MANY_ROUTES}_to_{FEW_ROUTES}",
        f"a request's CPU with {MANY_ROUTES} routes against {FEW_ROUTES}",
        f"plane.routes_{MANY_ROUTES}.cpu",
        f"plane.routes_{FEW_ROUTES}.cpu",
    ),
)
