from pathlib import Path

from gatewayd.prove.conditions import Conditions


def test_chance_is_the_same_for_the_same_seed_and_another_for_each_trial() -> None:
    def drawn(seed: int, trial: str) -> list[float]:
        chance = Conditions(seed, Path()).chance(trial)
        return [chance.random() for _ in range(3)]

    assert drawn(7, "kills") == drawn(7, "kills")
    assert drawn(7, "kills") != drawn(8, "kills")
    assert drawn(7, "kills") != drawn(7, "limits")


def test_addresses_which_may_hold_passwords_are_not_shown() -> None:
    shown = repr(Conditions(1, Path(), ledger="postgresql://u:secret@h/d", counters="redis://:secret@h"))
    assert "secret" not in shown


def test_no_two_runs_have_users_of_one_name() -> None:
    assert Conditions(1, Path()).run != Conditions(1, Path()).run
