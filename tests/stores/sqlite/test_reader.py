import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from gatewayd.errors import StoreError
from gatewayd.stores.sqlite.reader import open_reader
from gatewayd.stores.sqlite.store import open_store
from tests.clocks import ManualClock
from tests.stores.ledgers import audit, batch, posting
from tests.stores.sqlite.older import an_older_ledger

ROOT = Path(__file__).parents[3]


def missing(path: Path) -> None:
    path.unlink(missing_ok=True)


def empty(path: Path) -> None:
    path.touch()


@pytest.mark.parametrize(
    ("spoil", "message"),
    [(missing, "does not exist: start the daemon"), (empty, "is empty: start the daemon")],
)
def test_where_there_is_no_ledger_a_reader_says_so_and_makes_nothing(
    tmp_path: Path, spoil: Callable[[Path], None], message: str
) -> None:
    path = tmp_path / "ledger.db"
    spoil(path)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(StoreError, match=f"{path} {message}"), open_reader(str(path)):
        pass
    assert sorted(tmp_path.iterdir()) == before


async def test_reading_beside_a_running_daemon_and_after_it_makes_no_file(tmp_path: Path, clock: ManualClock) -> None:
    path = tmp_path / "a ledger?#%41.db"
    store = await open_store(str(path), "process", clock)
    await store.post("node-1", batch(posting()))
    running = sorted(tmp_path.iterdir())
    with open_reader(str(path)) as reader:
        assert audit(reader).total() == 1
    assert sorted(tmp_path.iterdir()) == running
    await store.close()
    stopped = sorted(tmp_path.iterdir())
    with open_reader(str(path)) as reader:
        assert audit(reader).total() == 1
    assert sorted(tmp_path.iterdir()) == stopped


async def test_reading_after_a_kill_sees_all_and_takes_nothing_from_the_next_start(
    tmp_path: Path, clock: ManualClock
) -> None:
    path = tmp_path / "ledger.db"
    command = [sys.executable, "-m", "tests.stores.sqlite.spender", str(path), "r", "1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT, text=True) as process:
        assert process.stdout is not None
        while not process.stdout.readline().startswith("posted"):
            pass
        process.kill()
    left = sorted(tmp_path.iterdir())
    with open_reader(str(path)) as reader:
        seen = {row.id for row in reader.records()}
        audit(reader)
    assert seen
    assert sorted(tmp_path.iterdir()) == left
    await (await open_store(str(path), "process", clock)).close()
    with open_reader(str(path)) as reader:
        assert {row.id for row in reader.records()} >= seen


def test_an_older_ledger_is_read_after_the_daemon_brought_it_up_to_date(tmp_path: Path) -> None:
    path = an_older_ledger(tmp_path / "ledger.db")
    before = path.read_bytes()
    with (
        pytest.raises(StoreError, match=rf"ledger {path} was made by an older gatewayd \(schema 1, .*start the daemon"),
        open_reader(str(path)),
    ):
        pass
    assert path.read_bytes() == before
