"""A daemon of several workers, and what tests ask of its processes."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp

from tests.daemons import PATIENCE, RunningDaemon, gatewayd, write_config

PATH = "/api/email/process"


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
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def admin_of(daemon: RunningDaemon) -> str:
    address = status(daemon.config)["admin"]
    assert isinstance(address, str)
    return address


def two_workers(directory: Path, upstream: str = "http://127.0.0.1:9/api/email", listen: str = "127.0.0.1:0") -> Path:
    return write_config(directory, upstream, server="workers = 2", listen=listen)


async def calls(daemon: RunningDaemon, count: int) -> list[int]:
    """The statuses of so many calls, each on a connection of its own."""
    found = []
    for _ in range(count):
        async with daemon.session() as session, session.get(PATH) as response:
            found.append(response.status)
    return found


async def numbers(url: str) -> dict[str, float]:
    async with aiohttp.ClientSession() as session, session.get(url + "/metrics") as response:
        lines = (await response.text()).splitlines()
    return {name: float(value) for name, value in (each.rsplit(" ", 1) for each in lines if not each.startswith("#"))}


async def eventually(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not await asyncio.to_thread(true):
            await asyncio.sleep(0.01)
