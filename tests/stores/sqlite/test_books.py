import sqlite3
from collections.abc import Iterator

import pytest

from gatewayd.stores import chain
from gatewayd.stores.sqlite import schema
from gatewayd.stores.sqlite.books import Books
from tests.stores.ledgers import NOVEMBER, hold, record


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    schema.create(connection)
    yield connection
    connection.close()


def test_the_chain_goes_on_across_transactions(connection: sqlite3.Connection) -> None:
    for name in ("r1", "r2"):
        books = Books(connection)
        books.settle(record(hold(name)))
        books.finish()
    first, second = (row[-1] for row in connection.execute("SELECT * FROM usage_records ORDER BY rowid"))
    assert first == chain.sealed(chain.GENESIS, record(hold("r1"))).chain
    assert second == chain.sealed(first, record(hold("r2"))).chain
    meta = dict(connection.execute("SELECT key, value FROM ledger_meta").fetchall())
    assert meta == {"schema_version": "1", "records": "2", "head": second}


def test_balances_include_what_this_transaction_did(connection: sqlite3.Connection) -> None:
    books = Books(connection)
    books.hold(hold("r1", units=4))
    (balance,) = books.balances("alice", "2025-11")
    assert balance.held == 4


def test_a_hold_comes_back_as_it_was_made(connection: sqlite3.Connection) -> None:
    made = [hold("r2", units=3, cost=1, at=NOVEMBER + 0.125), hold("r1", user="", limit=0)]
    books = Books(connection)
    for each in made:
        books.hold(each)
    assert books.unsettled() == made


def test_a_refused_hold_writes_no_balance_unless_the_limit_changed(connection: sqlite3.Connection) -> None:
    books = Books(connection)
    books.hold(hold("r1", limit=1))
    books.finish()
    before = connection.total_changes
    books = Books(connection)
    assert not books.hold(hold("r2", limit=1)).granted
    books.finish()
    assert connection.total_changes == before


def test_a_settlement_of_another_account_than_its_hold_leaves_both_balances_true(
    connection: sqlite3.Connection,
) -> None:
    books = Books(connection)
    books.hold(hold("r1", unit="tokens", units=7))
    books.settle(record(hold("r1", unit="api_calls")))
    assert [(b.unit, b.held, b.spent) for b in books.balances("alice", "2025-11")] == [
        ("api_calls", 0, 1),
        ("tokens", 0, 0),
    ]


def test_an_account_is_overwritten(connection: sqlite3.Connection) -> None:
    books = Books(connection)
    books.assign("alice", "free")
    books.assign("alice", "pro")
    assert books.plans() == {"alice": "pro"}
