"""Several children are asked, and some do not answer."""

from tests.process import forks
from tests.process.forks import played


def test_one_that_answers_late_stands_with_its_last_answer() -> None:
    assert played(forks.one_answers_late) == [{"quick": {}, "slow": {"count": 1}}] * 2


def test_one_that_dies_while_asked_is_not_waited_for() -> None:
    assert played(forks.one_dies_while_asked) == [[0], False]
