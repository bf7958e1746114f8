"""`kill -9` at a random moment, three times over the same file: nothing acknowledged is lost or doubled."""

import random
import subprocess
import sys
from pathlib import Path

import pytest

from gatewayd.stores.open import open_reader
from gatewayd.stores.sqlite.ledger import open_ledger
from tests.clocks import ManualClock
from tests.stores.ledgers import audit

ROOT = Path(__file__).parents[3]


def run_and_kill(path: Path, name: str, seed: int) -> dict[str, dict[str, int]]:
    """What the process said it had done before it died: word → request → quantity."""
    command = [sys.executable, "-m", "tests.stores.sqlite.spender", str(path), name, str(seed)]
    said: dict[str, dict[str, int]] = {"held": {}, "releasing": {}, "released": {}, "settled": {}}
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT, text=True) as process:
        assert process.stdout is not None
        for _ in range(random.Random(seed).randrange(1, 600)):
            note(said, process.stdout.readline())
        process.kill()
        for line in process.stdout:
            note(said, line)
    assert process.returncode == -9
    return said


def note(said: dict[str, dict[str, int]], line: str) -> None:
    word, request, quantity = line.split()
    said[word][request] = int(quantity)


@pytest.mark.parametrize("seed", [1, 2, 3, 4])
async def test_what_was_acknowledged_survives_kill_9_once_each(tmp_path: Path, clock: ManualClock, seed: int) -> None:
    path = tmp_path / "ledger.db"
    rounds = [run_and_kill(path, f"round{number}", seed * 10 + number) for number in range(3)]

    with open_reader(f"sqlite:{path}") as reader:
        before = {row.id: row.quantity for row in reader.records()}
    assert before.items() >= rounds[-1]["settled"].items()

    ledger = open_ledger(str(path), "process", clock)
    (balance,) = await ledger.balances("alice", "2025-11")
    await ledger.close()
    with open_reader(f"sqlite:{path}") as reader:
        rows = {row.id: row for row in reader.records()}
        sums = audit(reader)
        assert reader.end()[0] == len(rows)
    assert balance.held == 0
    assert balance.spent == sums.total()
    for said in rounds:
        for request, quantity in said["settled"].items():
            assert (rows[request].outcome, rows[request].quantity) == ("delivered", quantity)
        assert not rows.keys() & said["released"].keys()
        in_flight = said["held"].keys() - said["releasing"].keys() - said["settled"].keys()
        assert in_flight <= rows.keys()
        for request in in_flight:
            assert rows[request].outcome == "delivered" or rows[request].quantity == said["held"][request]
