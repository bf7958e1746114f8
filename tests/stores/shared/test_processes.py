import json
import subprocess
import sys
from pathlib import Path

from tests.stores.shared.crowd import KILLED

ROOT = Path(__file__).parents[3]


def crowd(kind: str, rounds: int) -> list[tuple[int, int]]:
    command = [sys.executable, "-m", "tests.stores.shared.crowd", kind, str(rounds)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return [(burst, admitted) for burst, admitted in json.loads(done.stdout)]


def test_processes_that_take_from_the_same_two_keys_at_once_are_admitted_exactly_the_burst() -> None:
    for burst, admitted in crowd("race", 60):
        assert admitted == burst


def test_processes_killed_while_taking_neither_hold_up_the_others_nor_reset_a_key() -> None:
    """What a killed one took but did not live to report is all that may be missing."""
    for burst, admitted in crowd("kill", 100):
        assert burst - KILLED <= admitted <= burst


def test_one_that_is_alone_and_is_not_and_is_again_admits_together_with_the_others_exactly_the_burst() -> None:
    for burst, admitted in crowd("tenancy", 12):
        assert admitted == burst


def test_one_that_dies_alone_is_gone_on_from_by_another_who_waited_until_then_though_nobody_told_of_it() -> None:
    """What the dead one took but did not live to report is all that may be missing."""
    for burst, admitted in crowd("death", 12):
        assert burst - 1 <= admitted <= burst
