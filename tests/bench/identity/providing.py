"""A daemon of three workers before an identity provider that rotates, is flooded with unknown keys, and goes away."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from statistics import quantiles
from tempfile import TemporaryDirectory

from tests.agents import answering, raw_agent, talk
from tests.bench.declare import AsyncRound, Bench, Figure, Measured, at_most, on_a_loop, scaled
from tests.daemons import RunningDaemon, running_daemon, write_config
from tests.gateways import PLANS
from tests.identity.provider import IdentityProvider

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
GET = b"GET /api/email/x HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer %b\r\n\r\n"
RATE, SECONDS, CONNECTIONS = 500, 20, 50
NAMES = 10_000
COOLDOWN = 1.0


def _config(folder: Path, agent: str, provider: IdentityProvider) -> Path:
    issuer = f'[auth.issuers.idp]\nissuer = "{provider.url}"\nalgorithms = ["ES256"]\n'
    return write_config(folder, agent, server="workers = 3", general=PLANS + issuer)


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
            asked = loop.time()
            found[await _status(reader, writer, _token(provider, number * 10_000 + turn))] += 1
            took.append(loop.time() - asked)
        writer.close()

    await asyncio.gather(*(caller(number) for number in range(CONNECTIONS)))
    return found, took


@on_a_loop
@asynccontextmanager
async def _rotating(scale: float) -> AsyncIterator[AsyncRound]:
    seconds = scaled(SECONDS, scale, 2)
    provider = IdentityProvider()
    provider.rotate()
    with TemporaryDirectory(prefix="bench-") as folder:
        async with AsyncExitStack() as stack:
            agent = await stack.enter_async_context(raw_agent(answering(OK)))
            await stack.enter_async_context(provider.serving())
            config = _config(Path(folder), agent.url, provider)
            daemon = await stack.enter_async_context(running_daemon(config))

            async def measure() -> Measured:
                stopped = asyncio.Event()

                async def rotate() -> int:
                    rotations = 0
                    while not stopped.is_set():
                        provider.rotate(keep=2)
                        rotations += 1
                        await asyncio.wait({asyncio.create_task(stopped.wait())}, timeout=1.0)
                    return rotations

                before, rotating = provider.fetches, asyncio.create_task(rotate())
                found, took = await _calls(daemon, provider, seconds)
                stopped.set()
                rotations, asked = await rotating, sum(found.values())
                return {
                    "requests": asked,
                    "refused": asked - found[200],
                    "rotations": rotations,
                    "fetches": provider.fetches - before,
                    "p99": quantiles(took, n=100)[98] * 1e3,
                }

            yield measure


@on_a_loop
@asynccontextmanager
async def _unknown(scale: float) -> AsyncIterator[AsyncRound]:
    names = scaled(NAMES, scale, 200)
    provider = IdentityProvider()
    provider.rotate()
    with TemporaryDirectory(prefix="bench-") as folder:
        async with AsyncExitStack() as stack:
            agent = await stack.enter_async_context(raw_agent(answering(OK)))
            await stack.enter_async_context(provider.serving())
            config = _config(Path(folder), agent.url, provider)
            daemon = await stack.enter_async_context(running_daemon(config))

            async def measure() -> Measured:
                assert await talk(daemon.port, GET % _token(provider, 0), until=b"{}")
                before, began = provider.fetches, time.monotonic()
                free = asyncio.Semaphore(500)
                strange = _token(provider, 0).partition(b".")[2]

                async def ask(number: int) -> int:
                    async with free:
                        reader, writer = await asyncio.open_connection("127.0.0.1", daemon.port)
                        header = provider.token({}, None, kid=f"random-{number}").partition(".")[0].encode()
                        status = await _status(reader, writer, header + b"." + strange)
                        writer.close()
                        return status

                found = Counter(await asyncio.gather(*(ask(number) for number in range(names))))
                seconds, fetches = time.monotonic() - began, provider.fetches - before
                assert found[200] == 0
                return {"names": names, "fetches": fetches, "per cooldown": fetches / (1 + seconds / COOLDOWN)}

            yield measure


@on_a_loop
@asynccontextmanager
async def _away(scale: float) -> AsyncIterator[AsyncRound]:
    seconds = scaled(SECONDS // 4, scale, 1)

    async def measure() -> Measured:
        provider = IdentityProvider()
        provider.rotate()
        with TemporaryDirectory(prefix="bench-") as folder:
            async with raw_agent(answering(OK)) as agent:
                async with provider.serving():
                    config = _config(Path(folder), agent.url, provider)
                    async with running_daemon(config) as daemon:
                        before, _ = await _calls(daemon, provider, 1)
                async with running_daemon(config) as daemon:
                    after, _ = await _calls(daemon, provider, seconds)
                asked = sum(before.values()) + sum(after.values())
                return {"requests": asked, "refused": asked - before[200] - after[200]}

    yield measure


BENCHES = (
    Bench(
        "identity.rotating",
        (
            Figure("requests", "", f"at {RATE} a second, with a new key every second"),
            Figure("refused", "", "of them", at_most(0)),
            Figure("rotations", "", "meanwhile; the last two keys are published"),
            Figure("fetches", "", "of the keys, by three workers together"),
            Figure("p99", "ms", "of the time to an answer"),
        ),
        _rotating,
        pinned=False,
    ),
    Bench(
        "identity.unknown",
        (
            Figure("names", "", "of keys that nobody published, each in a token of its own"),
            Figure("fetches", "", "of the keys meanwhile, by three workers together"),
            Figure("per cooldown", "", "of them", at_most(1)),
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
