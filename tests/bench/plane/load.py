"""The load: callers who each wait for an answer before they ask again, as cheap as a Python process makes them."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from time import perf_counter, process_time
from typing import Final, cast

from tests.bench.plane.wire import ANSWER_END, LAST_CHUNK, Tokens, post

CALLERS: Final = 32
PATIENCE: Final = 30.0
LONGEST: Final = 540.0
_STRIDE: Final = 7_368_787
"""A prime, so that it meets everybody."""


class Disturbed(Exception):
    """An answer was not the agent's: a bench that measures refusals is worth nothing."""


@dataclass(frozen=True, slots=True)
class Load:
    """What came of a time of load. `own` is the share of their core that the load and its agent used themselves:
    near 1 they, and not the gateway, were the limit."""

    requests: int
    seconds: float
    own: float
    latencies: Sequence[float]

    @property
    def rate(self) -> float:
        return self.requests / self.seconds

    def quantile(self, share: float) -> float:
        """In seconds."""
        return quantile(self.latencies, share)


def quantile(values: Sequence[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)]


@dataclass(slots=True)
class _Tally:
    """Mutable: it is counted into."""

    next: Callable[[], bytes | None]
    until: float
    latencies: list[float]
    callers: int
    over: asyncio.Future[None]

    def fail(self, why: str) -> None:
        if not self.over.done():
            self.over.set_exception(Disturbed(why))

    def leave(self) -> None:
        self.callers -= 1
        if not self.callers and not self.over.done():
            self.over.set_result(None)


class Caller(asyncio.Protocol):
    """One connection, kept alive from one measurement to the next."""

    __slots__ = ("_begun", "_chunked", "_fresh", "_tail", "_tally", "_transport", "lost")

    def __init__(self) -> None:
        self._transport: asyncio.Transport
        self._tally: _Tally | None = None
        self._begun = 0.0
        self._fresh = True
        self._chunked = False
        self._tail = b""
        self.lost = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def start(self, tally: _Tally) -> None:
        self._tally = tally
        self._ask(tally, perf_counter())

    def _ask(self, tally: _Tally, now: float) -> None:
        request = tally.next() if now < tally.until else None
        if request is None:
            self._tally = None
            tally.leave()
            return
        self._begun, self._fresh = now, True
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        tally = self._tally
        if tally is None:
            return
        if self._fresh:
            self._fresh = False
            if data[9:12] != b"200":
                tally.fail(repr(data[:400]))
                return
            self._chunked = b"\r\ntransfer-encoding: chunked\r\n" in data[:1024].lower()
        ended = (self._tail + data).endswith(LAST_CHUNK if self._chunked else ANSWER_END)
        self._tail = b"" if ended else (self._tail + data)[-len(ANSWER_END) :]
        if not ended:
            return
        now = perf_counter()
        tally.latencies.append(now - self._begun)
        self._ask(tally, now)

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True
        if self._tally is not None:
            self._tally.fail("the gateway closed a connection")

    def close(self) -> None:
        self._tally = None
        self._transport.abort()


class Callers:
    """They know the gateway's port, what they say and in whose name."""

    def __init__(self, port: int, tokens: Tokens, paths: Sequence[str]) -> None:
        self._port = port
        self._tokens = tokens
        self._parts = [post(path) for path in paths]
        self._callers: list[Caller] = []

    async def connect(self, count: int = CALLERS) -> None:
        self._callers = [await self._connected() for _ in range(count)]

    async def _connected(self) -> Caller:
        _, caller = await asyncio.get_running_loop().create_connection(Caller, "127.0.0.1", self._port)
        return caller

    async def ask(self, users: Iterator[int], seconds: float = LONGEST) -> Load:
        """All callers for so long, in the names of these users, or until there is none. Raises Disturbed.

        Who was disconnected while others were measured connects again first.
        """
        await asyncio.sleep(0.01)  # nobody has looked at the connections since the last measurement
        self._callers = [await self._connected() if each.lost else each for each in self._callers]
        begun, used = perf_counter(), process_time()
        over = asyncio.get_running_loop().create_future()
        tally = _Tally(self._requests(users), begun + seconds, [], len(self._callers), over)
        for caller in self._callers:
            caller.start(tally)
        async with asyncio.timeout(seconds + PATIENCE):
            await over
        took = perf_counter() - begun
        return Load(len(tally.latencies), took, (process_time() - used) / took, tally.latencies)

    def close(self) -> None:
        for caller in self._callers:
            caller.close()

    def _requests(self, users: Iterator[int]) -> Callable[[], bytes | None]:
        tokens, parts, last = self._tokens, self._parts, len(self._parts)
        number = 0

        def request() -> bytes | None:
            nonlocal number
            user = next(users, None)
            if user is None:
                return None
            number = (number + 1) % last
            before, after = parts[number]
            return b"".join((before, tokens[user], after))

        return request


def in_turn(users: int) -> Iterator[int]:
    """Everybody once, neighbours far apart, then everybody again."""
    number = 0
    while True:
        number = (number + _STRIDE) % users
        yield number
