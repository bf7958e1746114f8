"""How long a scrape takes of a daemon of 4 workers and 100 routes, every one of which was called in every worker."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import cast

import aiohttp

from gatewayd.clock import SystemClock
from gatewayd.config.loading import load
from gatewayd.identity.signing import sign_token
from gatewayd.process.control import ask
from tests.bench.declare import AsyncRound, Bench, Figure, Measured, at_most, on_a_loop, scaled
from tests.bench.plane.processes import free_port, started
from tests.gateways import CONFIG, PLANS, SECRET

WORKERS = 4
ROUTES = 100
CONNECTIONS = 40
"""Of which the kernel gives each worker some, and each of which calls every route."""
SCRAPES = 30
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


def configured(folder: Path, port: int, upstream: str) -> Path:
    text = CONFIG.format(state=folder, server=f"workers = {WORKERS}", general=PLANS)
    text = text.replace("127.0.0.1:0", f"127.0.0.1:{port}", 1)
    for number in range(ROUTES):
        text += f'[routes.route-{number}]\nprefix = "/api/{number}"\nupstream = "{upstream}"\n'
    (folder / "gatewayd.toml").write_text(text)
    return folder / "gatewayd.toml"


class Agent(asyncio.Protocol):
    """Answers whatever comes."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._transport.write(OK * data.count(b"\r\n\r\n"))


async def call_everything(config: Path, port: int) -> None:
    token = sign_token(load(config, {"SECRET": SECRET}).settings.auth, SystemClock(), "ann")
    headers = {"Authorization": f"Bearer {token}"}

    async def one() -> None:
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}", headers=headers) as session:
            for number in range(ROUTES):
                async with session.get(f"/api/{number}/x") as response:
                    assert response.status == 200, await response.text()

    for _ in range(CONNECTIONS // 8):
        await asyncio.gather(*(one() for _ in range(8)))


@on_a_loop
@asynccontextmanager
async def opened(scale: float) -> AsyncIterator[AsyncRound]:
    server = await asyncio.get_running_loop().create_server(Agent, "127.0.0.1", 0)
    with TemporaryDirectory(prefix="bench-") as name:
        folder, port = Path(name), free_port()
        config = configured(folder, port, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        command = [sys.executable, "-m", "gatewayd", "start", "-c", str(config)]
        async with server, started(command, folder, port, {"SECRET": SECRET}):
            await call_everything(config, port)
            url = (await asyncio.to_thread(ask, folder, "status"))["admin"] + "/metrics"
            async with aiohttp.ClientSession() as session:
                yield lambda: scrape(session, url, scaled(SCRAPES, scale, 3))


async def scrape(session: aiohttp.ClientSession, url: str, times: int) -> Measured:
    took, size = [], 0
    for _ in range(times):
        begun = perf_counter()
        async with session.get(url) as response:
            size = len(await response.read())
        took.append((perf_counter() - begun) * 1e3)
    return {"median": median(took), "slowest": max(took), "size": size / 1024}


BENCHES = (
    Bench(
        "signals.scrape",
        (
            Figure("median", "ms", f"a scrape of {WORKERS} workers and {ROUTES} routes", at_most(100)),
            Figure("slowest", "ms", "the slowest of a round"),
            Figure("size", "KiB", "what it tells"),
        ),
        opened,
        pinned=False,
    ),
)
