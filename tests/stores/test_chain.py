import hashlib
import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewayd.model import BillingPeriod, UsageRecord, rfc3339
from gatewayd.stores import chain
from tests.stores.ledgers import hold, record

moments = st.floats(0, 4_000_000_000)


def test_the_canonical_form_is_pinned_because_stored_chains_depend_on_it() -> None:
    row = chain.sealed(chain.GENESIS, record(hold("id-1", user="zo\u00eb")))
    expected = (
        b'["id-1","zo\\u00eb","free","email","email","api_calls",1,"delivered",200,'
        b'"2025-11-24T16:00:00.000Z","2025-11-24T16:00:00.250Z",160,913]'
    )
    assert chain.canonical(row[:-1]) == expected
    assert row.chain == hashlib.sha256(b"0" * 64 + expected).hexdigest()


@pytest.mark.parametrize("column", range(13))
def test_a_change_in_any_column_changes_the_link(column: int) -> None:
    columns: list[object] = list(chain.sealed(chain.GENESIS, record(hold()))[:-1])
    before = chain.link(chain.GENESIS, columns)
    columns[column] = 7 if isinstance(columns[column], int) else "other"
    assert chain.link(chain.GENESIS, columns) != before


def test_a_link_depends_on_what_came_before() -> None:
    columns = chain.sealed(chain.GENESIS, record(hold()))[:-1]
    assert chain.link("1" * 64, columns) != chain.link(chain.GENESIS, columns)


@given(moments)
def test_a_stored_moment_stays_in_its_billing_period(utc: float) -> None:
    assert chain.period(rfc3339(utc)) == BillingPeriod.at(utc).name


@given(moments)
def test_a_stored_moment_reads_back_as_it_was_written(utc: float) -> None:
    text = rfc3339(utc)
    assert rfc3339(chain.epoch(text)) == text
    assert -1e-6 <= utc - chain.epoch(text) < 0.001001


def test_the_last_moment_of_a_month_is_not_rounded_into_the_next() -> None:
    assert rfc3339(1_764_547_199.9999) == "2025-11-30T23:59:59.999Z"


@given(st.text(), st.text(), st.integers(0, 2**63 - 1), moments)
def test_a_row_is_sealed_by_the_link_that_a_verifier_works_out(name: str, user: str, units: int, at: float) -> None:
    sealed = chain.sealed(chain.GENESIS, replace(record(hold(name, user=user)), quantity=units, started_at=at))
    assert sealed.chain == chain.link(chain.GENESIS, sealed[:-1])


@given(st.lists(st.tuples(st.text(), st.sampled_from(["ann", "zo\u00eb", 'a"b']), st.integers(0, 9), moments)))
def test_rows_sealed_together_are_the_rows_sealed_one_by_one(facts: list[tuple[str, str, int, float]]) -> None:
    records = [replace(record(hold(name, user=user)), quantity=units, started_at=at) for name, user, units, at in facts]
    sealing, head = chain.Sealing(chain.GENESIS), chain.GENESIS
    for each in records:
        row = chain.sealed(head, each)
        head = row.chain
        assert (sealing.row(each), sealing.head) == (tuple(row), head)


@pytest.mark.parametrize(
    "other",
    [
        replace(record(hold()), user_id="other"),
        replace(record(hold()), plan="other"),
        replace(record(hold()), agent="other"),
        replace(record(hold()), route="other"),
        replace(record(hold()), unit="other"),
    ],
    ids=["user", "plan", "agent", "route", "unit"],
)
def test_a_row_after_one_that_differs_in_a_single_name_has_its_own(other: UsageRecord) -> None:
    first = record(hold())
    sealing = chain.Sealing(chain.GENESIS)
    before = sealing.row(first)[-1]
    assert sealing.row(other)[-1] == chain.sealed(before, other).chain


@given(st.lists(st.text() | st.integers()))
def test_the_canonical_form_is_json_without_white_space_in_ascii(columns: list[str | int]) -> None:
    assert chain.canonical(columns) == json.dumps(columns, separators=(",", ":")).encode("ascii")
