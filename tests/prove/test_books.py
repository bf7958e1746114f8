import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from gatewayd.clock import SystemClock
from gatewayd.model import Account
from gatewayd.prove.books import DRIFT, audited, seen
from gatewayd.prove.findings import Finding
from gatewayd.stores.sqlite.store import open_store
from tests.prove.records import wrongs
from tests.stores.ledgers import batch, posting, want

ANN, BOB = Account("try-ann", "units", "2025-11"), Account("bob", "units", "2025-11")
Tamper = Callable[[str], None]


@pytest.fixture
def ledger(tmp_path: Path) -> str:
    """Two records of ann, one of bob, whom no trial knows; nothing is leased any more."""

    async def fill() -> None:
        store = await open_store(str(tmp_path / "ledger.db"), "process", SystemClock())
        await store.lease("node", [want(ANN, least=5, most=5), want(BOB, least=7, most=7)])
        postings = posting("r1", account=ANN, quantity=2), posting("r2", account=ANN, quantity=3)
        await store.post("node", batch(*postings, posting("r3", account=BOB, quantity=7)))
        await store.close()

    asyncio.run(fill())
    return f"sqlite:{tmp_path / 'ledger.db'}"


@pytest.fixture
def tamper(ledger: str) -> Tamper:
    def change(statement: str) -> None:
        with closing(sqlite3.connect(ledger.removeprefix("sqlite:"), isolation_level=None)) as connection:
            connection.execute(statement)

    return change


def found(ledger: str) -> dict[str, int]:
    drift = Finding(DRIFT)
    audited(ledger, "try-", drift)
    return wrongs(drift)


def test_the_records_of_a_trials_users_are_gathered_and_nobody_elses(ledger: str) -> None:
    drift = Finding(DRIFT)
    books = audited(ledger, "try-", drift)
    assert {name: len(rows) for name, rows in books.records.items()} == {"r1": 1, "r2": 1}
    assert books.spending == {"try-ann": 5}
    assert drift.passed
    assert (drift.counts["records"], drift.counts["balances"]) == (2, 1)


@pytest.mark.parametrize(
    ("statement", "wrong"),
    [
        pytest.param("UPDATE usage_balances SET spent = spent + 1", {"drifted": 1, "chain faults": 2}, id="spent"),
        pytest.param(
            "DELETE FROM usage_balances WHERE user_id LIKE 'try%'", {"drifted": 5, "chain faults": 1}, id="gone"
        ),
        pytest.param(
            "UPDATE usage_balances SET held = 4", {"misheld": 4, "left held": 4, "chain faults": 2}, id="held"
        ),
        pytest.param("UPDATE ledger_meta SET value = '9' WHERE key = 'records'", {"chain faults": 1}, id="the end"),
    ],
)
def test_what_does_not_agree_is_counted(ledger: str, tamper: Tamper, statement: str, wrong: dict[str, int]) -> None:
    tamper(statement)
    assert found(ledger) == wrong


def test_a_lease_is_nothing_wrong_while_daemons_run(ledger: str, tamper: Tamper) -> None:
    tamper("UPDATE usage_balances SET held = 4 WHERE user_id = 'try-ann'")
    tamper("INSERT INTO usage_leases VALUES ('n', 'try-ann', 'units', '2025-11', 4, 0, 0, 0)")
    drift = Finding(DRIFT)
    seen(ledger, "try-", drift)
    assert wrongs(drift) == {}
    assert found(ledger) == {"left held": 4}
