"""CPU of one call: a message to the support agent, its answer read, one after the other over one connection.

`bare` is what a user writes without the SDK: JSON in, JSON out, a token; no repeats, no types, no idle timeout.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from importlib.util import find_spec
from time import process_time
from typing import Any, Final

import aiohttp
import urllib3
from gatewayd_sdk import AsyncGateway, Gateway

from tests.bench.declare import Bench, Figure, Measured, Ratio, Round, Unavailable, at_most, scaled
from tests.bench.sdk.answering import answering

CALLS: Final = 3_000
WARM_UP: Final = 300
MICRO: Final = 1e6
MESSAGE: Final = "Where is my order? It was to come on Monday, and nobody answers my letters about it. " * 2
PATH: Final = "/api/support/chat"
TOKEN: Final = "x" * 200
FIELDS: Final = {"Authorization": f"Bearer {TOKEN}"}
FIGURE: Final = Figure("cpu", "µs CPU", "of the caller's process, for a call")
Call = Callable[[], object]
AsyncCall = Callable[[], Awaitable[object]]


@contextmanager
def sdk(url: str) -> Iterator[Call]:
    with Gateway(url, TOKEN, proxy="") as gateway:
        yield lambda: gateway.support.chat(MESSAGE)


@contextmanager
def bare(url: str) -> Iterator[Call]:
    with urllib3.PoolManager() as pool:
        yield lambda: pool.request("POST", url + PATH, json={"message": MESSAGE}, headers=FIELDS).json()


@contextmanager
def httpx(url: str) -> Iterator[Call]:
    with _httpx().Client(trust_env=False) as client:
        yield lambda: client.post(url + PATH, json={"message": MESSAGE}, headers=FIELDS).json()


@asynccontextmanager
async def async_sdk(url: str) -> AsyncIterator[AsyncCall]:
    async with AsyncGateway(url, TOKEN, proxy="") as gateway:
        yield lambda: gateway.support.chat(MESSAGE)


@asynccontextmanager
async def async_bare(url: str) -> AsyncIterator[AsyncCall]:
    async with aiohttp.ClientSession() as session:

        async def call() -> object:
            async with session.post(url + PATH, json={"message": MESSAGE}, headers=FIELDS) as response:
                return await response.json()

        yield call


@asynccontextmanager
async def async_httpx(url: str) -> AsyncIterator[AsyncCall]:
    async with _httpx().AsyncClient(trust_env=False) as client:

        async def call() -> object:
            return (await client.post(url + PATH, json={"message": MESSAGE}, headers=FIELDS)).json()

        yield call


def _httpx() -> Any:
    if find_spec("httpx") is None:
        raise Unavailable("httpx is not installed: pip install -e '.[bench]'")
    import httpx as library  # noqa: PLC0415 - no test needs it

    return library


@contextmanager
def blocking(scale: float, *, client: Callable[[str], Any]) -> Iterator[Round]:
    with answering() as url, client(url) as call:
        for _ in range(scaled(WARM_UP, scale)):
            call()

        def measure() -> Measured:
            count = scaled(CALLS, scale)
            began = process_time()
            for _ in range(count):
                call()
            return {"cpu": (process_time() - began) / count * MICRO}

        yield measure


@contextmanager
def asynchronous(scale: float, *, client: Callable[[str], Any]) -> Iterator[Round]:
    """On asyncio's own loop, which is what most users have."""
    with answering() as url, asyncio.Runner() as runner:
        manager = client(url)
        call = runner.run(_entered(manager))
        runner.run(_cpu(call, scaled(WARM_UP, scale)))
        yield lambda: {"cpu": runner.run(_cpu(call, scaled(CALLS, scale)))}
        runner.run(manager.__aexit__(None, None, None))


async def _entered(manager: Any) -> AsyncCall:
    call: AsyncCall = await manager.__aenter__()
    return call


async def _cpu(call: AsyncCall, count: int) -> float:
    began = process_time()
    for _ in range(count):
        await call()
    return (process_time() - began) / count * MICRO


BENCHES: Final = (
    Bench("sdk.async", (FIGURE,), partial(asynchronous, client=async_sdk)),
    Bench("sdk.aiohttp", (FIGURE,), partial(asynchronous, client=async_bare)),
    Bench("sdk.async_httpx", (FIGURE,), partial(asynchronous, client=async_httpx), peer="httpx"),
    Bench("sdk.blocking", (FIGURE,), partial(blocking, client=sdk)),
    Bench("sdk.urllib3", (FIGURE,), partial(blocking, client=bare)),
    Bench("sdk.httpx", (FIGURE,), partial(blocking, client=httpx), peer="httpx"),
)


def _ratio(name: str, of: str, to: str, bound: float) -> Ratio:
    return Ratio(f"sdk.{name}", f"CPU of a call by {of} against {to}", f"sdk.{of}.cpu", f"sdk.{to}.cpu", at_most(bound))


RATIOS: Final = (
    _ratio("async_to_aiohttp", "async", "aiohttp", 1.15),
    _ratio("async_to_httpx", "async", "async_httpx", 0.5),
    _ratio("blocking_to_urllib3", "blocking", "urllib3", 1.15),
    _ratio("blocking_to_httpx", "blocking", "httpx", 0.5),
)
