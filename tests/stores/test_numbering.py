"""What no record confirms is read with care."""

import pytest

from gatewayd.errors import StoreError
from gatewayd.stores.numbering import end_of, misnumbered_decisions


def test_an_end_is_a_count_and_a_chain_value() -> None:
    assert end_of([("abc",), ("12",)], "x.db") == (12, "abc")


@pytest.mark.parametrize("rows", [[], [("abc",)], [("abc",), ("twelve",)], [("abc",), ("-1",)]])
def test_an_end_that_is_lost_is_said_with_the_ledgers_name(rows: list[tuple[str]]) -> None:
    with pytest.raises(StoreError, match=r"ledger x\.db has lost its end .*: restore it from a backup"):
        end_of(rows, "x.db")


def test_a_decision_is_told_on_one_line_whatever_its_name_holds() -> None:
    assert misnumbered_decisions([("account ann", 9), ("account a\nb", 8)]) == [
        "account ann: changed is 9, which no decision was given",
        "'account a\\nb': changed is 8, which no decision was given",
    ]
