"""Units by account."""

from gatewayd.books.amounts import Amounts
from tests.stores.ledgers import ALICE


def test_an_account_that_is_not_there_has_none_and_looking_makes_none() -> None:
    amounts = Amounts()
    assert amounts[ALICE] == 0
    assert not amounts
    amounts[ALICE] += 3
    assert amounts == {ALICE: 3}
