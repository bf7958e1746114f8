"""Rows in the order of their changes become pages that leave nothing out."""

from hypothesis import given
from hypothesis import strategies as st

from gatewayd.model import DirectoryPage, Revocation
from gatewayd.stores.paging import Changed, page_of

ROWS: list[Changed] = [
    (4, "account", "ann", "pro", 0.0),
    (5, "user", "ann", "", 2.5),
    (7, "token", "x", "", 0.0),
]


def test_a_page_says_what_was_decided_and_up_to_which_version() -> None:
    revoked = (Revocation("user", "ann", 2.5), Revocation("token", "x", 0.0))
    assert page_of(3, 9, 10, ROWS) == DirectoryPage(3, 9, {"ann": "pro"}, revoked)
    assert page_of(3, 9, 3, ROWS) == DirectoryPage(3, 7, {"ann": "pro"}, revoked, more=True)
    assert page_of(9, 9, 3, []) == DirectoryPage(9, 9, {})


@given(st.sets(st.integers(1, 30)), st.integers(1, 7))
def test_pages_one_behind_the_other_tell_every_row_once(versions: set[int], most: int) -> None:
    rows: list[Changed] = [(version, "account", str(version), "pro", 0.0) for version in sorted(versions)]
    told: list[str] = []
    since, more = 0, True
    while more:
        page = page_of(since, 31, most, [row for row in rows if row[0] > since][:most])
        told += page.plans
        since, more = page.version, page.more
    assert told == [row[2] for row in rows]
    assert since == 31
