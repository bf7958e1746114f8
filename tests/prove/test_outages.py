import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import replace
from pathlib import Path

import pytest

from gatewayd.clock import SystemClock
from gatewayd.errors import StoreUnavailable
from gatewayd.prove.agent import HOST
from gatewayd.prove.conditions import Conditions
from gatewayd.prove.outages import locked, place_of, reach
from gatewayd.prove.relay import Place
from gatewayd.stores.open import open_store


def write(file: Path) -> None:
    with closing(sqlite3.connect(file, timeout=0.01, isolation_level=None)) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS t (x)")
        connection.execute("INSERT INTO t VALUES (1)")


async def test_nobody_can_write_to_a_file_that_is_locked(tmp_path: Path) -> None:
    file = tmp_path / "ledger.db"
    write(file)
    async with locked(file):
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            write(file)
    write(file)


async def test_without_a_ledger_of_its_own_a_file_is_made_for_it(tmp_path: Path) -> None:
    async with reach(Conditions(1, tmp_path), tmp_path) as found:
        assert found.ledger == f"sqlite:{tmp_path}/outage.db"
        async with found.away():
            with pytest.raises(sqlite3.OperationalError, match="locked"):
                write(tmp_path / "outage.db")


async def test_who_can_stop_the_server_itself_does(tmp_path: Path) -> None:
    stopped = asyncio.Event()

    @asynccontextmanager
    async def away() -> AsyncIterator[None]:
        stopped.set()
        yield

    conditions = replace(Conditions(1, tmp_path), ledger="postgresql://h/d", database_away=away)
    async with reach(conditions, tmp_path) as found, found.away():
        assert stopped.is_set()
    assert found.ledger == "postgresql://h/d"


async def test_the_way_to_a_server_is_cut_where_nobody_can_stop_it(tmp_path: Path, rest: str) -> None:
    async with reach(replace(Conditions(1, tmp_path), ledger=f"postgresql:{rest}"), tmp_path) as found:
        store = await open_store(found.ledger, "process", SystemClock())
        async with found.away():
            with pytest.raises(StoreUnavailable):
                await store.leases("node")
        assert await store.leases("node") == {}
        await store.close()


def test_a_server_is_where_its_address_says() -> None:
    assert place_of({"host": "/run/pg", "port": "5433"}) == Place(path="/run/pg/.s.PGSQL.5433")
    assert place_of({"host": "db"}) == Place("db", 5432)
    assert place_of({}) == Place(HOST, 5432)
