"""A daemon of several workers, and what tests ask of its processes."""

import json
import os
from pathlib import Path
from typing import Any

from tests.daemons import RunningDaemon, gatewayd


def status(config: Path) -> dict[str, Any]:
    """The running daemon's answer."""
    found = gatewayd("status", "--json", "-c", config)
    assert found.returncode == 0, found.stderr
    document: dict[str, Any] = json.loads(found.stdout)
    return document


def pids(config: Path) -> dict[str, int]:
    """Its children by name."""
    return {each["name"]: each["pid"] for each in status(config)["children"]}


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"


def admin_of(daemon: RunningDaemon) -> str:
    address = status(daemon.config)["admin"]
    assert isinstance(address, str)
    return address
