import pytest

from gatewayd.stores.sqlite.storable import LARGEST, fault


@pytest.mark.parametrize(
    ("texts", "amounts", "reason"),
    [
        pytest.param(("zo\u00eb", ""), (0, LARGEST), "", id="all is well"),
        pytest.param(("zo\u00eb",), (0, LARGEST + 1), "at most 9007199254740991", id="a large amount"),
        pytest.param(("a", "\ud800"), (0,), "not Unicode", id="half a character"),
        pytest.param(("\ud83d", "\ude00"), (0,), "not Unicode", id="two halves in two texts"),
    ],
)
def test_what_a_row_cannot_hold_is_told(texts: tuple[str, ...], amounts: tuple[int, ...], reason: str) -> None:
    found = fault(texts, amounts)
    assert reason in found
    assert bool(found) == bool(reason)
