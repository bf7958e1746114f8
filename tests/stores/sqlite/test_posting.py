import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from gatewayd.model import Account
from gatewayd.stores.base import Batch
from gatewayd.stores.sqlite import schema
from gatewayd.stores.sqlite.leasing import lease
from gatewayd.stores.sqlite.posting import IDS_AT_ONCE, post
from tests.stores.ledgers import ALICE, batch, posting, want


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        schema.create(connection)
        yield connection


def rows(connection: sqlite3.Connection) -> list[tuple[str, int, int]]:
    return connection.execute("SELECT user_id, units, in_flight FROM usage_leases").fetchall()


def test_a_row_of_leases_is_there_only_while_it_says_something(connection: sqlite3.Connection) -> None:
    lease(connection, "n", [want(most=3)])
    post(connection, "n", Batch(in_flight={ALICE: 2}))
    assert rows(connection) == [("alice", 3, 2)]
    post(connection, "n", Batch(returned={ALICE: 3}))
    assert rows(connection) == [("alice", 0, 2)]
    post(connection, "n", Batch(in_flight={ALICE: 0}))
    assert rows(connection) == []


def test_what_changes_nothing_writes_nothing(connection: sqlite3.Connection) -> None:
    lease(connection, "n", [want(most=3)])
    post(connection, "n", Batch([posting()], in_flight={ALICE: 2}))
    before = connection.total_changes
    post(connection, "n", Batch([posting(quantity=2)], returned={ALICE: 0}, in_flight={ALICE: 2}))
    post(connection, "n", Batch(in_flight={Account("bob", "api_calls", "2025-11"): 0}))
    assert connection.total_changes == before


def test_repeats_are_found_in_every_chunk_of_a_large_batch(connection: sqlite3.Connection) -> None:
    names = [f"r{number}" for number in range(3 * IDS_AT_ONCE + 1)]
    post(connection, "n", batch(*(posting(name) for name in names[::7])))
    post(connection, "n", batch(*(posting(name) for name in names)))
    assert connection.execute("SELECT spent FROM usage_balances").fetchall() == [(len(names),)]
    assert connection.execute("SELECT value FROM ledger_meta WHERE key = 'records'").fetchall() == [(str(len(names)),)]


@pytest.mark.parametrize("units", [-1, 2**53], ids=["below zero", "too large"])
def test_an_absurd_number_of_units_is_logged_and_passed_over(
    connection: sqlite3.Connection, units: int, caplog: pytest.LogCaptureFixture
) -> None:
    bob = Account("bob", "api_calls", "2025-11")
    lease(connection, "n", [want(most=3), want(bob, most=3)])
    post(connection, "n", Batch([posting(drawn=-5)], returned={ALICE: units, bob: 1}, in_flight={ALICE: units}))
    assert rows(connection) == [("alice", 3, 0), ("bob", 2, 0)]
    assert caplog.text.count("units of Account(user_id='alice'") == 2


@pytest.mark.parametrize("module", sorted(Path(schema.__file__).parent.glob("*.py")), ids=lambda path: path.stem)
def test_no_placeholder_has_a_number(module: Path) -> None:
    """Python 3.12 warns of those that are filled from a sequence, and 3.14 refuses them."""
    assert re.findall(r"\?\d", module.read_text()) == []
