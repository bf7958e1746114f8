import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewayd.model import Account
from gatewayd.stores import chain
from gatewayd.stores.base import Batch
from gatewayd.stores.postgres.batch import (
    MOST_SPENT,
    Change,
    LeaseRow,
    Standing,
    account_of,
    chained,
    leases_after,
    storable,
)
from tests.stores.ledgers import ALICE, posting

UNITS = st.integers(0, 50)


@given(st.lists(st.tuples(UNITS, UNITS), max_size=8), UNITS, UNITS, st.none() | UNITS)
def test_what_leaves_a_lease_is_never_more_than_it_has(
    used: list[tuple[int, int]], leased: int, returned: int, in_flight: int | None
) -> None:
    postings = [posting(f"r{n}", quantity=quantity, drawn=drawn) for n, (quantity, drawn) in enumerate(used)]
    batch = Batch(postings, {ALICE: returned}, {} if in_flight is None else {ALICE: in_flight})
    standing = {ALICE: Standing(5, leased, 3)}
    rows, changes = chained(chain.GENESIS, postings, standing)
    left = leases_after(batch, changes, standing)
    assert changes[ALICE].spent == sum(quantity for quantity, _ in used)
    taken = min(leased, returned + sum(drawn for _, drawn in used))
    now = 3 if in_flight is None else in_flight
    expected = [LeaseRow(ALICE, taken, leased - taken, now, 0)] if taken or now != 3 else []
    assert left == expected
    assert [row.id for row in rows] == [each.id for each in postings]


def test_a_posting_whose_sum_no_row_can_hold_is_passed_over_and_breaks_no_chain(
    caplog: pytest.LogCaptureFixture,
) -> None:
    postings = [posting("one", quantity=2), posting("huge", quantity=9), posting("two", quantity=3)]
    rows, changes = chained(chain.GENESIS, postings, {ALICE: Standing(MOST_SPENT - 5, None, 0)})
    assert [row.id for row in rows] == ["one", "two"]
    assert rows[1].chain == chain.link(rows[0].chain, rows[1][:-1])
    assert changes[ALICE] == Change(spent=5, used=5)
    assert "'huge' cannot be stored" in caplog.text


@pytest.mark.parametrize(
    ("name", "account", "at"),
    [
        pytest.param("a\0b", ALICE, None, id="NUL in the id"),
        pytest.param("r", Account("\ud800", "api_calls", "2025-11"), None, id="surrogate in the user"),
        pytest.param("r", ALICE, 1e300, id="a time beyond the calendar"),
    ],
)
def test_what_cannot_be_stored_is_left_out_and_logged(
    name: str, account: Account, at: float | None, caplog: pytest.LogCaptureFixture
) -> None:
    good = posting("good")
    bad = posting(name, account=account, at=at)
    assert storable(Batch([good, bad, good])) == Batch([good])
    assert caplog.text.count("cannot be stored") == 1


def test_amounts_of_what_is_no_account_or_below_0_are_left_out(caplog: pytest.LogCaptureFixture) -> None:
    strange = Account("a\0b", "api_calls", "2025-11")
    amounts = {ALICE: -1, strange: 1}
    assert storable(Batch(returned=amounts, in_flight=amounts, answered=amounts)) == Batch([])
    assert caplog.text.count("cannot be stored") == 6


def test_a_record_is_charged_to_the_month_in_which_it_began() -> None:
    december = chain.epoch("2025-12-01T00:00:00.000Z")
    assert account_of(posting(at=december)).period == "2025-12"
    assert account_of(posting(at=december - 0.0001)).period == "2025-11"
