"""What is as usual is written at once, what is not is looked at first, and both come to the same."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest

from gatewayd.stores.sqlite import schema
from gatewayd.stores.sqlite.leasing import lease
from gatewayd.stores.sqlite.moves import MOST_SPENT, Moves, Sum
from tests.stores.ledgers import ALICE, want

NODE = "n"


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        schema.create(connection)
        yield connection


def total(quantity: int, drawn: int) -> Sum:
    found = Sum()
    found.add(quantity, drawn)
    return found


def standing(connection: sqlite3.Connection) -> list[tuple[int, int, int | None]]:
    """Held, spent, and the lease's units, of every balance."""
    return connection.execute(
        "SELECT held, spent, units FROM usage_balances AS b LEFT JOIN usage_leases AS l ON l.user_id = b.user_id"
    ).fetchall()


def test_a_sum_counts_what_was_drawn_and_nothing_below(connection: sqlite3.Connection) -> None:
    found = total(3, 2)
    found.add(4, -7)
    assert (found.quantity, found.drawn) == (7, 2)


def test_what_leaves_some_of_the_lease_is_charged_at_once(connection: sqlite3.Connection) -> None:
    lease(connection, NODE, [want(most=5)])
    assert Moves(connection, NODE).charge_at_once(ALICE, total(6, 4))
    assert standing(connection) == [(1, 6, 1)]


def test_what_was_never_leased_is_charged_at_once_where_there_is_a_balance(connection: sqlite3.Connection) -> None:
    lease(connection, NODE, [want(most=5)])
    assert Moves(connection, NODE).charge_at_once(ALICE, total(6, 0))
    assert standing(connection) == [(5, 6, 5)]


@pytest.mark.parametrize(
    ("leased", "quantity", "drawn"),
    [(0, 1, 0), (5, 5, 5), (5, 9, 9), (5, MOST_SPENT + 1, 1), (5, 1, MOST_SPENT + 1)],
    ids=["no balance", "nothing left of the lease", "more than was leased", "beyond 63 bits", "drawn beyond 63 bits"],
)
def test_what_is_not_as_usual_changes_nothing(
    connection: sqlite3.Connection, leased: int, quantity: int, drawn: int
) -> None:
    if leased:
        lease(connection, NODE, [want(most=leased)])
    before = standing(connection)
    assert not Moves(connection, NODE).charge_at_once(ALICE, total(quantity, drawn))
    assert standing(connection) == before


def test_what_was_drawn_is_put_back_where_the_balance_has_no_room(connection: sqlite3.Connection) -> None:
    lease(connection, NODE, [want(most=5)])
    connection.execute("UPDATE usage_balances SET spent = ?", (MOST_SPENT - 1,))
    before = standing(connection)
    assert not Moves(connection, NODE).charge_at_once(ALICE, total(2, 2))
    assert standing(connection) == before
    assert Moves(connection, NODE).charge_at_once(ALICE, total(1, 1))
    assert standing(connection) == [(4, MOST_SPENT, 4)]


def test_the_last_of_a_lease_is_drawn_with_a_look_and_its_row_goes(connection: sqlite3.Connection) -> None:
    lease(connection, NODE, [want(most=5)])
    moves = Moves(connection, NODE)
    moves.charge(ALICE, 5, 5)
    moves.write()
    assert standing(connection) == [(0, 5, None)]
