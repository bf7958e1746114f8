"""A child and its line, with a supervisor who speaks by hand."""

from gatewayd.process.child import ORPHANED
from tests.process import forks
from tests.process.forks import played


def test_a_child_whose_supervisor_is_gone_ends() -> None:
    assert played(forks.abandoned) == [{"ready": True}, ORPHANED]


def test_the_words_of_a_failure_arrive_before_the_end() -> None:
    assert played(forks.failed) == [{"failed": "no room for it"}, 1]


def test_a_child_says_when_it_is_idle_and_ends_when_told() -> None:
    assert played(forks.told_to_drain_and_end) == [[{"ready": True}, {"idle": True}], 0]


def test_to_be_told_to_end_means_to_drain_first() -> None:
    assert played(forks.told_to_end_only) == [[{"ready": True}, {"idle": True}], 0]


def test_a_question_is_answered_or_with_nothing_and_neither_it_nor_a_signal_ends_the_child() -> None:
    pid, answers, code = played(forks.asked)
    assert answers == [{"answer": {"pid": pid}, "id": 1}, {"answer": {}, "id": 2}, {"answer": {}, "id": 3}]
    assert code == 0
