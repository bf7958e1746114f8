"""Whole daemons to do harm to: their configuration, an agent that counts, callers who do not give up."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp

from gatewayd.clock import SystemClock
from gatewayd.config.loading import load, parse
from gatewayd.errors import StoreError
from gatewayd.identity.signing import sign_token
from gatewayd.stores.chain import RecordRow
from gatewayd.stores.open import open_reader
from tests.agents import RawAgent, raw_agent
from tests.daemons import PATIENCE, RunningDaemon
from tests.gateways import CONFIG, ROUTE, SECRET
from tests.problems import Answered, ask
from tests.stores.ledgers import audit

PATH = "/api/email/x"
MUCH = "1000000/minute"

GENERAL = """
[counters]
url = "{counters}"
on_outage = "{counting}"
[rate_limit]
limits = ["{limit}"]
unauthenticated = ["1000000/minute"]
[plans.free]
default = true
quota = {{ api_calls = {quota} }}
[plans.open]
quota = {{ api_calls = 0 }}
{more}
"""


def configured(
    directory: Path,
    upstream: str = "http://127.0.0.1:9/api/email",
    *,
    workers: int = 1,
    quota: int = 100_000,
    limit: str = MUCH,
    ledger: str = "",
    on_outage: str = "journal",
    counters: str = "memory:",
    counting: str = "local",
    server: str = "",
    more: str = "",
    state: Path | None = None,
) -> Path:
    """A configuration with one route; plan `open` is unlimited. State and ledger are in `state`, else beside it."""
    directory.mkdir(exist_ok=True)
    general = GENERAL.format(counters=counters, counting=counting, limit=limit, quota=quota, more=more)
    text = CONFIG.format(state=state or directory, server=f"workers = {workers}\n{server}", general=general)
    address = ledger or f"sqlite:{state or directory}/ledger.db"
    text = text.replace(
        f'url = "sqlite:{state or directory}/ledger.db"', f'url = "{address}"\non_outage = "{on_outage}"'
    ).replace(f'file = "{state or directory}/access.log"', f'file = "{directory}/access.log"')
    config = directory / "gatewayd.toml"
    config.write_text(text + ROUTE.format(upstream=upstream))
    return config


_AUTH = parse(
    CONFIG.format(state="var", server="", general="") + ROUTE.format(upstream="http://h"), "a", {"SECRET": SECRET}
).settings.auth


def ledger_of(config: Path) -> str:
    return load(config, {"SECRET": SECRET}).settings.ledger.url.reveal()


def bearer(user: str = "ann", plan: str | None = None) -> dict[str, str]:
    """A token that every configuration of these tests takes; `plan` is what it claims."""
    claims: dict[str, Any] = {} if plan is None else {"plan": plan}
    return {"Authorization": f"Bearer {sign_token(_AUTH, SystemClock(), user, **claims)}"}


class Agent:
    """Answers at once with the request's id, and keeps the ids of all that reached it."""

    def __init__(self) -> None:
        self.reached: list[str] = []

    async def play(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            request_id = head.partition("X-Request-ID: ")[2].partition("\r\n")[0]
            self.reached.append(request_id)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 32\r\n\r\n" + request_id.encode())
            await writer.drain()


@asynccontextmanager
async def counting_agent() -> AsyncIterator[tuple[RawAgent, Agent]]:
    counting = Agent()
    async with raw_agent(counting.play) as agent:
        yield agent, counting


@asynccontextmanager
async def callers(daemon: RunningDaemon) -> AsyncIterator[aiohttp.ClientSession]:
    """Each call on a connection of its own, so that every worker gets some."""
    connector = aiohttp.TCPConnector(force_close=True, limit=0)
    timeout = aiohttp.ClientTimeout(PATIENCE)
    async with aiohttp.ClientSession(daemon.url, connector=connector, timeout=timeout) as session:
        yield session


async def call(daemon: RunningDaemon, headers: dict[str, str], path: str = PATH) -> Answered:
    async with callers(daemon) as session:
        return await ask(session, path, headers)


async def call_all(daemon: RunningDaemon, headers: dict[str, str], count: int) -> Counter[int]:
    """The statuses of so many calls at once."""
    async with callers(daemon) as session:
        answers = await asyncio.gather(*(ask(session, PATH, headers) for _ in range(count)))
    return Counter(each.status for each in answers)


class Crowd:
    """Callers of one user who go on until there is nothing left to be had; mutable: it keeps what they saw.

    `end` is the status that ends them; a connection that breaks and 503 do not.
    """

    def __init__(self, headers: dict[str, str], *, end: int = 402, size: int = 12) -> None:
        self._headers = headers
        self._end = end
        self._size = size
        self.acknowledged: set[str] = set()
        self.lost = 0
        self.unavailable = 0
        self.late = 0
        self.leaving = False  # nobody calls again
        self._refused_at = float("inf")
        self._reached: dict[int, asyncio.Event] = {}

    async def go_on(self, *daemons: RunningDaemon) -> None:
        """Call these daemons until each caller was refused for good, or its daemon is gone."""
        places = [daemons[number % len(daemons)] for number in range(self._size)]
        async with asyncio.timeout(PATIENCE), asyncio.TaskGroup() as group:
            for place in places:
                group.create_task(self._call(place))

    async def has(self, count: int) -> None:
        """Wait until so many answers have come."""
        if len(self.acknowledged) < count:
            async with asyncio.timeout(PATIENCE):
                await self._reached.setdefault(count, asyncio.Event()).wait()

    async def _call(self, daemon: RunningDaemon) -> None:
        async with callers(daemon) as session:
            while daemon.process.returncode is None and not self.leaving:
                started = asyncio.get_running_loop().time()
                try:
                    answer = await ask(session, PATH, self._headers)
                except (aiohttp.ClientError, ConnectionError):
                    self.lost += 1
                    await asyncio.sleep(0.02)
                    continue
                if answer.status == self._end:
                    self._refused_at = min(self._refused_at, asyncio.get_running_loop().time())
                    return
                self._saw(answer, started)
                if answer.status != 200:
                    await asyncio.sleep(0.02)

    def _saw(self, answer: Answered, started: float) -> None:
        if answer.status == 503:
            answer.problem(503, "store_unavailable")
            self.unavailable += 1
            return
        assert (answer.status, answer.body.decode()) == (200, answer.headers["X-Request-ID"])
        self.late += started > self._refused_at
        self.acknowledged.add(answer.body.decode())
        for count, event in self._reached.items():
            if len(self.acknowledged) >= count:
                event.set()


def records_of(config: Path) -> dict[str, RecordRow]:
    """Every record by its id, after an audit of the whole ledger."""
    with open_reader(ledger_of(config)) as reader:
        audit(reader)
        rows = list(reader.records())
    found = {row.id: row for row in rows}
    assert len(found) == len(rows)
    return found


async def posted(config: Path, ids: Sequence[str] | set[str]) -> dict[str, RecordRow]:
    """Every record, once those of these requests are among them; how soon that is, test_punctual tries."""
    async with asyncio.timeout(PATIENCE):
        while True:
            with suppress(StoreError):  # the ledger may not be made yet
                found = await asyncio.to_thread(records_of, config)
                if not set(ids) - found.keys():
                    return found
            await asyncio.sleep(0.02)


def held_by(config: Path) -> int:
    """The units that balances have in leases."""
    with open_reader(ledger_of(config)) as reader:
        audit(reader)
        return sum(held for held, _ in reader.leased().values())


async def nothing_held(config: Path) -> None:
    """Once it is so."""
    async with asyncio.timeout(PATIENCE):
        while await asyncio.to_thread(held_by, config):
            await asyncio.sleep(0.05)


async def finished(daemon: RunningDaemon) -> None:
    """A clean stop."""
    daemon.process.terminate()
    assert await daemon.ended() == 0, daemon.log
    assert "Traceback" not in daemon.log, daemon.log
