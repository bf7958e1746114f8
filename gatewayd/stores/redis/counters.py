"""Counters in Redis (`redis://`, `rediss://`, `unix:`): exact while it is there, bounded while it is not."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from secrets import token_hex
from typing import Any, Final, NamedTuple

from gatewayd.clock import Clock
from gatewayd.errors import StoreError, StoreUnavailable
from gatewayd.model import Bundle, Tally, Window
from gatewayd.stores.redis import script
from gatewayd.stores.redis.census import GREET, Census, Notes
from gatewayd.stores.redis.line import PATIENCE, Away, Command, Connect, Line, dial
from gatewayd.stores.redis.outage import Local, OnOutage, Standin

PROBE: Final = 0.15
HEARTBEAT: Final = 1.0
TOGETHER: Final = 128
WAITING: Final = 4_096
_REACH: Final = 1.0  # seconds that a server gets which nobody waits for yet

logger = logging.getLogger(__name__)


class Question(NamedTuple):
    command: Command
    answer: "asyncio.Future[bytes | None]"


def open_counters(
    url: str,
    *,
    on_outage: OnOutage,
    local: Local,
    clock: Clock,
    daemon: str = "",
    workers: int = 1,
    patience: float = PATIENCE,
    now: Callable[[], int] | None = None,
    notes: Notes | None = None,
) -> "RedisCounters":
    """Counters at this address; it is called at the first take, and need not be there. Raises StoreError.

    `daemon` names the daemon that this process is a worker of, one of `workers`; daemons must differ in it. An
    answer is waited for `patience` seconds. `now` (in microseconds) replaces the server's time, for tests. `notes`
    outlive this process in its daemon.
    """
    census = Census(daemon or token_hex(8), clock, notes)
    standin = Standin(on_outage, local, census, clock, workers)
    return RedisCounters(dial(url), census, standin, patience=patience, now=now)


async def reach(url: str) -> None:
    """Whether a server answers at this address now. Raises StoreError if it does not."""
    line = Line(dial(url)(), (), patience=_REACH)
    try:
        await line.open()
        await line.ask([("TIME",)])
    except Away as error:
        raise StoreError(f"counters.url: Redis does not answer: {error}") from None
    finally:
        await line.close()


class RedisCounters:
    """`Counters` over one connection, kept by one task, which asks what has come together since the last answer.

    A caller waits for that task, never for the connection: who leaves disturbs nobody's answer. The server is given
    50 ms; then, or when it answers with an error, the stand-in serves at once until a probe finds the server well.
    """

    def __init__(
        self,
        connect: Connect,
        census: Census,
        standin: Standin,
        *,
        patience: float = PATIENCE,
        now: Callable[[], int] | None = None,
    ) -> None:
        self._patience = patience
        self._connect = connect
        self._census = census
        self._standin = standin
        self._now = now
        self._waiting: list[Question] = []
        self._asked: list[Question] = []
        self._wake = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None
        self._away = False
        self._closed = False

    @property
    def away(self) -> bool:
        """Whether the stand-in serves."""
        return self._away

    @property
    def daemons(self) -> int:
        """How many daemons count in the server, as last heard; 0 before that."""
        return self._census.daemons

    async def take(self, windows: Sequence[Window]) -> Sequence[Tally]:
        """As `Counters.take`. Raises StoreUnavailable after `close`, and in an outage that was to be denied."""
        if self._closed:
            raise StoreUnavailable("The counters are closed.")
        if not windows:
            return []
        if self._keeper is None:
            self._keeper = asyncio.create_task(self._keep(), name="redis counters")
        if self._away or len(self._waiting) >= WAITING:
            return self._standin.take(windows)
        return await (self._take_twice(windows) if self._standin.returning else self._take(windows))

    def take_in_passing(self, bundle: Bundle, now: float) -> bool:  # noqa: ARG002  # whatever is asked
        """Never: the server has to be waited for."""
        return False

    def take_at_once(self, windows: Sequence[Window], now: float) -> None:
        """Never."""

    async def close(self) -> None:
        self._closed = True
        if self._keeper is not None:
            self._keeper.cancel()
            with suppress(asyncio.CancelledError):
                await self._keeper
        self._give_up_asking()

    async def _take(self, windows: Sequence[Window]) -> Sequence[Tally]:
        answer = await self._ask(windows)
        if answer is None:
            return self._stand_in(windows)
        tallies = script.tallies(windows, answer)
        if all(tally.admitted for tally in tallies):
            self._standin.mirror(windows)
        return tallies

    async def _take_twice(self, windows: Sequence[Window]) -> Sequence[Tally]:
        """From this daemon's share and from the server: admitted if both do."""
        share = self._standin.judge(windows)
        if not all(tally.admitted for tally in share):
            return share
        answer = await self._ask(windows)
        if answer is None:
            self._standin.owe(windows)
            return share
        return script.tallies(windows, answer)

    def _stand_in(self, windows: Sequence[Window]) -> Sequence[Tally]:
        if self._closed:
            raise StoreUnavailable("The counters are closed.")
        return self._standin.take(windows)

    async def _ask(self, windows: Sequence[Window]) -> bytes | None:
        """The server's answer, or None when it did not give one in time."""
        now = self._now() if self._now is not None else 0
        command = script.take(windows, now=now, least=self._standin.least(windows))
        answer: asyncio.Future[bytes | None] = asyncio.get_running_loop().create_future()
        self._waiting.append(Question(command, answer))
        self._wake.set()
        return await answer

    async def _keep(self) -> None:
        while True:
            line = Line(self._connect(), (script.TAKE, GREET), patience=self._patience)
            try:
                await self._serve(line)
            except Exception as error:  # Whatever surprises the driver, no caller may wait for ever.
                self._fall(error if isinstance(error, Away) else Away(type(error).__name__))
            finally:
                await line.close()
            await asyncio.sleep(PROBE)

    async def _serve(self, line: Line) -> None:
        """Raises Away, sooner or later."""
        await line.open()
        self._census.returned()
        await self._greet(line)
        await self._pay(line)
        self._rise()
        loop = asyncio.get_running_loop()
        due = loop.time() + HEARTBEAT
        alarm = loop.call_later(HEARTBEAT, self._wake.set)
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                await self._answer(line)
                if loop.time() >= due:
                    await self._greet(line)
                    due = loop.time() + HEARTBEAT
                    alarm = loop.call_at(due, self._wake.set)
        finally:
            alarm.cancel()

    async def _greet(self, line: Line) -> None:
        (answer,) = await line.ask([self._census.greeting()])
        if self._census.heard(answer):
            if not self._away:
                self._standin.begin()
            self._standin.lost()
        self._census.note()

    async def _pay(self, line: Line) -> None:
        """Tell the server what was admitted without it, until there is nothing to tell."""
        now = self._now() if self._now is not None else 0
        while debts := self._standin.due(TOGETHER):
            try:
                await line.ask([self._standin.command(debt, now) for debt in debts])
            except Away:
                self._standin.restore(debts)
                raise

    async def _answer(self, line: Line) -> None:
        while self._waiting:
            self._asked = self._waiting[:TOGETHER]
            del self._waiting[:TOGETHER]
            answers: list[Any] = await line.ask([question.command for question in self._asked])
            for question, answer in zip(self._asked, answers, strict=True):
                if not question.answer.done():
                    question.answer.set_result(answer)
            self._asked = []

    def _fall(self, error: Away) -> None:
        if not self._away:
            self._away = True
            self._standin.begin()
            logger.warning("counters: Redis is away: %s", error)
        self._give_up_asking()

    def _rise(self) -> None:
        if self._away:
            self._away = False
            self._standin.end()
            logger.warning("counters: Redis is back")

    def _give_up_asking(self) -> None:
        for question in self._asked + self._waiting:
            if not question.answer.done():
                question.answer.set_result(None)
        self._asked, self._waiting = [], []
