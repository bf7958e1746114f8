"""All workers: the living are asked, the dead are found, and nobody who left stays behind."""

from pathlib import Path

from gatewayd.books.messages import Messenger
from gatewayd.books.staff import Staff
from gatewayd.stores.journal.writer import open_journal
from tests.stores.ledgers import ALICE, hold


def silent() -> Messenger:
    return Messenger(lambda _one, _two: None, lambda _: None)


def test_one_who_cannot_be_asked_is_missed_while_it_has_something(tmp_path: Path) -> None:
    journal = open_journal(tmp_path)
    staff = Staff(tmp_path)
    teller = staff.named(journal.name)
    teller.greet(silent())
    teller.has([(ALICE, 3)], journal.position)
    assert not staff.misses(ALICE)
    assert len(staff.recall(ALICE)) == 1
    assert not staff.recall(ALICE, but=teller)
    teller.messenger = None
    assert staff.misses(ALICE)
    assert not staff.recall(ALICE)


def test_a_worker_who_took_its_journal_along_is_dead_too(tmp_path: Path) -> None:
    journal = open_journal(tmp_path)
    staff = Staff(tmp_path)
    staff.look_for_strangers()
    assert not list(staff.dead())
    journal.shipped(journal.position)
    journal.close()
    ((teller, lock),) = staff.dead()
    assert lock is None
    assert staff.bury(teller, lock, 0.0) == {}
    staff.forget_posted()
    assert not list(staff)
    assert staff.all_sure


def test_at_the_end_the_dead_are_found_before_their_last_words(tmp_path: Path) -> None:
    journal = open_journal(tmp_path)
    staff = Staff(tmp_path)
    staff.named(journal.name).greet(silent())
    journal.intend(hold("r1"))
    journal.close()
    assert not list(staff.dead())
    ((_, lock),) = staff.dead(at_the_end=True)
    assert lock is not None
    lock.release()


def test_last_words_of_one_whose_journal_was_posted_and_discarded_stop_nothing(tmp_path: Path) -> None:
    staff = Staff(tmp_path)
    late = staff.named("00000000000000000001-1")
    late.grown = True
    staff.read_all(10)
    assert not staff.behindhand
    ((teller, lock),) = staff.dead()
    assert staff.bury(teller, lock, 0.0) == {}
    staff.forget_posted()
    assert not list(staff)


def test_a_worker_who_died_before_it_could_say_hello_is_found_by_its_journal(tmp_path: Path) -> None:
    staff = Staff(tmp_path)
    journal = open_journal(tmp_path)
    journal.intend(hold("r1"))
    journal.close()
    assert not list(staff.dead())
    staff.look_for_strangers()
    ((teller, lock),) = staff.dead()
    assert lock is not None
    assert teller.directory.name == journal.name
    lock.release()
