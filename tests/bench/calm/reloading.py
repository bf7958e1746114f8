"""A thousand reloads while streams are open and callers come at a steady rate: how long each takes, what it costs them.

Agents, streams and callers run in the bench's own process beside the daemon, so the times are those of a busy machine.
"""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from random import Random
from statistics import median
from tempfile import TemporaryDirectory
from typing import Final

import aiohttp

from gatewayd.metrics import Tally
from gatewayd.process.control import inquire, socket_path
from tests.agents import answering, raw_agent
from tests.bench.calm.streams import streaming, ticking
from tests.bench.declare import AsyncRound, Bench, Figure, Measured, at_most, on_a_loop, scaled
from tests.bench.plane.processes import Tree
from tests.daemons import running_daemon
from tests.process.reloads import bearer, email, route, says

RELOADS: Final = 1_000
ROUTES: Final = 500
STREAMS: Final = 300
RATE: Final = 500  # requests a second
SEED: Final = 5
PAUSE: Final = 0.01  # seconds between two reloads
WARM: Final = 10  # a part of so many comes before memory is looked at first: two generations are held in each
LOOK: Final = 20  # reloads between two looks at the counters
MOST_WAITING: Final = 200  # callers; more are not sent
OK: Final = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
PLENTY: Final = (
    '[rate_limit]\nlimits = ["100000000/minute"]\nunauthenticated = ["100000000/minute"]\n'
    "[plans.free]\ndefault = true\n"
)


class Callers:
    """They come at a rate, whether or not those before them have gone. Mutable: what they met gathers."""

    def __init__(self, url: str, rate: float) -> None:
        self._url = url
        self._rate = rate
        self._waiting: set[asyncio.Task[None]] = set()
        self._over = False
        self.met: Counter[str] = Counter()

    async def come(self) -> None:
        """Until they are told that it is over; then those who are there are served."""
        connector = aiohttp.TCPConnector(limit=64)
        async with aiohttp.ClientSession(self._url, headers=bearer(), connector=connector) as session:
            due = time.monotonic()
            while not self._over:
                due += 1 / self._rate
                await asyncio.sleep(max(0.0, due - time.monotonic()))
                if len(self._waiting) < MOST_WAITING:
                    caller = asyncio.create_task(self._call(session))
                    self._waiting.add(caller)
                    caller.add_done_callback(self._waiting.discard)
            await asyncio.gather(*self._waiting)

    async def _call(self, session: aiohttp.ClientSession) -> None:
        try:
            async with session.get("/quick/x") as response:
                await response.read()
                self.met[str(response.status)] += 1
        except aiohttp.ClientError as error:
            self.met[repr(error)] += 1

    def go(self) -> None:
        self._over = True


@asynccontextmanager
async def coming(url: str, rate: float) -> AsyncIterator[Callers]:
    """Callers, until the end of the `with`; none if the rate is nothing."""
    callers = Callers(url, rate)
    task = asyncio.create_task(callers.come()) if rate else None
    try:
        yield callers
    finally:
        callers.go()
        if task is not None:
            await task


class Watched:
    """What is read of the daemon between reloads. Mutable: it gathers."""

    def __init__(self, control: Path) -> None:
        self._control = control
        self.seconds: list[float] = []
        self.steps_back = 0
        self._counted = 0

    async def reload(self) -> None:
        """Raises RuntimeError if it is refused."""
        answer = await inquire(self._control, "reload")
        if "refused" in answer:
            raise RuntimeError(answer["refused"])
        self.seconds.append(answer["seconds"])

    async def count(self) -> None:
        """Whether the daemon's requests are as many as before, or more."""
        samples = (await inquire(self._control, "metrics"))["samples"]
        counted = int(sum(Tally.of(samples).requests().values()))
        self.steps_back += counted < self._counted
        self._counted = counted


def configurations(folder: Path, routes: Sequence[str], upstream: str) -> Iterator[Path]:
    """Each unlike the one before: a route has another timeout, in an order that the seed says."""
    random, idle = Random(SEED), 0
    while True:
        idle = random.choice([seconds for seconds in range(30, 60) if seconds != idle])
        changing = route("changing", upstream, f'timeouts = {{ idle = "{idle}s" }}')
        yield says(folder, *routes, changing, server="workers = 2", general=PLENTY)


@on_a_loop
@asynccontextmanager
async def opened(scale: float, *, streams: int, rate: float) -> AsyncIterator[AsyncRound]:
    reloads, routes, count = scaled(RELOADS, scale, 2), scaled(ROUTES, scale, 4), int(streams * scale)
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="bench-")))
        quick = await stack.enter_async_context(raw_agent(answering(OK)))
        slow = await stack.enter_async_context(raw_agent(ticking))
        numbered = [route(f"r{number}", quick.url) for number in range(routes - 3)]
        steady = [email(slow.url), route("quick", quick.url), *numbered]
        changes = configurations(folder, steady, quick.url)
        daemon = await stack.enter_async_context(running_daemon(next(changes)))
        tree = Tree(daemon.process.pid)
        held = await stack.enter_async_context(streaming(daemon.port, bearer()["Authorization"], count))

        async def measure() -> Measured:
            watched, before = Watched(socket_path(folder)), 0
            async with coming(daemon.url, rate) as callers:
                for number in range(reloads):
                    next(changes)
                    await watched.reload()
                    before = before or (tree.resident_bytes() if number >= reloads // WARM else 0)
                    if number % LOOK == 0:
                        await watched.count()
                    await asyncio.sleep(PAUSE)
            seconds = sorted(watched.seconds)
            return {
                "median": median(seconds),
                "p99": seconds[int(0.99 * (len(seconds) - 1))],
                "answers": callers.met["200"],
                "failed": callers.met.total() - callers.met["200"],
                "broken": held.broken,
                "steps back": watched.steps_back,
                "growth": (tree.resident_bytes() - before) / 2**20,
            }

        yield measure


FIGURES: Final = (
    Figure("median", "s", f"a reload of {ROUTES} routes", at_most(0.2)),
    Figure("p99", "s", "all but the slowest in a hundred"),
    Figure("answers", "requests", "answered by 200 meanwhile"),
    Figure("failed", "requests", "answered otherwise, or not at all", at_most(0)),
    Figure("broken", "streams", "ended before the caller ended them", at_most(0)),
    Figure("steps back", "times", "the count of requests was lower than before", at_most(0)),
    Figure("growth", "MiB", f"of all processes, from reload {RELOADS // WARM} to {RELOADS:,}", at_most(4)),
)
BENCHES: Final = (
    Bench("calm.reloads.alone", FIGURES, partial(opened, streams=0, rate=0), pinned=False),
    Bench("calm.reloads.busy", FIGURES, partial(opened, streams=STREAMS, rate=RATE), pinned=False),
)
