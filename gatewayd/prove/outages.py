"""How a ledger is taken away from the daemons, from outside: its file is locked, or the way to its server is cut."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote, urlencode

from gatewayd.prove.agent import HOST
from gatewayd.prove.conditions import Conditions, Outage
from gatewayd.prove.relay import Place, relay_to
from gatewayd.stores.postgres.address import located

LOCK_PATIENCE: Final = 10.0
_USUAL_PORT: Final = "5432"


@dataclass(frozen=True, slots=True)
class Reach:
    """A ledger as the daemons are told to reach it, and what takes it away for as long as a `with` lasts."""

    ledger: str
    away: Outage


def reach(conditions: Conditions, folder: Path) -> AbstractAsyncContextManager[Reach]:
    """A ledger that can be taken away. `folder` is for the file of one that has none."""
    if conditions.database_away is not None:
        return _as_told(Reach(conditions.ledger, conditions.database_away))
    if conditions.ledger:
        return _by_relay(conditions.ledger.partition(":")[2])
    file = folder / "outage.db"
    return _as_told(Reach(f"sqlite:{file}", lambda: locked(file)))


@asynccontextmanager
async def locked(file: Path) -> AsyncIterator[None]:
    """Nobody else can write to this SQLite file."""
    with closing(sqlite3.connect(file, timeout=LOCK_PATIENCE, isolation_level=None, check_same_thread=False)) as lock:
        await asyncio.to_thread(lock.execute, "BEGIN EXCLUSIVE")
        try:
            yield
        finally:
            lock.execute("ROLLBACK")


@asynccontextmanager
async def _as_told(told: Reach) -> AsyncIterator[Reach]:
    yield told


@asynccontextmanager
async def _by_relay(rest: str) -> AsyncIterator[Reach]:
    parameters = located(rest).parameters
    async with relay_to(place_of(parameters)) as relay:
        words = urlencode({**parameters, "host": HOST, "port": str(relay.port)}, quote_via=quote)
        yield Reach(f"postgresql:///?{words}", relay.away)


def place_of(parameters: Mapping[str, str]) -> Place:
    """Where libpq would connect to; a host that is a path is the directory of a Unix socket."""
    host, port = parameters.get("host", HOST), parameters.get("port", _USUAL_PORT)
    return Place(path=f"{host}/.s.PGSQL.{port}") if host.startswith("/") else Place(host, int(port))
