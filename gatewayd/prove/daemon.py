"""A `gatewayd start` of our own: started, asked, killed, started again, and in the end always gone."""

import asyncio
import os
import random
import signal
import sys
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from gatewayd.errors import GatewayError
from gatewayd.process.control import inquire, socket_path

START_PATIENCE: Final = 30.0
END_PATIENCE: Final = 30.0
LOOK_SECONDS: Final = 0.02
_GOING: Final = ("dead", "retired")
_LAST_WORDS: Final = 4_000
_OURS: Final = ("GATEWAYD", "NOTIFY_SOCKET", "LISTEN_", "PYTHONUNBUFFERED")


class DaemonFailed(GatewayError):
    """A daemon did not start, or did not end as it should."""


class Daemon:
    """Mutable: it runs or not. `config` and `state` stay the same over its lives."""

    def __init__(self, config: Path, state: Path, environ: dict[str, str], sabotage: str) -> None:
        """With `sabotage`, the daemon has that fault."""
        launcher = ["gatewayd.prove.sabotage", sabotage] if sabotage else ["gatewayd"]
        self._command = [sys.executable, "-m", *launcher, "start", "-c", str(config)]
        self._environ = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)} | environ
        self._state = state
        self.config = config
        self._log = config.with_suffix(".log")
        self._process: asyncio.subprocess.Process | None = None
        self._killed: set[int] = set()
        self.port = 0

    async def start(self) -> None:
        """Come back when it serves. Raises DaemonFailed."""
        with self._log.open("ab") as log:
            # A session of its own: a terminal's Ctrl-C is for us, and we end it then.
            self._process = await asyncio.create_subprocess_exec(
                *self._command, stdout=asyncio.subprocess.PIPE, stderr=log, env=self._environ, start_new_session=True
            )
        assert self._process.stdout is not None
        with suppress(TimeoutError):
            async with asyncio.timeout(START_PATIENCE):
                ready = (await self._process.stdout.readline()).decode()
                if ready:
                    self.port = int(ready.split(" (pid")[0].rpartition(":")[2])
                    return
        raise DaemonFailed(f"a daemon did not start: {self._last_words()}")

    async def status(self) -> dict[str, Any]:
        """Nothing while it is not there to answer."""
        try:
            return await inquire(socket_path(self._state), "status")
        except (OSError, ValueError):
            return {}

    async def reload(self) -> dict[str, Any]:
        """What became of it. Raises OSError, ValueError and TimeoutError."""
        return await inquire(socket_path(self._state), "reload")

    async def requests(self) -> float:
        """How many it has counted."""
        samples = (await inquire(socket_path(self._state), "metrics"))["samples"]
        return float(
            sum(count for each in samples for _, count in each.get("counters", {}).get("gatewayd_requests", ()))
        )

    async def until(self, true: Callable[[dict[str, Any]], bool]) -> None:
        """Wait for a status. Raises TimeoutError."""
        async with asyncio.timeout(START_PATIENCE):
            while not true(await self.status()):  # noqa: ASYNC110  # another process has no events for us
                await asyncio.sleep(LOOK_SECONDS)

    async def kill_children(self, choose: Callable[[Sequence[str]], Collection[str]]) -> None:
        """`kill -9` of those of its processes that are chosen, by their names; of none that is dead already."""
        status = await self.status()
        pids = {each["name"]: each["pid"] for each in status.get("children", ()) if each["state"] not in _GOING}
        for name in choose(sorted(pids)):
            self._killed.add(pids[name])
            with suppress(ProcessLookupError):
                os.kill(pids[name], signal.SIGKILL)

    async def is_whole(self) -> bool:
        """Whether all of its processes serve, those that were killed were replaced, and its ledger answers."""
        status = await self.status()
        children = [
            each for each in status.get("children", ()) if each["name"] != "operators" and each["state"] != "retired"
        ]
        serving = all(each["state"] == "serving" and each["pid"] not in self._killed for each in children)
        return bool(children) and serving and bool((status["ledger"] or {}).get("up"))

    async def until_whole(self) -> None:
        """Raises DaemonFailed if it does not recover."""
        try:
            async with asyncio.timeout(START_PATIENCE):
                while not await self.is_whole():  # noqa: ASYNC110  # another process has no events for us
                    await asyncio.sleep(LOOK_SECONDS)
        except TimeoutError:
            raise DaemonFailed(f"a daemon did not recover: {self._last_words()}") from None

    async def stop(self) -> None:
        """An orderly end. Raises DaemonFailed if it was none."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            async with asyncio.timeout(END_PATIENCE):
                code = await self._process.wait()
        except TimeoutError:
            raise DaemonFailed(f"a daemon did not stop: {self._last_words()}") from None
        self._process = None
        if code:
            raise DaemonFailed(f"a daemon ended with exit code {code}: {self._last_words()}")

    async def kill(self) -> None:
        """`kill -9` of the supervisor, which its children do not survive; harmless when it does not run."""
        if (process := self._process) is not None:
            self._process = None
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    def _last_words(self) -> str:
        """Its last error, or else the last that it said."""
        lines = self._log.read_text(errors="replace")[-_LAST_WORDS:].strip().splitlines()
        errors = [line for line in lines if " ERROR " in line]
        return (errors or lines or ["it said nothing"])[-1]


def a_worker(names: Sequence[str], chance: random.Random) -> list[str]:
    """One of a daemon's workers, if there is any."""
    workers = [name for name in names if name.startswith("worker")]
    return [chance.choice(workers)] if workers else []
