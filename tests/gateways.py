"""A whole gateway in this process, on port 0, with a ledger of its own; and what a test asks of it."""

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from gatewayd.clock import Clock, SystemClock
from gatewayd.config.loading import parse
from gatewayd.config.settings import Settings
from gatewayd.errors import StoreUnavailable
from gatewayd.identity.signing import sign_token
from gatewayd.process.daemon import Daemon
from gatewayd.stores.journal import directory as journals
from gatewayd.stores.journal.frames import Conclusion
from gatewayd.stores.journal.reader import JournalReader
from tests.patience import PATIENCE, when
from tests.pauses import CalmClock

SECRET = "a secret that only these tests know and nobody else"

CONFIG = """
[server]
listen = ["127.0.0.1:0"]
state_dir = "{state}"
drain_timeout = "30s"
{server}
[admin]
listen = "127.0.0.1:0"
[auth]
secret = {{ env = "SECRET" }}
[ledger]
url = "sqlite:{state}/ledger.db"
[access_log]
file = "{state}/access.log"
{general}
"""

ROUTE = """
[routes.email]
prefix = "/api/email"
upstream = "{upstream}"
"""

PLANS = """
[rate_limit]
limits = ["100000/minute"]
unauthenticated = ["100000/minute"]
[plans.free]
default = true
quota = { api_calls = 100000 }
"""


class RunningGateway:
    """What a test may ask of a running gateway."""

    def __init__(self, daemon: Daemon, settings: Settings, task: asyncio.Task[None]) -> None:
        self.daemon = daemon
        self.settings = settings
        self.task = task
        self.kept: list[object] = []  # what was in force before a test put its own in its place: it stays open

    @property
    def url(self) -> str:
        return self.daemon.urls[0]

    @property
    def admin_url(self) -> str:
        assert self.daemon.admin_url is not None
        return self.daemon.admin_url

    @property
    def port(self) -> int:
        return int(self.url.rsplit(":", 1)[1])

    def token(self, user: str = "ann", **claims: Any) -> str:
        return sign_token(self.settings.auth, SystemClock(), user, **claims)

    def bearer(self, user: str = "ann", **claims: Any) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token(user, **claims)}"}

    async def stop(self) -> None:
        self.daemon.stop()
        await self.task

    def _ledger(self) -> sqlite3.Connection:
        path = self.settings.ledger.url.reveal().partition(":")[2]
        connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
        connection.row_factory = sqlite3.Row
        return connection

    def records(self) -> list[dict[str, Any]]:
        """The rows of the ledger, oldest first."""
        connection = self._ledger()
        try:
            return [dict(row) for row in connection.execute("SELECT * FROM usage_records ORDER BY rowid")]
        finally:
            connection.close()

    async def posted(self) -> list[dict[str, Any]]:
        """The rows of the ledger, with all that the gateway has done until now."""
        generations = self.daemon._worker._generations
        assert generations is not None
        with suppress(StoreUnavailable):  # it has stopped, and posted everything before
            await generations.current.stores.ledger.balances("", "2000-01")
        return self.records()

    async def settled(self) -> list[dict[str, Any]]:
        """The same, once the ledger was told too that nothing is in flight: it is told so twice a second at most."""
        await self.posted()
        await when(lambda: not any(each["held"] for each in self.balances()))
        return self.records()

    def written(self) -> set[str]:
        """The ids of requests whose record is safe: in a worker's journal, or out of it and in the ledger."""
        root = self.settings.server.state_dir / "journal"
        safe: set[str] = set()
        for name in journals.names(root):
            reader = JournalReader(root / name)
            while entries := reader.read():
                safe.update(each.hold_id for each in entries if isinstance(each, Conclusion) and each.ending)
            reader.close()
        return safe | {record["id"] for record in self.records()}

    def balances(self) -> list[dict[str, Any]]:
        connection = self._ledger()
        try:
            return [dict(row) for row in connection.execute("SELECT * FROM usage_balances")]
        finally:
            connection.close()

    async def record_of(self, request_id: str) -> dict[str, Any]:
        """The record of one request, once it is there."""
        async with asyncio.timeout(PATIENCE):
            while not (found := [record for record in self.records() if record["id"] == request_id]):
                await asyncio.sleep(0.01)
        return found[0]

    async def records_when(self, count: int) -> list[dict[str, Any]]:
        """All records, once there are so many."""
        async with asyncio.timeout(PATIENCE):
            while len(records := self.records()) < count:
                await asyncio.sleep(0.01)
        return records

    async def log_lines(self, count: int) -> list[dict[str, Any]]:
        """The access log, once it has so many lines."""
        path = Path(self.settings.access_log.file)
        async with asyncio.timeout(PATIENCE):
            while (text := path.read_text()).count("\n") < count:
                await asyncio.sleep(0.01)
        return [json.loads(line) for line in text.rpartition("\n")[0].splitlines()]


@asynccontextmanager
async def running_gateway(
    tmp_path: Path,
    upstream: str = "",
    *,
    routes: str | None = None,
    general: str = PLANS,
    server: str = "",
    admin: str = "",
    clock: Clock | None = None,
    environ: Mapping[str, str] | None = None,
) -> AsyncIterator[RunningGateway]:
    """A gateway before `upstream` at /api/email, or before `routes`; all texts are TOML."""
    text = CONFIG.format(state=tmp_path, server=server, general=general)
    text = text.replace("[admin]\n", f"[admin]\n{admin}")
    text += ROUTE.format(upstream=upstream) if routes is None else routes
    environ = {"SECRET": SECRET, **(environ or {})}
    settings = parse(text, "test.toml", environ).settings
    daemon = Daemon(settings, clock or CalmClock(), environ)
    ready = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(daemon.run(ready.set_result))
    await asyncio.wait({task, ready}, return_when=asyncio.FIRST_COMPLETED)
    if task.done():
        task.result()
    gateway = RunningGateway(daemon, settings, task)
    try:
        yield gateway
    finally:
        if not task.done():
            daemon.stop()
            daemon.stop()
        await task
