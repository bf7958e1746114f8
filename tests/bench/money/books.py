"""A bookkeeper in a process of its own, as in a daemon, that counts what it is asked and what it asks the ledger."""

import asyncio
import multiprocessing
import socket
from collections.abc import AsyncIterator, Collection, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from tempfile import TemporaryDirectory

from gatewayd.books.bookkeeper import Bookkeeper
from gatewayd.books.ledger import LeasedLedger
from gatewayd.books.messages import Message, Messenger
from gatewayd.clock import SystemClock
from gatewayd.commands.common import new_event_loop
from gatewayd.config.loading import parse
from gatewayd.config.settings import Settings
from gatewayd.errors import StoreUnavailable
from gatewayd.model import Account, Durability
from gatewayd.stores.base import Batch, Grant, Want
from gatewayd.stores.journal.writer import open_journal
from tests.bench import machine
from tests.bench.money.requests import PERIOD

CONFIG = """
[server]
state_dir = "{state}"
[auth]
secret = "a secret that only these benches know and nobody else"
[ledger]
url = "{url}"
durability = "{durability}"
"""
_SPAWN = multiprocessing.get_context("spawn")


def settings_in(state: Path, url: str = "", durability: Durability = "process") -> Settings:
    text = CONFIG.format(state=state, url=url or f"sqlite:{state / 'ledger.db'}", durability=durability)
    return parse(text, "bench.toml", {}).settings


@dataclass(frozen=True, slots=True)
class Tally:
    """What a bookkeeper did until now: messages heard, leases and batches asked of the ledger, CPU seconds."""

    messages: int
    leases: int
    posts: int
    seconds: float

    def __sub__(self, before: "Tally") -> "Tally":
        return Tally(
            self.messages - before.messages,
            self.leases - before.leases,
            self.posts - before.posts,
            self.seconds - before.seconds,
        )


class Books:
    """A bookkeeper that serves the workers of one state directory."""

    def __init__(self, settings: Settings, pid: int, line: Connection) -> None:
        self.settings = settings
        self._pid = pid
        self._line = line

    def tally(self) -> Tally:
        self._line.send("tally")
        messages, leases, posts = self._line.recv()
        return Tally(messages, leases, posts, machine.cpu_seconds(self._pid))

    @asynccontextmanager
    async def worker(self) -> AsyncIterator[LeasedLedger]:
        """One that lives in this process."""
        state, durability = self.settings.server.state_dir, self.settings.ledger.durability
        journal = open_journal(state / "journal")
        ledger = LeasedLedger(journal, state / "books.sock", SystemClock(), durability=durability)
        await ledger.start()
        try:
            yield ledger
        finally:
            await ledger.close()


async def posted(ledger: LeasedLedger) -> None:
    """Come back when everything that this worker did is in the ledger, so that it burdens nobody's next round."""
    while True:
        try:
            await ledger.balances("nobody", PERIOD)
        except StoreUnavailable:  # there is more of it than can be posted while one question waits
            continue
        return


@contextmanager
def books(durability: Durability = "process", url: str = "") -> Iterator[Books]:
    """A daemon's state and its bookkeeper, for as long as the `with` lasts."""
    with TemporaryDirectory(prefix="bench-") as folder:
        settings = settings_in(Path(folder), url, durability)
        ours, theirs = _SPAWN.Pipe()
        process = _SPAWN.Process(target=_keep, args=(settings, theirs))
        process.start()
        theirs.close()
        try:
            assert ours.recv() == "ready"
            assert process.pid is not None
            yield Books(settings, process.pid, ours)
        finally:
            ours.close()
            process.join()


class _Counting(Bookkeeper):
    """Mutable, like what it counts."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings, SystemClock())
        self.messages = self.leases = self.posts = 0
        vault, lease, post = self._vault, self._vault.lease, self._vault.post

        async def counted_lease(wants: Sequence[Want]) -> Sequence[Grant]:
            self.leases += 1
            return await lease(wants)

        async def counted_post(batch: Batch, charged: Collection[Account] = (), *, whole: bool = False) -> None:
            self.posts += bool(batch.postings)
            await post(batch, charged, whole=whole)

        vault.lease, vault.post = counted_lease, counted_post  # type: ignore[method-assign]

    def _hear(self, messenger: Messenger, message: Message) -> None:
        self.messages += 1
        super()._hear(messenger, message)


def _keep(settings: Settings, line: Connection) -> None:
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(_serve(settings, line))


async def _serve(settings: Settings, line: Connection) -> None:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.bind(str(settings.server.state_dir / "books.sock"))
    sock.listen(64)
    keeper = _Counting(settings)
    await keeper.start(sock)
    line.send("ready")
    loop, ended = asyncio.get_running_loop(), asyncio.Event()

    def hear() -> None:
        try:
            line.recv()
            line.send((keeper.messages, keeper.leases, keeper.posts))
        except (EOFError, OSError):
            loop.remove_reader(line.fileno())
            ended.set()

    loop.add_reader(line.fileno(), hear)
    await ended.wait()
    await keeper.close()
