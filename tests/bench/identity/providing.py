"""A daemon of three workers before an identity provider that rotates, is flooded with unknown keys, and goes away."""

import asyncio
import itertools
import json
import time
from base64 import urlsafe_b64encode
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from statistics import quantiles

from tests.agents import answering, talk
from tests.bench.declare import AsyncRound, Bench, Figure, Measured, at_most, on_a_loop, scaled
from tests.bench.identity.standing import standing
from tests.daemons import RunningDaemon, running_daemon, write_config
from tests.gateways import PLANS
from tests.identity.provider import IdentityProvider

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
GET = b"GET /api/email/x HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer %b\r\n\r\n"
RATE, SECONDS, LEAST, CONNECTIONS = 500, 20, 0.3, 50
NAMES, CALLERS, STRANGERS = 10_000, 500, 100
COOLDOWN = 1.0


@asynccontextmanager
async def _configured(provider: IdentityProvider) -> AsyncIterator[Callable[[], Path]]:
    """An agent, and what configures a daemon before both when the provider has an address."""
    async with standing(answering(OK)) as (folder, agent):

        def config() -> Path:
            issuer = f'[auth.issuers.idp]\nissuer = "{provider.url}"\nalgorithms = ["ES256"]\n'
            return write_config(folder, agent.url, server="workers = 3", general=PLANS + issuer)

        yield config


@asynccontextmanager
async def _before(provider: IdentityProvider) -> AsyncIterator[RunningDaemon]:
    """A daemon before this provider, which answers."""
    async with _configured(provider) as config, provider.serving(), running_daemon(config()) as daemon:
        yield daemon


def _token(provider: IdentityProvider, number: int, key_id: str | None = None) -> bytes:
    claims = {"iss": provider.url, "sub": f"user-{number}", "exp": time.time() + 600}
    return provider.token(claims, key_id).encode()


async def _status(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, token: bytes) -> int:
    writer.write(GET % token)
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
    await reader.readexactly(length)
    return int(head.split(b" ")[1])


