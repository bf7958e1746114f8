import pytest

from gatewayd.model import Account
from gatewayd.stores.postgres.storable import LARGEST, LONGEST, by_account, columns, fault


@pytest.mark.parametrize(
    ("texts", "amounts", "said"),
    [
        pytest.param(["alice", "", "zoë"], [0, LARGEST, -LARGEST], "", id="storable"),
        pytest.param(["a\0b"], [], "NUL", id="NUL"),
        pytest.param(["\ud800"], [], "Unicode", id="lone surrogate"),
        pytest.param(["ä" * (LONGEST // 2)], [], "", id="as long as an index takes"),
        pytest.param(["ä" * (LONGEST // 2) + "a"], [], "at most 2048 bytes", id="too long"),
        pytest.param([], [LARGEST + 1], "at most", id="too many units"),
        pytest.param([], [-LARGEST - 1], "at most", id="too few units"),
    ],
)
def test_what_a_row_cannot_hold_is_told_before_it_is_tried(texts: list[str], amounts: list[int], said: str) -> None:
    found = fault(texts, amounts)
    assert said in found if said else not found


def test_accounts_stand_in_one_order_whoever_names_them() -> None:
    one, two = Account("a", "x", "2025-12"), Account("b", "x", "2025-11")
    assert columns([two, one]) == {"users": ["a", "b"], "kinds": ["x", "x"], "periods": ["2025-12", "2025-11"]}
    assert by_account({two: 2, one: 1}) == {**columns([one, two]), "amounts": [1, 2]}
