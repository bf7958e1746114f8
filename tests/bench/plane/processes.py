"""Gateways as processes: started on the core of measurement, looked at with all they started, ended with it."""

import asyncio
import os
import resource
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Final

from tests.bench import machine
from tests.bench.declare import Unavailable

ROOT: Final = Path(__file__).parents[3]
PATIENCE: Final = 20.0
KIB: Final = 1024


class Tree:
    """A process and whatever it started that lives."""

    def __init__(self, root: int) -> None:
        self.root = root

    def members(self) -> list[int]:
        children: dict[int, list[int]] = {}
        for stat in Path("/proc").glob("[0-9]*/stat"):
            with suppress(OSError):
                children.setdefault(_parent(stat.read_text()), []).append(int(stat.parent.name))
        found = [self.root]
        for process in found:
            found += children.get(process, ())
        return found

    def cpu_seconds(self) -> dict[int, float]:
        """What each has used since it began."""
        return {process: machine.cpu_seconds(process) for process in self.members()}

    def resident_bytes(self) -> int:
        """What they have in RAM; a page that two share counts once for each."""
        return sum(map(machine.resident_bytes, self.members()))

    def forget_peaks(self) -> None:
        for process in self.members():
            Path(f"/proc/{process}/clear_refs").write_text("5")

    def peak_bytes(self) -> int:
        """The sum of the most that each has had in RAM since `forget_peaks`."""
        return sum(_peak(process) for process in self.members())


def _parent(stat: str) -> int:
    """The second field behind the name, which may have anything in it."""
    return int(stat.rpartition(")")[2].split()[1])


def _peak(process: int) -> int:
    for line in Path(f"/proc/{process}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * KIB
    raise Unavailable("this kernel does not tell the most that a process has had in RAM (VmHWM)")


def spent(before: Mapping[int, float], after: Mapping[int, float]) -> dict[int, float]:
    """The seconds that each used in between."""
    return {process: seconds - before.get(process, 0.0) for process, seconds in after.items()}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def many_files() -> None:
    """Let this process, and what it starts, open as many files as it may."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


@asynccontextmanager
async def started(command: Sequence[str], folder: Path, port: int, environ: Mapping[str, str]) -> AsyncIterator[Tree]:
    """From when it takes connections on `port`; its words are in `folder`, and the last of them in what is raised."""
    log = folder / "said"
    with log.open("wb") as file, _on_the_measured_core():
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=_environment() | dict(environ),
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            start_new_session=True,
        )
    try:
        await _listens(process, port, log)
        yield Tree(process.pid)
    finally:
        await _end(process)


@contextmanager
def _on_the_measured_core() -> Iterator[None]:
    """What is started meanwhile stays there; we go back."""
    machine.pin(machine.MEASURED)
    try:
        yield
    finally:
        machine.pin(machine.BESIDE)


async def _listens(process: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
    async with asyncio.timeout(PATIENCE):
        while process.poll() is None:
            with suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.close()
                return
            await asyncio.sleep(0.05)
    raise RuntimeError(f"{process.args!r} ended: {log.read_text(errors='replace')[-2000:]}")


async def _end(process: "subprocess.Popen[bytes]") -> None:
    """Politely, else with everything of its session."""
    process.terminate()
    try:
        await asyncio.to_thread(process.wait, PATIENCE)
    except subprocess.TimeoutExpired:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("GATEWAYD", "NOTIFY_SOCKET"))}
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH", ""))))
    return kept | {
        "PYTHONPATH": path,
        "PATH": os.pathsep.join((str(Path(sys.executable).parent), kept.get("PATH", ""))),
    }
