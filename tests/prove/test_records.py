import pytest

from gatewayd.model import Outcome
from gatewayd.prove.books import Books
from gatewayd.prove.findings import Check, Finding
from gatewayd.prove.records import RECORD_WRONGS, is_true, judge_records
from gatewayd.stores.chain import RecordRow
from tests.prove.records import answer, row, visit, wrongs


def judged(*rows: RecordRow, delivered: bool = True) -> Finding:
    """Of one request, r1, whose caller had the whole answer if it was delivered."""
    finding = Finding(Check("records", "", RECORD_WRONGS, ()))
    records: dict[str, list[RecordRow]] = {}
    for each in rows:
        records.setdefault(each.id, []).append(each)
    judge_records([visit()], [answer(whole=delivered)], Books(records), finding)
    return finding


def test_one_true_record_is_nothing_wrong() -> None:
    finding = judged(row())
    assert wrongs(finding) == {}
    assert finding.counts["requests"] == 1


@pytest.mark.parametrize(
    ("rows", "wrong"),
    [
        pytest.param([], "missing", id="no record"),
        pytest.param([row(), row()], "doubled", id="two records"),
        pytest.param([row(), row("r2")], "invented", id="a record of nothing"),
        pytest.param([row(quantity=3)], "misstated", id="another quantity"),
        pytest.param([row(user="bob")], "misstated", id="another user"),
        pytest.param([row(outcome=Outcome.UNKNOWN, quantity=3)], "misstated", id="unknown, though it was delivered"),
    ],
)
def test_what_is_wrong_is_named(rows: list[RecordRow], wrong: str) -> None:
    assert wrongs(judged(*rows)) == {wrong: 1}


def test_who_died_before_the_agent_saw_anything_may_leave_an_unknown_record() -> None:
    assert wrongs(judged(row(), row("r2", outcome=Outcome.UNKNOWN))) == {}


@pytest.mark.parametrize(
    ("outcome", "quantity", "true"),
    [
        (Outcome.DELIVERED, 2, True),
        (Outcome.DELIVERED, 3, False),
        (Outcome.CLIENT_CLOSED, 2, True),
        (Outcome.CLIENT_CLOSED, 3, True),
        (Outcome.CLIENT_CLOSED, 0, False),
        (Outcome.UNKNOWN, 3, True),
        (Outcome.UNKNOWN, 2, False),
        (Outcome.FAILED, 0, False),
    ],
)
def test_a_request_that_was_cut_off_has_an_outcome_and_the_charge_that_belongs_to_it(
    outcome: Outcome, quantity: int, true: bool
) -> None:
    assert is_true(row(outcome=outcome, quantity=quantity), visit(), delivered=False) == true


def test_without_a_statement_the_cost_is_charged() -> None:
    assert is_true(row(quantity=3), visit(quantity=None), delivered=True)
    assert not is_true(row(quantity=2), visit(quantity=None), delivered=True)
