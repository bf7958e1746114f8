"""gatewayd as a process of its own: its configuration, its commands, its signals and what it says."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
from click.testing import CliRunner, Result

from gatewayd.cli import main
from gatewayd.clock import SystemClock
from gatewayd.config.loading import load
from gatewayd.identity.signing import sign_token
from gatewayd.process.daemon import Daemon
from tests import patience
from tests.agents import Script
from tests.gateways import CONFIG, PLANS, ROUTE, SECRET
from tests.nursery import Child, bear
from tests.pauses import CalmClock

ROOT = Path(__file__).parents[1]
COMMAND = (sys.executable, "-m", "gatewayd")
PATIENCE = patience.PATIENCE


def environment(**more: str) -> dict[str, str]:
    """What a command runs in: this checkout, no settings of the person who runs the tests, and the tests' secret."""
    own = ("GATEWAYD", "NOTIFY_SOCKET", "LISTEN_", "PYTHONUNBUFFERED")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(own)}
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH", ""))))
    return kept | {"PYTHONPATH": path, "SECRET": SECRET} | more


def write_config(
    directory: Path,
    upstream: str = "http://127.0.0.1:9/api/email",
    *,
    listen: str = "127.0.0.1:0",
    server: str = "",
    general: str = PLANS,
    state: Path | None = None,
) -> Path:
    """A configuration with one route; state and ledger are in `state`, else beside it."""
    directory.mkdir(exist_ok=True)
    text = CONFIG.format(state=state or directory, server=server, general=general) + ROUTE.format(upstream=upstream)
    config = directory / "gatewayd.toml"
    config.write_text(text.replace('listen = ["127.0.0.1:0"]', f'listen = ["{listen}"]'))
    return config


def gatewayd(
    *arguments: str | Path, cwd: Path | None = None, environ: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    command = [*COMMAND, *map(str, arguments)]
    return subprocess.run(
        command,
        cwd=cwd,
        env=environ or environment(),
        capture_output=True,
        text=True,
        timeout=2 * PATIENCE,
        check=False,
    )


def command(*arguments: str | Path, **environ: str | None) -> Result:
    """The same in this process; whatever is not an orderly end fails the test."""
    result = CliRunner().invoke(main, [*map(str, arguments)], env={"GATEWAYD_CONFIG": None, "SECRET": SECRET} | environ)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


class RunningDaemon:
    """A process that said it is ready."""

    def __init__(self, process: Child, ready: str, config: Path, log: Path) -> None:
        self.process = process
        self.ready = ready
        self.config = config
        self._log = log

    @property
    def url(self) -> str:
        return self.ready.split()[4].rstrip(",")

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    @property
    def log(self) -> str:
        """What it has said on stderr so far."""
        return self._log.read_text()

    def bearer(self, user: str = "ann") -> dict[str, str]:
        auth = load(self.config, {"SECRET": SECRET}).settings.auth
        return {"Authorization": f"Bearer {sign_token(auth, SystemClock(), user)}"}

    def session(self) -> aiohttp.ClientSession:
        """Callers with ann's token; a test may not wait for ever."""
        return aiohttp.ClientSession(self.url, headers=self.bearer(), timeout=aiohttp.ClientTimeout(2 * PATIENCE))

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    async def ended(self) -> int:
        """The exit code, once it is there."""
        async with asyncio.timeout(PATIENCE):
            return await self.process.wait()

    async def said(self, words: str) -> None:
        """Wait until its log has these words."""
        async with asyncio.timeout(PATIENCE):
            while words not in self.log:
                await asyncio.sleep(0.01)


@asynccontextmanager
async def running_daemon(config: Path, *, environ: Mapping[str, str] | None = None) -> AsyncIterator[RunningDaemon]:
    """`gatewayd start`, from its ready line to the end of the `with`, where it is killed if it still runs."""
    log = config.with_suffix(".stderr")
    with log.open("a") as stderr:
        process = await bear(["start", "-c", str(config)], stderr, environ or environment())
    try:
        async with asyncio.timeout(PATIENCE):
            ready = (await process.stdout.readline()).decode()
        assert ready, log.read_text()
        yield RunningDaemon(process, ready, config, log)
    finally:
        await process.close()


class Stream:
    """An agent's script: the head of an answer and one piece of it, and the rest when the test lets it go."""

    def __init__(self) -> None:
        self.go_on = asyncio.Event()

    @property
    def script(self) -> Script:
        return self._play

    async def _play(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n")
        await writer.drain()
        await self.go_on.wait()
        writer.write(b"4\r\nlast\r\n0\r\n\r\n")
        await writer.drain()


@asynccontextmanager
async def daemon_here(config: Path, environ: Mapping[str, str] | None = None) -> AsyncIterator[Daemon]:
    """The same in this process, for what a process of its own adds nothing to; stopped at the end of the `with`."""
    daemon = Daemon(load(config, {"SECRET": SECRET}).settings, CalmClock(), environ or {})
    ready = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(daemon.run(ready.set_result))
    await asyncio.wait({task, ready}, return_when=asyncio.FIRST_COMPLETED)
    if task.done():
        task.result()
    try:
        yield daemon
    finally:
        daemon.stop()
        await task
