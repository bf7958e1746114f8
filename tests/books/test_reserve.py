"""What the daemon has free: counted, and given back when nobody wants it."""

from gatewayd.books.reserve import Reserve
from tests.stores.ledgers import ALICE

BOB = ALICE._replace(user_id="bob")


def test_what_is_there_for_long_and_wanted_by_nobody_goes_back() -> None:
    reserve = Reserve()
    reserve.add(ALICE, 3, 1.0)
    reserve.add(BOB, 2, 5.0)
    assert reserve.unwanted(4.0, ()) == {ALICE: 3}
    assert reserve.unwanted(6.0, {ALICE}) == {BOB: 2}


def test_what_is_taken_is_there_no_more_and_leaves_nothing_behind() -> None:
    reserve = Reserve()
    reserve.add(ALICE, 3, 1.0)
    reserve.take(ALICE, 1)
    assert reserve.of(ALICE) == 2
    reserve.gone_back({ALICE: 2})
    assert reserve.of(ALICE) == 0
    assert reserve.unwanted(9.0, ()) == {}


def test_the_ledgers_word_replaces_whatever_was_thought() -> None:
    reserve = Reserve()
    reserve.add(ALICE, 3, 1.0)
    reserve.replace({BOB: 4, ALICE: -1}, 2.0)
    assert (reserve.of(ALICE), reserve.of(BOB)) == (0, 4)
