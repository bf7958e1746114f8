import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from gatewayd.errors import StoreError
from gatewayd.model import Revocation
from gatewayd.stores.sqlite import clerk as module
from gatewayd.stores.sqlite.clerk import open_clerk
from gatewayd.stores.sqlite.reader import open_reader
from gatewayd.stores.sqlite.store import open_store
from tests.clocks import ManualClock
from tests.stores.ledgers import batch, posting
from tests.stores.sqlite.older import an_older_ledger


async def test_a_clerk_and_the_daemon_write_at_the_same_time(tmp_path: Path, clock: ManualClock) -> None:
    path = str(tmp_path / "var" / "ledger.db")
    with open_clerk(path) as clerk:
        clerk.assign("alice", "free")
        store = await open_store(path, "process", clock)
        for number in range(20):
            clerk.assign("alice", f"plan-{number}")
            await store.post("node-1", batch(posting(f"r{number}")))
        directory = await store.directory(0, 10)
        assert directory.plans == {"alice": "plan-19"}
        assert directory.version == 21
        await store.close()
        clerk.assign("bob", "free")
    with open_reader(path) as reader:
        assert reader.directory().plans == {"alice": "plan-19", "bob": "free"}
        assert reader.end()[0] == 20


def test_an_older_ledger_is_left_to_the_daemon(tmp_path: Path) -> None:
    path = an_older_ledger(tmp_path / "ledger.db")
    with pytest.raises(StoreError, match="made by an older gatewayd"), open_clerk(str(path)):
        pass


def test_a_name_that_is_no_text_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    path = str(tmp_path / "ledger.db")
    with open_clerk(path) as clerk:
        with pytest.raises(StoreError, match="not Unicode"):
            clerk.assign("\udcff", "free")
        with pytest.raises(StoreError, match="not Unicode"):
            clerk.revoke(Revocation("user", "\udcff", 1.0))
    with open_reader(path) as reader:
        assert reader.directory().version == 0


def test_a_ledger_locked_for_long_is_refused_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE_SECONDS", 0.0)
    path = tmp_path / "ledger.db"
    with open_clerk(str(path)) as clerk, closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match=f"ledger {path} is locked by another program"):
            clerk.assign("alice", "free")
        other.execute("ROLLBACK")
        clerk.assign("alice", "free")


def test_a_place_where_no_file_can_be_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="cannot be opened"), open_clerk(str(tmp_path / "file" / "ledger.db")):
        pass
