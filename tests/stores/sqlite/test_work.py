import sqlite3
from collections.abc import Iterator

import pytest

from gatewayd.model import Balance, Holding
from gatewayd.stores.sqlite import schema
from gatewayd.stores.sqlite.work import Assign, BalancesOf, Plans, Release, commit
from tests.stores.ledgers import hold, record


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    schema.create(connection)
    yield connection
    connection.close()


def test_a_batch_is_done_in_order_and_each_has_its_answer(connection: sqlite3.Connection) -> None:
    one = hold("r1", limit=1)
    answers = commit(
        connection,
        [
            one,
            hold("r2", limit=1),
            Release("r1"),
            hold("r3", limit=1),
            record(hold("r3")),
            Assign("alice", "pro"),
            Plans(),
            BalancesOf("alice", "2025-11"),
        ],
    )
    after = Balance("alice", "api_calls", "2025-11", 1, 1, 0)
    assert answers == [
        Holding(True, after),
        Holding(False, after),
        None,
        Holding(True, after),
        None,
        None,
        (1, {"alice": "pro"}),
        [Balance("alice", "api_calls", "2025-11", 1, 0, 1)],
    ]


def test_a_fault_of_one_is_its_answer_and_the_others_are_done(connection: sqlite3.Connection) -> None:
    first, fault, third = commit(connection, [hold("r1"), hold("r1"), hold("r2")])
    assert isinstance(fault, ValueError)
    assert isinstance(first, Holding)
    assert isinstance(third, Holding)
    assert third.balance.held == 2


def test_an_error_of_the_database_undoes_the_whole_batch(connection: sqlite3.Connection) -> None:
    connection.execute("CREATE TRIGGER no BEFORE INSERT ON accounts BEGIN SELECT raise(FAIL, 'no'); END")
    with pytest.raises(sqlite3.Error):
        commit(connection, [hold("r1"), record(hold("r2")), Assign("alice", "pro")])
    for table in ("usage_holds", "usage_records", "usage_balances"):
        assert connection.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)
