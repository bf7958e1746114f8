"""The nouns that every room shares."""

import pickle

import pytest

from gatewayd.model import Balance, Plan, Rate


@pytest.mark.parametrize(
    ("limit", "held", "spent", "remaining"),
    [(10, 2, 3, 5), (10, 0, 12, 0), (10, 10, 0, 0), (0, 5, 5, None)],
    ids=["some left", "overspent", "all held", "not limited"],
)
def test_what_remains_is_what_can_still_be_held(limit: int, held: int, spent: int, remaining: int | None) -> None:
    assert Balance("ann", "u", "2025-11", limit, held, spent).remaining == remaining


def test_a_plan_is_handed_to_a_worker_as_it_is() -> None:
    for plan in (Plan("free"), Plan("pro", default=True, quota={"pages": 3}, rate_limit=(Rate(5, "minute", burst=2),))):
        assert pickle.loads(pickle.dumps(plan)) == plan
