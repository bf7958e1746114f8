"""An intent refers to an earlier one only if it says the same but for id and moment."""

from dataclasses import replace
from typing import Any

import pytest

from gatewayd.stores.journal import precedents
from gatewayd.stores.journal.precedents import NONE, Precedents
from tests.stores.journal.entries import hold


def test_a_hold_that_differs_in_id_and_moment_alone_finds_the_last_place_that_says_the_rest() -> None:
    known = Precedents()
    known.add(hold(1), 8)
    known.add(hold(2), 200)
    known.add(hold(3, "bob"), 400)
    assert known.place_for(replace(hold(4), started_at=7.5)) == 200
    assert known.place_for(hold(4, "bob")) == 400


@pytest.mark.parametrize(
    "other",
    [
        {"user_id": "bob"},
        {"plan": "free"},
        {"agent": "mail"},
        {"route": "mail"},
        {"unit": "tokens"},
        {"units": 2},
        {"limit": 101},
        {"cost": 2},
    ],
    ids=lambda other: next(iter(other)),
)
def test_what_differs_in_anything_else_finds_none(other: dict[str, Any]) -> None:
    known = Precedents()
    known.add(hold(1), 8)
    assert known.place_for(replace(hold(2), **other)) == NONE


def test_a_user_of_several_routes_has_a_place_for_each() -> None:
    known = Precedents()
    known.add(hold(1), 8)
    known.add(replace(hold(2), route="mail", agent="mail"), 200)
    assert known.place_for(hold(3)) == 8
    assert known.place_for(replace(hold(3), route="mail", agent="mail")) == 200


def test_nothing_is_found_once_it_is_cleared() -> None:
    known = Precedents()
    known.add(hold(1), 8)
    known.clear()
    assert (known.place_for(hold(2)), len(known)) == (NONE, 0)


def test_so_many_are_kept_only() -> None:
    known = Precedents()
    for number in range(precedents.MOST + 2):
        known.add(hold(number, f"user-{number}"), 8)
        known.add(hold(number, f"user-{number}"), 16)
    assert len(known) == 3
    assert known.place_for(hold(0, f"user-{precedents.MOST + 1}")) == 16
