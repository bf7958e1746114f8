"""A bookkeeper and its workers in one process, over real sockets and files, and what a test asks of them."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from gatewayd.books.bookkeeper import Bookkeeper
from gatewayd.books.ledger import LeasedLedger
from gatewayd.clock import Clock
from gatewayd.config.loading import parse
from gatewayd.config.settings import Settings
from gatewayd.errors import StoreUnavailable
from gatewayd.stores.journal.writer import open_journal
from gatewayd.stores.open import open_reader
from tests.patience import PATIENCE
from tests.pauses import CalmClock
from tests.stores.ledgers import audit

CONFIG = """
[server]
state_dir = "{state}"
[auth]
secret = "a secret that only these tests know and nobody else"
[ledger]
url = "{url}"
"""


def settings_in(state: Path, url: str | None = None) -> Settings:
    url = url or f"sqlite:{state / 'ledger.db'}"
    return parse(CONFIG.format(state=state, url=url), "test.toml", {}).settings


async def reached(worker: LeasedLedger) -> None:
    """It has a bookkeeper again who answers, and so knows what everybody has."""
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                await worker.balances("alice", "2025-11")
                return
            except StoreUnavailable:
                await asyncio.sleep(0.01)


async def abandon(bookkeeper: Bookkeeper) -> None:
    """As if its process had died; what was under way in the ledger may be done or not."""
    if bookkeeper._worker is not None:
        bookkeeper._worker.cancel()
        await asyncio.wait({bookkeeper._worker})
    await bookkeeper._leave()


class Office:
    """One daemon's books."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self.settings = settings
        self.clock = clock
        self.path = settings.server.state_dir / "books.sock"
        self._stack = AsyncExitStack()
        self.bookkeeper: Bookkeeper | None = None
        self._socket: socket.socket | None = None

    async def open(self) -> None:
        """Start a bookkeeper; the socket outlives it, as the supervisor's does."""
        if self._socket is None:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self._socket.bind(str(self.path))
            self._socket.listen(64)
        self.bookkeeper = Bookkeeper(self.settings, self.clock)
        await self.bookkeeper.start(self._socket.dup())

    async def kill(self) -> None:
        """The bookkeeper ends in the middle of whatever it does, and says nothing more."""
        assert self.bookkeeper is not None
        await abandon(self.bookkeeper)

    async def worker(self) -> LeasedLedger:
        ledger = LeasedLedger(
            open_journal(self.settings.server.state_dir / "journal", gathers=True), self.path, self.clock
        )
        await ledger.start()
        return ledger

    async def close(self) -> None:
        if self.bookkeeper is not None:
            await self.bookkeeper.close()
        if self._socket is not None:
            self._socket.close()

    def audit(self) -> dict[tuple[str, str, str], int]:
        with open_reader(self.settings.ledger.url.reveal()) as reader:
            return dict(audit(reader))


@asynccontextmanager
async def office(state: Path, clock: Clock | None = None, url: str | None = None) -> AsyncIterator[Office]:
    opened = Office(settings_in(state, url), clock or CalmClock())
    await opened.open()
    try:
        yield opened
    finally:
        await opened.close()
