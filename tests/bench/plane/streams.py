"""What long answers cost: bodies of hundreds of megabytes, event streams, and thousands of streams open at once."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import replace
from functools import partial
from time import perf_counter, perf_counter_ns
from typing import Final

from tests.bench import machine
from tests.bench.declare import AsyncRound, Bench, Figure, Measured, Ratio, Round, at_least, at_most, on_a_loop, scaled
from tests.bench.plane import gateways
from tests.bench.plane.agent import PREFIX, agent
from tests.bench.plane.gateways import Gate
from tests.bench.plane.load import Disturbed, quantile
from tests.bench.plane.wire import Tokens, get

BODY: Final = 1 << 30
EVENT_STREAMS: Final = 10
EVENT_SECONDS: Final = 3.0
EVENT_PAUSE: Final = 5
"""Milliseconds between a stream's events."""
OPEN_STREAMS: Final = 2_000
AT_ONCE: Final = 50
PATIENCE: Final = 120.0
_ROOM: Final = 1 << 20
_MIB: Final = 2**20
_EVENT: Final = b"data: "
_DIGITS: Final = 20


class Reader(asyncio.BufferedProtocol):
    """Reads an answer into the same room again and again, and counts its bytes, head included."""

    def __init__(self, expected: int) -> None:
        self._room = bytearray(_ROOM)
        self._left = expected
        self.whole: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def get_buffer(self, sizehint: int) -> bytearray:
        return self._room

    def buffer_updated(self, nbytes: int) -> None:
        self._left -= nbytes
        if self._left <= 0 and not self.whole.done():
            self.whole.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.whole.done():
            self.whole.set_exception(Disturbed(f"a body broke off, {self._left:,} bytes before its end"))


class Listener(asyncio.Protocol):
    """Hears an event stream: how old each event is when it comes, in nanoseconds."""

    def __init__(self) -> None:
        self.ages: list[int] = []
        self.first: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def data_received(self, data: bytes) -> None:
        now = perf_counter_ns()
        for event in data.split(_EVENT)[1:]:
            self.ages.append(now - int(event[:_DIGITS]))
        if not self.first.done():
            if data[9:12] == b"200":
                self.first.set_result(None)
            else:
                self.first.set_exception(Disturbed(repr(data[:400])))

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.first.done():
            self.first.set_exception(Disturbed("a stream was not begun"))


@on_a_loop
@asynccontextmanager
async def body(scale: float, *, gate: Gate) -> AsyncIterator[AsyncRound]:
    """One body after another, each on a connection of its own."""
    machine.pin(machine.BESIDE)
    size = scaled(BODY, scale)
    request = get(f"{PREFIX}0/body/{size}", Tokens(1)[0])
    async with agent() as upstream, gate(upstream) as gateway:
        await _body(gateway.port, get(f"{PREFIX}0/body/{_ROOM}", Tokens(1)[0]), _ROOM)

        async def measure() -> Measured:
            gateway.tree.forget_peaks()
            resident, used = gateway.tree.resident_bytes(), sum(gateway.tree.cpu_seconds().values())
            took = await _body(gateway.port, request, size)
            spent = sum(gateway.tree.cpu_seconds().values()) - used
            return {
                "rate": size / took / 1e9,
                "cpu": spent / size * 1e9,
                "growth": (gateway.tree.peak_bytes() - resident) / _MIB,
            }

        yield measure


@on_a_loop
@asynccontextmanager
async def direct_body(scale: float) -> AsyncIterator[AsyncRound]:
    machine.pin(machine.BESIDE)
    size = scaled(BODY, scale)
    async with agent() as upstream:

        async def measure() -> Measured:
            return {"rate": size / await _body(upstream, get(f"{PREFIX}0/body/{size}", b""), size) / 1e9}

        yield measure


async def _body(port: int, request: bytes, size: int) -> float:
    """Seconds from the request to the body's end."""
    loop = asyncio.get_running_loop()
    transport, reader = await loop.create_connection(lambda: Reader(size), "127.0.0.1", port)
    try:
        begun = perf_counter()
        transport.write(request)
        async with asyncio.timeout(PATIENCE):
            await reader.whole
        return perf_counter() - begun
    finally:
        transport.abort()


@on_a_loop
@asynccontextmanager
async def events(scale: float, *, gate: Gate) -> AsyncIterator[AsyncRound]:
    """The same streams from the agent itself, and through the gateway."""
    machine.pin(machine.BESIDE)
    seconds = EVENT_SECONDS * scale
    async with agent() as upstream, gate(upstream) as gateway:

        async def measure() -> Measured:
            straight, through = await _ages(upstream, seconds), await _ages(gateway.port, seconds)
            half, most = (quantile(through, share) - quantile(straight, share) for share in (0.5, 0.99))
            return {"p50": half / 1e6, "p99": most / 1e6, "direct_p99": quantile(straight, 0.99) / 1e6}

        yield measure


