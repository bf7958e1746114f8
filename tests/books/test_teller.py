"""One worker as its bookkeeper sees it: what it has, from what it was given, what it said and what it wrote."""

from pathlib import Path

import pytest

from gatewayd.books.messages import Messenger
from gatewayd.books.teller import Teller
from gatewayd.model import Account, Ending, Outcome
from gatewayd.stores.journal.frames import Position
from gatewayd.stores.journal.writer import Journal, open_journal
from tests.stores.ledgers import ALICE, hold


def silent() -> Messenger:
    return Messenger(lambda _one, _two: None, lambda _: None)


def serve(journal: Journal, name: str) -> None:
    journal.intend(hold(name))
    journal.conclude(name, Ending(1, 1, Outcome.DELIVERED, 200, 1_764_000_001.0, 0, 0))


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return open_journal(tmp_path)


def known(journal: Journal, tmp_path: Path) -> Teller:
    return Teller(tmp_path / journal.name)


def test_what_is_used_is_outstanding_no_more(journal: Journal, tmp_path: Path) -> None:
    teller = known(journal, tmp_path)
    teller.has([(ALICE, 5)], Position(*journal.position))
    teller.gave(ALICE, 2, 100)
    serve(journal, "r1")
    assert [posting.drawn for posting in teller.read(10)] == [1]
    assert teller.outstanding[ALICE] == 6


@pytest.mark.parametrize("how", ["gave", "has"])
def test_what_it_is_given_is_found_by_the_very_account_that_its_records_have(
    journal: Journal, tmp_path: Path, how: str
) -> None:
    teller = known(journal, tmp_path)
    teller.has([(Account(*ALICE), 5)] if how == "has" else [], Position(*journal.position))
    if how == "gave":
        teller.gave(Account(*ALICE), 5, 100)
    serve(journal, "r1")
    (account,) = {posting.account for posting in teller.read(10)}
    assert [each is account for each in teller.outstanding] == [True]


def test_what_it_used_before_its_words_is_not_taken_off_again(journal: Journal, tmp_path: Path) -> None:
    teller = known(journal, tmp_path)
    for name in ("r1", "r2"):
        serve(journal, name)
    said = journal.position
    serve(journal, "r3")  # before its words are heard
    teller.has([(ALICE, 5)], said)
    was_sure = teller.sure
    assert len(teller.read(10)) == 2
    assert teller.outstanding[ALICE] == 5
    assert teller.grown
    assert len(teller.read(10)) == 1
    assert teller.outstanding[ALICE] == 4
    assert (was_sure, teller.sure) == (False, True)


def test_until_it_has_said_what_it_has_it_is_not_read_and_given_nothing(journal: Journal, tmp_path: Path) -> None:
    teller = known(journal, tmp_path)
    teller.greet(silent())
    before = teller.behindhand, teller.present
    teller.has([], journal.position)
    assert before == (False, False)
    assert (teller.behindhand, teller.present) == (True, True)


def test_a_dead_workers_requests_cost_and_free_the_rest(journal: Journal, tmp_path: Path) -> None:
    teller = known(journal, tmp_path)
    teller.has([(ALICE, 9)], journal.position)
    journal.intend(hold("r1", units=5, cost=2))
    journal.intend(hold("r2", units=5, cost=2, limit=0))
    teller.read(10)
    assert teller.in_flight == {ALICE: 10}
    first, second = teller.bury(1_764_000_002.0)
    assert (first.outcome, first.quantity, first.drawn) == (Outcome.UNKNOWN, 2, 2)
    assert second.drawn == 0
    assert teller.outstanding == {ALICE: 7}
    assert not teller.in_flight
    teller.close()
