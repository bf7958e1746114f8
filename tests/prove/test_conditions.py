from pathlib import Path

import pytest

from gatewayd.prove.conditions import Conditions


def test_chance_is_the_same_for_the_same_seed_and_another_for_each_trial() -> None:
    def drawn(seed: int, trial: str) -> list[float]:
        chance = Conditions(seed, Path()).chance(trial)
        return [chance.random() for _ in range(3)]

    assert drawn(7, "kills") == drawn(7, "kills")
    assert drawn(7, "kills") != drawn(8, "kills")
    assert drawn(7, "kills") != drawn(7, "limits")


@pytest.mark.parametrize(
    ("asked", "at_least_usual", "played"),
    [(None, False, 10), (3, False, 3), (30, False, 30), (None, True, 10), (3, True, 10), (30, True, 30)],
)
def test_as_many_rounds_are_played_as_asked_for_and_where_a_fault_must_be_found_no_fewer_than_usual(
    asked: int | None, at_least_usual: bool, played: int
) -> None:
    assert Conditions(1, Path(), rounds=asked, at_least_usual=at_least_usual).rounds_of(10) == played


def test_addresses_which_may_hold_passwords_are_not_shown() -> None:
    shown = repr(Conditions(1, Path(), ledger="postgresql://u:secret@h/d", counters="redis://:secret@h"))
    assert "secret" not in shown


def test_no_two_runs_have_users_of_one_name() -> None:
    assert Conditions(1, Path()).run != Conditions(1, Path()).run
