"""The usage page's questions to a ledger file; what they are answered is in tests/stores/test_usage_contract.py."""

from pathlib import Path

import pytest

from gatewayd.errors import StoreError
from gatewayd.stores.sqlite.store import open_store
from gatewayd.stores.sqlite.usage import open_usage
from tests.clocks import ManualClock
from tests.stores.ledgers import batch, posting


def test_where_there_is_no_ledger_it_is_said_so_and_nothing_is_made(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    with pytest.raises(StoreError, match=f"{path} does not exist: start the daemon once"), open_usage(str(path)):
        pass
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"no database at all" * 1000])
def test_a_file_that_is_no_ledger_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "ledger.db"
    path.write_bytes(content)
    with pytest.raises(StoreError, match=str(path)), open_usage(str(path)) as reader:
        reader.count("2025-11")
    assert path.read_bytes() == content


async def test_a_month_is_read_while_the_daemon_writes(tmp_path: Path, clock: ManualClock) -> None:
    path = str(tmp_path / "a ledger?#.db")
    store = await open_store(path, "process", clock)
    with open_usage(path) as reader:
        assert reader.used_after(0, 10).last == 0
        await store.post("node-1", batch(posting()))
        assert reader.used_after(0, 10).last == 1
    await store.close()
