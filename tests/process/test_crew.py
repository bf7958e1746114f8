"""Children that die, and what the crew makes of it."""

import pytest

from gatewayd.process.crew import _pause
from tests.process import forks
from tests.process.forks import played


def test_one_that_dies_of_its_start_is_made_again_after_pauses_that_double() -> None:
    pauses, restarts, failure = played(forks.dying_again_and_again)
    assert pauses == [0.0, 0.1, 0.2, 0.4, 0.8]
    assert (restarts, failure) == (5, "worker ended with exit code 3")


def test_one_that_lived_steadily_is_made_again_at_once() -> None:
    assert played(forks.dying_after_a_steady_life) == [4, [0.0, 0.0, 0.0], "dead"]


def test_one_that_fails_before_it_was_ready_says_why_and_is_not_made_again() -> None:
    assert played(forks.failing_at_the_start) == ["no room for it", 0]


def test_one_that_was_told_to_end_is_not_made_again() -> None:
    assert played(forks.told_to_end_by_the_crew) == ["worker ended with exit code 0", 0, True]


def test_one_that_was_killed_by_the_crew_is_not_made_again() -> None:
    assert played(forks.killed_by_the_crew) == ["worker was killed by SIGKILL", 0]


@pytest.mark.parametrize(
    ("last", "lived", "pause"),
    [(None, 0, 0), (0, 0, 0.1), (0.1, 9.9, 0.2), (4.0, 0, 5.0), (5.0, 0, 5.0), (5.0, 10.0, 0)],
)
def test_a_pause_doubles_up_to_five_seconds_and_ends_with_a_steady_life(
    last: float | None, lived: float, pause: float
) -> None:
    assert _pause(last, lived) == pause
