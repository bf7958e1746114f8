import pytest

from gatewayd.prove.books import DRIFT
from gatewayd.prove.catalogue import TRIALS, checks_of, trials_for


def test_without_a_name_everything_is_tried() -> None:
    assert trials_for(()) == list(TRIALS)


@pytest.mark.parametrize("check", checks_of(TRIALS), ids=lambda check: check.name)
def test_a_check_is_told_by_the_trials_that_are_chosen_for_it(check: object) -> None:
    name = getattr(check, "name", "")
    chosen = trials_for([name])
    assert chosen
    assert all(check in trial.tells for trial in chosen)


def test_every_trial_ends_with_the_books_and_that_is_told_last() -> None:
    assert all(DRIFT in trial.tells for trial in TRIALS)
    assert checks_of(TRIALS)[-1] is DRIFT
    assert len({check.name for check in checks_of(TRIALS)}) == len(checks_of(TRIALS))


def test_trials_have_names_of_their_own() -> None:
    assert len({trial.name for trial in TRIALS}) == len(TRIALS)