async def _calls(daemon: RunningDaemon, provider: IdentityProvider, seconds: float) -> tuple[Counter[int], list[float]]:
    """So many requests a second, each with a token made for it by the key of the moment."""
    found: Counter[int] = Counter()
    took: list[float] = []
    loop = asyncio.get_running_loop()
    began = loop.time()

    async def caller(number: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", daemon.port)
        for turn in range(int(seconds * RATE / CONNECTIONS)):
            await asyncio.sleep(max(0.0, began + (turn + number / CONNECTIONS) * CONNECTIONS / RATE - loop.time()))
            asked = time.perf_counter()
            found[await _status(reader, writer, _token(provider, number * 10_000 + turn))] += 1
            took.append(time.perf_counter() - asked)
        writer.close()

    await asyncio.gather(*(caller(number) for number in range(CONNECTIONS)))
    return found, took


async def _flood(daemon: RunningDaemon, strange: Iterator[bytes], width: int, stopped: asyncio.Event) -> Counter[int]:
    """Tokens of keys that nobody published, always so many at once, until it is enough."""
    found: Counter[int] = Counter()

    async def ask() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", daemon.port)
        for token in strange:
            found[await _status(reader, writer, token)] += 1
            if stopped.is_set():
                break
        writer.close()

    await asyncio.gather(*(ask() for _ in range(width)))
    return found


def _strange(provider: IdentityProvider) -> Iterator[bytes]:
    """Tokens that differ in the name of their key: what is not verified need not be signed anew."""
    rest = _token(provider, 0).partition(b".")[2]
    for number in itertools.count():
        header = json.dumps({"alg": provider.algorithm, "kid": f"random-{number}"}).encode()
        yield urlsafe_b64encode(header).rstrip(b"=") + b"." + rest


async def _rotate(provider: IdentityProvider, stopped: asyncio.Event) -> int:
    """Every second; how often."""
    for rotations in itertools.count():
        if stopped.is_set():
            return rotations
        provider.rotate(keep=2)
        with suppress(TimeoutError):
            await asyncio.wait_for(stopped.wait(), 1.0)
    raise AssertionError


@on_a_loop
@asynccontextmanager
async def _rotating(scale: float, strangers: int = 0) -> AsyncIterator[AsyncRound]:
    provider = IdentityProvider()
    provider.rotate()
    async with _before(provider) as daemon:

        async def measure() -> Measured:
            stopped, before = asyncio.Event(), provider.fetches
            rotating = asyncio.create_task(_rotate(provider, stopped))
            flood = asyncio.create_task(_flood(daemon, _strange(provider), strangers, stopped))
            found, took = await _calls(daemon, provider, max(SECONDS * scale, LEAST))
            stopped.set()
            rotations, strange, asked = await rotating, await flood, sum(found.values())
            assert set(strange) <= {401}
            return {
                "requests": asked,
                "refused": asked - found[200],
                "rotations": rotations,
                "fetches": provider.fetches - before,
                "p99": quantiles(took, n=100)[98] * 1e3,
                "slowest": max(took) * 1e3,
            }

        yield measure


@on_a_loop
@asynccontextmanager
async def _unknown(scale: float) -> AsyncIterator[AsyncRound]:
    names = scaled(NAMES, scale, 50)
    provider = IdentityProvider()
    provider.rotate()
    async with _before(provider) as daemon:

        async def measure() -> Measured:
            assert await talk(daemon.port, GET % _token(provider, 0), until=b"{}")
            before, began = provider.fetches, time.monotonic()
            strange = itertools.islice(_strange(provider), names)
            found = await _flood(daemon, strange, CALLERS, asyncio.Event())
            seconds, fetches = time.monotonic() - began, provider.fetches - before
            assert found == {401: names}
            return {
                "names": names,
                "fetches": fetches,
                "per cooldown": fetches / (1 + seconds / COOLDOWN),
                "seconds": seconds,
            }

        yield measure


@on_a_loop
@asynccontextmanager
async def _away(scale: float) -> AsyncIterator[AsyncRound]:
    async def measure() -> Measured:
        provider = IdentityProvider()
        provider.rotate()
        async with _configured(provider) as config:
            async with provider.serving(), running_daemon(config()) as daemon:
                before, _ = await _calls(daemon, provider, LEAST)
            async with running_daemon(config()) as daemon:
                after, _ = await _calls(daemon, provider, max(SECONDS * scale, LEAST))
        asked = before.total() + after.total()
        return {"requests": asked, "refused": asked - before[200] - after[200]}

    yield measure


ROTATING = (
    Figure("requests", "", f"at {RATE} a second, with a new key every second"),
    Figure("refused", "", "of them", at_most(0)),
    Figure("rotations", "", "meanwhile; the last two keys are published"),
    Figure("fetches", "", "of the keys, by three workers together"),
    Figure("p99", "ms", "of the time to an answer"),
    Figure("slowest", "ms", "of them"),
)
BENCHES = (
    Bench("identity.rotating", ROTATING, _rotating, pinned=False),
    Bench("identity.flooded", ROTATING, partial(_rotating, strangers=STRANGERS), pinned=False),
    Bench(
        "identity.unknown",
        (
            Figure("names", "", "of keys that nobody published, each in a token of its own"),
            Figure("fetches", "", "of the keys meanwhile, by three workers together"),
            Figure("per cooldown", "", "of them", at_most(1)),
            Figure("seconds", "s", f"until the last of them was refused, {CALLERS} at once"),
        ),
        _unknown,
        pinned=False,
    ),
    Bench(
        "identity.away",
        (
            Figure("requests", "", "before and after a restart while the provider is down"),
            Figure("refused", "", "of them", at_most(0)),
        ),
        _away,
        pinned=False,
    ),
)
