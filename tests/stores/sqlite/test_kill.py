"""`kill -9` at a random moment, three times over the same file: nothing acknowledged is lost or doubled."""

import random
import subprocess
import sys
from pathlib import Path

import pytest

from gatewayd.model import Account
from gatewayd.stores.sqlite.reader import open_reader
from gatewayd.stores.sqlite.store import open_store
from tests.clocks import ManualClock
from tests.stores.ledgers import audit, batch, drift, posting

ROOT = Path(__file__).parents[3]


def run_and_kill(path: Path, name: str, seed: int) -> dict[str, set[str]]:
    """What the process said before it died: word → names of records."""
    command = [sys.executable, "-m", "tests.stores.sqlite.spender", str(path), name, str(seed)]
    said: dict[str, set[str]] = {"posting": set(), "posted": set()}
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT, text=True) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(random.Random(seed).randrange(1, 600))]
        process.kill()
        for line in (*lines, *process.stdout):
            word, *names = line.split()
            said[word].update(names)
    assert process.returncode == -9
    return said


@pytest.mark.parametrize("seed", [1, 2, 3, 4])
async def test_what_was_acknowledged_survives_kill_9_once_each(tmp_path: Path, clock: ManualClock, seed: int) -> None:
    path = tmp_path / "ledger.db"
    said = []
    for number in range(3):
        said.append(run_and_kill(path, f"round{number}", seed * 10 + number))
        with open_reader(str(path)) as reader:
            audit(reader)
            found = {row.id for row in reader.records()}
        assert set().union(*(each["posted"] for each in said)) <= found
        assert found <= set().union(*(each["posting"] for each in said))

    store = await open_store(str(path), "process", clock)
    accounts = [Account(f"user-{n}", "api_calls", "2025-11") for n in range(4)]
    again = [posting(name, account=accounts[0], quantity=99) for name in sorted(found)]
    await store.post("node-1", batch(*again))
    assert await drift(store, accounts) == 0
    await store.close()
    with open_reader(str(path)) as reader:
        audit(reader)
        assert {row.id for row in reader.records()} == found
        assert reader.end()[0] == len(found)
