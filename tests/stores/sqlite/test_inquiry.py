import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest

from gatewayd.books.patrol import difference
from gatewayd.model import Account, Directory, DirectoryPage
from gatewayd.stores.base import Batch
from gatewayd.stores.sqlite import inquiry, schema
from gatewayd.stores.sqlite.leasing import lease
from gatewayd.stores.sqlite.posting import post
from tests.stores.ledgers import ALICE, batch, posting, want


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        schema.create(connection)
        yield connection


def test_drift_and_balances_are_found_by_an_index_and_read_no_whole_table(connection: sqlite3.Connection) -> None:
    names: dict[str, object] = {"user": "alice", "unit": "api_calls", "period": "2025-11", "but": ""}
    names |= {"at": "", "quantity": 0, "row": 0, "through": 9, "most": 9, "since": 0}
    for question in (
        inquiry.SELECT_ACCOUNTS,
        inquiry.SELECT_BALANCES_OF_A_USER,
        inquiry.SELECT_CHANGED,
        inquiry.SELECT_QUANTITIES,
        inquiry.SELECT_STANDING,
    ):
        plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {question}", names)]
        assert plan
        assert not [
            step
            for step in plan
            if step.startswith(("SCAN usage", "SCAN balance", "SCAN accounts", "SCAN revocations"))
        ]


def test_only_records_of_the_period_and_of_the_user_count_in_its_drift(connection: sqlite3.Connection) -> None:
    edges = {"r1": 1_761_955_200.0, "r2": 1_764_547_199.9999}
    post(connection, "n", batch(*(posting(name, at=at) for name, at in edges.items())))
    post(connection, "n", batch(posting("r3", at=1_764_547_200.0), posting("r4", at=1_761_955_199.999)))
    post(connection, "n", batch(posting("r5", account=Account("alice2", "api_calls", "2025-11"))))
    assert [balance.spent for balance in inquiry.balances(connection, "alice", "2025-11", "")] == [2]
    assert difference(inquiry.examine(connection, ALICE, None, 99)) == 0


def test_records_and_leases_without_a_balance_are_drift(connection: sqlite3.Connection) -> None:
    lease(connection, "n", [want(most=7)])
    post(connection, "n", batch(posting(quantity=5, drawn=0)))
    connection.execute("DELETE FROM usage_balances")
    assert difference(inquiry.examine(connection, ALICE, None, 99)) == 12


def test_requests_in_flight_of_other_daemons_count_and_those_of_this_one_do_not(
    connection: sqlite3.Connection,
) -> None:
    post(connection, "n", Batch(in_flight={ALICE: 2}))
    post(connection, "m", Batch(in_flight={ALICE: 3}))
    held = [inquiry.balances(connection, "alice", "2025-11", but)[0].held for but in ("", "n", "m", "x")]
    assert held == [5, 3, 2, 5]


def test_a_new_ledger_has_an_empty_directory(connection: sqlite3.Connection) -> None:
    assert inquiry.directory(connection) == Directory(0, {})
    assert inquiry.directory_page(connection, 0, 10) == DirectoryPage(0, 0, {})
