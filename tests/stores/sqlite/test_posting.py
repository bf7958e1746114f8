import re
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewayd.model import Account
from gatewayd.stores import chain
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


@given(st.lists(st.lists(st.tuples(st.integers(0, 9), st.sampled_from(["ann", "bob"]), st.integers(0, 2)), max_size=6)))
def test_however_batches_repeat_each_other_the_chain_goes_on_and_each_record_is_charged_once(
    batches: list[list[tuple[int, str, int]]],
) -> None:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        schema.create(connection)
        first: dict[str, tuple[str, int]] = {}
        for facts in batches:
            named = [(f"r{number}", user, quantity) for number, user, quantity in facts]
            records = [posting(name, account=ALICE._replace(user_id=user), quantity=n) for name, user, n in named]
            post(connection, "n", batch(*records))
            for name, user, quantity in named:
                first.setdefault(name, (user, quantity))
        assert_whole(connection, first)


FACTS = st.tuples(
    st.integers(0, 9),
    st.sampled_from(["", "ann", "bob"]),
    st.sampled_from(["api_calls", "tokens"]),
    st.sampled_from([1_763_000_000.0, 1_766_500_000.0]),
    st.integers(0, 2) | st.just(2**53),
)


@given(st.lists(st.lists(FACTS, max_size=8), max_size=4))
def test_whatever_follows_whatever_in_a_batch_each_account_is_charged_what_its_rows_say(
    batches: list[list[tuple[int, str, str, float, int]]],
) -> None:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        schema.create(connection)
        for facts in batches:
            made = [
                replace(posting(f"r{number}", drawn=0), user_id=user, unit=unit, started_at=at, quantity=quantity)
                for number, user, unit, at, quantity in facts
            ]
            post(connection, "n", Batch(made))
        summed = connection.execute(
            "SELECT user_id, unit, substr(started_at, 1, 7), sum(quantity) FROM usage_records GROUP BY 1, 2, 3"
        )
        spent = connection.execute("SELECT user_id, unit, period, spent FROM usage_balances ORDER BY 1, 2, 3")
        assert spent.fetchall() == summed.fetchall()
        assert_chained(connection)


def test_a_record_that_its_account_cannot_hold_leaves_no_gap_in_the_chain(connection: sqlite3.Connection) -> None:
    full = ALICE._replace(user_id="full")
    post(connection, "n", batch(posting("r0", account=full)))
    connection.execute("UPDATE usage_balances SET spent = ?", (2**63 - 2,))
    names = ["r1", "r2", "r3"]
    post(
        connection,
        "n",
        batch(*(posting(name, account=who) for name, who in zip(names, (ALICE, full, ALICE), strict=True))),
    )
    post(connection, "n", batch(posting("r4", account=full), posting("r5")))
    assert [name for (name,) in connection.execute("SELECT id FROM usage_records ORDER BY rowid")] == [
        "r0",
        "r1",
        "r2",
        "r3",
        "r5",
    ]
    assert_chained(connection)


@pytest.mark.parametrize(
    "spoilt",
    [
        {"quantity": 2**53},
        {"status": 2**53},
        {"bytes_in": 2**53},
        {"bytes_out": 2**53},
        *({name: "\ud800"} for name in ("id", "user_id", "plan", "agent", "route", "unit")),
    ],
    ids=str,
)
def test_what_no_row_can_hold_is_passed_over_whichever_column_it_is_in(
    connection: sqlite3.Connection, spoilt: dict[str, Any]
) -> None:
    largest = posting("r1", quantity=2**53 - 1)
    bad = replace(posting("r2"), **spoilt)
    named = replace(posting("r3"), plan="zo\u00eb")
    post(connection, "n", Batch([largest, bad, posting("r4", drawn=2**53), named]))
    assert connection.execute("SELECT id FROM usage_records").fetchall() == [("r1",), ("r3",)]
    assert_chained(connection)


def assert_whole(connection: sqlite3.Connection, records: dict[str, tuple[str, int]]) -> None:
    """These records are there, in this order, and nothing else is charged."""
    found = connection.execute("SELECT id, user_id, quantity FROM usage_records ORDER BY rowid").fetchall()
    assert found == [(name, user, quantity) for name, (user, quantity) in records.items()]
    spent = dict(connection.execute("SELECT user_id, spent FROM usage_balances").fetchall())
    totals: Counter[str] = Counter()
    for user, quantity in records.values():
        totals[user] += quantity
    assert spent == dict(totals)
    assert_chained(connection)


def assert_chained(connection: sqlite3.Connection) -> None:
    """Each row follows the one before, and the ledger's end is where it says."""
    head = chain.GENESIS
    rows = connection.execute("SELECT * FROM usage_records ORDER BY rowid").fetchall()
    for row in rows:
        head = chain.link(head, row[:-1])
        assert row[-1] == head
    meta = dict(connection.execute("SELECT key, value FROM ledger_meta WHERE key IN ('head', 'records')").fetchall())
    assert meta == {"head": head, "records": str(len(rows))}


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
