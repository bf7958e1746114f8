import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewayd.stores.sqlite import schema
from gatewayd.stores.sqlite.leasing import STRANGERS, lease, leases
from tests.stores.ledgers import ALICE, want


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        schema.create(connection)
        yield connection


def test_looking_for_other_daemons_leases_seeks_and_does_not_scan(connection: sqlite3.Connection) -> None:
    plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {STRANGERS}", {"node": "n"})]
    assert plan
    assert not [step for step in plan if step.startswith("SCAN usage")]


@given(st.lists(st.tuples(st.sampled_from("abcde"), st.integers(1, 9)), min_size=1, max_size=20))
def test_only_the_daemon_that_leased_last_has_leases(steps: list[tuple[str, int]]) -> None:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        schema.create(connection)
        node, has = "", 0
        for other, units in steps:
            has = (has if other == node else 0) + units
            node = other
            (grant,) = lease(connection, node, [want(limit=1_000, most=units)])
            assert (grant.units, grant.leased) == (units, has)
        assert {each: leases(connection, each) for each in "abcde"} == {
            each: {ALICE: has} if each == node else {} for each in "abcde"
        }
        assert connection.execute("SELECT held FROM usage_balances").fetchall() == [(has,)]


def test_a_refused_want_without_a_new_limit_writes_nothing(connection: sqlite3.Connection) -> None:
    lease(connection, "n", [want(limit=5, most=5)])
    before = connection.total_changes
    lease(connection, "n", [want(limit=5)])
    assert connection.total_changes == before
