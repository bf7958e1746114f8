"""The machine that measures: what it is, which core measures, and what a process has used of it."""

import os
import platform
import sysconfig
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from tempfile import gettempdir
from typing import Any, Final

from gatewayd.build import BUILD
from tests.bench.declare import Unavailable

_ALL: Final = sorted(os.sched_getaffinity(0))
MEASURED: Final = frozenset(_ALL[:1])
"""The core that what is measured has for itself."""
BESIDE: Final = frozenset(_ALL[1:] or _ALL)
"""The cores of everything else; the same one on a machine that has no other."""


def pin(cores: Iterable[int], process: int = 0) -> None:
    """Bind the process's main thread, and whatever it starts from now on, to these cores; 0 is the caller."""
    os.sched_setaffinity(process, cores)


def cpu_seconds(process: int) -> float:
    """What all threads of a process that lives have used; exact to the kernel's last switch. Raises Unavailable."""
    if not (threads := list(Path(f"/proc/{process}/task").glob("*/schedstat"))):
        raise Unavailable("this kernel does not tell what a process has used (/proc/PID/task/*/schedstat)")
    return sum(int(each.read_text().split()[0]) for each in threads) / 1e9


def resident_bytes(process: int | str = "self") -> int:
    """The memory that a process has in RAM."""
    pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def facts() -> dict[str, Any]:
    """What has to be known of the machine to make something of its figures."""
    return {
        "cpu": _processor(),
        "cores": len(_ALL),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "profile-guided": "yes" if "--enable-optimizations" in _python_options() else "no",
        "gatewayd": BUILD,
        "uvloop": _version("uvloop"),
        "state on": _filesystem(Path(gettempdir())),
        "load": round(os.getloadavg()[0], 2),
    }


def _python_options() -> str:
    """How it was configured; profile-guided optimisation is an eighth of a request."""
    return str(sysconfig.get_config_var("CONFIG_ARGS") or "")


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _filesystem(path: Path) -> str:
    """Of what kind it is: a flush to memory says nothing of a disk. TMPDIR chooses another."""
    mounts = (line.split()[1:3] for line in Path("/proc/self/mounts").read_text().splitlines())
    holding = [(len(point), kind) for point, kind in mounts if path.resolve().is_relative_to(point)]
    return max(holding)[1] if holding else "unknown"


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