async def _ages(port: int, seconds: float) -> list[float]:
    async with AsyncExitStack() as stack:
        listeners = [await stack.enter_async_context(_stream(port, EVENT_PAUSE)) for _ in range(EVENT_STREAMS)]
        for listener in listeners:
            listener.ages.clear()
        await asyncio.sleep(max(seconds, EVENT_PAUSE * 4 / 1e3))
        return [age for listener in listeners for age in listener.ages]


@asynccontextmanager
async def _stream(port: int, pause: int) -> AsyncIterator[Listener]:
    """An event stream whose first event is there."""
    loop = asyncio.get_running_loop()
    transport, listener = await loop.create_connection(Listener, "127.0.0.1", port)
    try:
        transport.write(get(f"{PREFIX}0/events/{pause}", Tokens(1)[0]))
        async with asyncio.timeout(PATIENCE):
            await listener.first
        yield listener
    finally:
        transport.abort()


@on_a_loop
@asynccontextmanager
async def open_streams(scale: float, *, gate: Gate) -> AsyncIterator[AsyncRound]:
    """Each round has a gateway of its own: what one had in RAM once, it keeps."""
    machine.pin(machine.BESIDE)
    count = scaled(OPEN_STREAMS, scale, least=AT_ONCE)
    async with agent() as upstream, gate(upstream):  # whether there is one is known now

        async def measure() -> Measured:
            async with gate(upstream) as gateway:
                async with AsyncExitStack() as stack:
                    await _opened(stack, gateway.port, AT_ONCE)
                async with AsyncExitStack() as stack:
                    before = gateway.tree.resident_bytes()
                    await _opened(stack, gateway.port, count)
                    return {"memory": (gateway.tree.resident_bytes() - before) / count / 1024}

        yield measure


async def _opened(stack: AsyncExitStack, port: int, count: int) -> None:
    for begun in range(0, count, AT_ONCE):
        streams = (stack.enter_async_context(_stream(port, 0)) for _ in range(min(AT_ONCE, count - begun)))
        await asyncio.gather(*streams)


_BODY_FIGURES: Final = (
    Figure("rate", "GB/s", "of one body of a GiB"),
    Figure("cpu", "s CPU/GB", "the gateway's, all its processes"),
    Figure("growth", "MiB", "how far its memory rises meanwhile, at the most", at_most(16)),
)
"""The targets of the figures here are gatewayd's; the others have the same figures without any."""
_EVENT_FIGURES: Final = (
    Figure("p50", "ms", "how much later than without a gateway half of the events come"),
    Figure("p99", "ms", "how much later the latest hundredth comes", at_most(1.0)),
    Figure("direct_p99", "ms", "that hundredth's age without a gateway"),
)
_MEMORY: Final = Figure("memory", "KiB", f"for each of {OPEN_STREAMS:,} event streams that are open", at_most(64))

Opening = Callable[..., AbstractContextManager[Round]]

_GATES: Final[dict[str, Gate]] = {
    "gatewayd": gateways.gatewayd,
    "envoy": gateways.envoy,
    "caddy": gateways.caddy,
    "nginx": gateways.nginx,
    "naive": gateways.naive,
}


def _bench(kind: str, name: str, figures: tuple[Figure, ...], opening: Opening) -> Bench:
    if name != "gatewayd":
        figures = tuple(replace(each, target=None) for each in figures)
    peer = None if name in {"gatewayd", "naive"} else name
    return Bench(f"plane.{kind}.{name}", figures, partial(opening, gate=_GATES[name]), pinned=False, peer=peer)


BENCHES: Final = (
    Bench("plane.body.direct", _BODY_FIGURES[:1], direct_body, pinned=False),
    *(_bench("body", name, _BODY_FIGURES, body) for name in _GATES),
    *(_bench("events", name, _EVENT_FIGURES, events) for name in ("gatewayd", "envoy")),
    *(_bench("open", name, (_MEMORY,), open_streams) for name in ("gatewayd", "envoy", "naive")),
)
RATIOS: Final = tuple(
    Ratio(
        f"plane.body_to_{name}",
        f"gatewayd's throughput of a long body against {name}'s",
        "plane.body.gatewayd.rate",
        f"plane.body.{name}.rate",
        at_least(0.9) if name == "nginx" else None,
    )
    for name in ("nginx", "envoy", "caddy", "naive")
)
