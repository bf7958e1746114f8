"""A journal takes what it can keep, keeps what it took, and forgets what the ledger has."""

import itertools
import logging
import math
import random
import shutil
import threading
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewayd.clock import Clock
from gatewayd.errors import StoreError, StoreUnavailable
from gatewayd.model import Ending, Hold
from gatewayd.stores.journal.briefs import BRIEF_BYTES
from gatewayd.stores.journal.frames import Position
from gatewayd.stores.journal.reader import Conclusion, Entry, Intent, JournalReader, names, take_over
from gatewayd.stores.journal.segment import LONGEST
from gatewayd.stores.journal.supply import RETRY_SECONDS
from gatewayd.stores.journal.troubles import JournalFull
from gatewayd.stores.journal.writer import CARRIED, Journal, open_journal
from tests.clocks import ManualClock
from tests.stores.journal.entries import ENDING, ENDINGS, HOLDS, SMALL, USUAL, hold, read_all, segments, serve
from tests.stores.journal.limits import file_size_limit

STOPPED = ManualClock()


def small(root: Path, segments: int = 8, clock: Clock = STOPPED) -> Journal:
    return open_journal(root, segment_bytes=SMALL, most_bytes=segments * SMALL, clock=clock)


def fill(journal: Journal, first: int = 0) -> int:
    """Serve requests until the journal is full; the number of the next one."""
    with suppress(JournalFull):
        while True:
            serve(journal, first, 1)
            first += 1
    return first


def ship_all(root: Path, journal: Journal) -> Position:
    """The end of what can be read, nothing of which the journal is told."""
    reader = JournalReader(root / journal.name)
    while reader.read():
        pass
    reader.close()
    return reader.position


def ship(root: Path, journal: Journal) -> Position:
    """What a bookkeeper does that has just started: read all there is, post it, say so."""
    reader = JournalReader(root / journal.name)
    while reader.read():
        pass
    journal.shipped(reader.position)
    reader.close()
    return reader.position


def gathering(root: Path, segments: int = 8) -> Journal:
    return open_journal(root, segment_bytes=SMALL, most_bytes=segments * SMALL, clock=STOPPED, gathers=True)


@given(requests=st.lists(st.tuples(HOLDS, st.none() | ENDINGS, st.booleans()), max_size=60))
def test_all_that_was_written_is_read_back_over_the_bounds_of_segments(
    tmp_path_factory: pytest.TempPathFactory, requests: list[tuple[Hold, Ending | None, bool]]
) -> None:
    root = tmp_path_factory.mktemp("journal")
    journal = small(root, 32)
    written: list[Entry] = []
    for held, ending, concluded in {request[0].id: request for request in requests}.values():
        journal.intend(held)
        written.append(Intent(held))
        if concluded:
            journal.conclude(held.id, ending)
            written.append(Conclusion(held.id, ending))
    assert read_all(root / journal.name) == written
    left = {entry.hold.id for entry in written if isinstance(entry, Intent)}
    assert left - {entry.hold_id for entry in written if isinstance(entry, Conclusion)} == journal.open_holds().keys()
    journal.close()
    shutil.rmtree(root)


@given(
    kinds=st.lists(HOLDS, min_size=1, max_size=4),
    requests=st.lists(st.tuples(st.integers(0, 3), st.floats(0, 4e9), st.booleans()), max_size=100),
)
def test_what_callers_say_again_and_again_is_read_back_over_the_bounds_of_segments(
    tmp_path_factory: pytest.TempPathFactory, kinds: list[Hold], requests: list[tuple[int, float, bool]]
) -> None:
    root = tmp_path_factory.mktemp("journal")
    journal = small(root, 32)
    written: list[Entry] = []
    for number, (kind, moment, concluded) in enumerate(requests):
        held = replace(kinds[kind % len(kinds)], id=f"{number}", started_at=moment)
        journal.intend(held)
        written.append(Intent(held))
        if concluded:
            journal.conclude(held.id, ENDING)
            written.append(Conclusion(held.id, ENDING))
    assert read_all(root / journal.name) == written
    journal.close()
    shutil.rmtree(root)


@given(
    kinds=st.lists(HOLDS, min_size=1, max_size=4),
    requests=st.lists(
        st.tuples(
            st.integers(0, 3), st.floats(0, 4e9), st.none() | st.just(USUAL) | ENDINGS, st.booleans(), st.booleans()
        ),
        min_size=1,
        max_size=150,
    ),
)
def test_what_gathers_is_read_once_it_is_sealed_all_of_it_in_its_order(
    tmp_path_factory: pytest.TempPathFactory,
    kinds: list[Hold],
    requests: list[tuple[int, float, Ending | None, bool, bool]],
) -> None:
    root = tmp_path_factory.mktemp("journal")
    journal = gathering(root, 32)
    reader = JournalReader(root / journal.name)
    written: list[Entry] = []
    found: list[Entry] = []
    opened: list[tuple[str, Ending | None]] = []
    for number, (kind, moment, ending, short, seals) in enumerate(requests):
        name = f"{number:032x}" if short else f"{number}"
        held = replace(kinds[kind % len(kinds)], id=name, started_at=moment)
        journal.intend(held)
        written.append(Intent(held))
        opened.append((name, ending))
        if number % 3 == 2:  # not the last one, so that conclusions and intents are mixed
            name, ending = opened.pop(0)
            journal.conclude(name, ending)
            written.append(Conclusion(name, ending))
        if seals:
            journal.seal()
            assert journal.is_sealed
            found += reader.read()
            assert (found, reader.position) == (written, journal.position)
        else:
            found += reader.read()
            assert found == written[: len(found)]
    journal.close()
    assert found + reader.read() == written
    reader.close()
    shutil.rmtree(root)


def test_what_gathers_is_nobodys_until_it_is_sealed(tmp_path: Path) -> None:
    journal = gathering(tmp_path)
    serve(journal, 0, 1)  # which says its terms in full
    journal.seal()
    before = journal.position
    serve(journal, 1, 3, USUAL)
    assert (journal.position, journal.is_sealed) == (before, False)
    assert len(read_all(tmp_path / journal.name)) == 2
    journal.seal()
    assert len(read_all(tmp_path / journal.name)) == 8
    sealed = journal.position
    journal.seal()
    assert journal.position == sealed
    journal.close()


def test_six_entries_that_gathered_take_the_room_of_six_and_one_word(tmp_path: Path) -> None:
    journal = gathering(tmp_path)
    serve(journal, 0, 1)
    journal.seal()
    before = journal.position.offset
    serve(journal, 1, 3, USUAL)
    journal.seal()
    assert journal.position.offset - before == 8 + 6 * 56
    journal.close()


def test_so_many_as_gather_are_read_at_a_first_look_each(tmp_path: Path) -> None:
    journal = open_journal(tmp_path, gathers=True)
    for number in range(1000):
        journal.intend(hold(number))
    journal.seal()
    reader = JournalReader(tmp_path / journal.name)
    assert len(reader.read(2)) == 1 + LONGEST // BRIEF_BYTES  # what was written together comes together
    reader.close()
    assert read_all(tmp_path / journal.name) == [Intent(hold(number)) for number in range(1000)]
    journal.close()


def test_no_intent_is_deleted_that_a_conclusion_needs_which_gathers(tmp_path: Path) -> None:
    """All was shipped that can be read; the conclusion that cannot be read yet would say nothing without its intent."""
    journal = gathering(tmp_path)
    journal.intend(hold(0))
    serve(journal, 1, 40, USUAL)
    journal.seal()
    assert len(segments(tmp_path / journal.name)) > 1
    position = ship_all(tmp_path, journal)
    journal.conclude(hold(0).id, USUAL)
    journal.shipped(position)
    entries = read_all(tmp_path / journal.name)
    assert Intent(hold(0)) in entries
    assert Conclusion(hold(0).id, USUAL) in entries
    journal.close()


@pytest.mark.parametrize("gathers", [False, True])
def test_a_hold_that_is_open_is_not_opened_again_and_one_that_was_not_written_is_not_open(
    tmp_path: Path, gathers: bool
) -> None:
    journal = open_journal(tmp_path, segment_bytes=SMALL, most_bytes=8 * SMALL, clock=STOPPED, gathers=gathers)
    journal.intend(hold(1), "beside")
    with pytest.raises(ValueError, match="is open already"):
        journal.intend(hold(1))
    for broken in (replace(hold(2), started_at=math.nan), replace(hold(2), id="\ud800")):
        with pytest.raises(ValueError, match="a hold"):
            journal.intend(broken)
    opened = journal.opened(hold(1).id)
    assert opened is not None
    assert (opened.hold, opened.beside) == (hold(1), "beside")
    assert journal.open_holds().keys() == {hold(1).id}
    journal.close()


def test_an_intent_that_says_nothing_new_but_id_and_moment_takes_two_thirds_of_the_room(tmp_path: Path) -> None:
    journal = open_journal(tmp_path)
    ends = [journal.position.offset]
    for number in range(3):
        journal.intend(hold(number))
        ends.append(journal.position.offset)
    first, second, third = (end - begin for begin, end in itertools.pairwise(ends))
    assert second == third <= first * 2 / 3
    journal.close()


def test_a_new_journal_is_private_named_once_and_held(tmp_path: Path) -> None:
    first, second = small(tmp_path), small(tmp_path)
    assert names(tmp_path) == [first.name, second.name]
    assert (tmp_path / first.name).stat().st_mode & 0o777 == 0o700
    assert take_over(tmp_path / first.name) is None
    for journal in (first, second):
        journal.close()
    assert names(tmp_path) == []


@pytest.mark.parametrize(("segment", "most"), [(4095, 1 << 20), (4096, 4 * 4096 - 1)])
def test_sizes_that_leave_no_room_to_work_are_refused(tmp_path: Path, segment: int, most: int) -> None:
    with pytest.raises(ValueError, match="4 segments or more, of at least 4096 bytes"):
        open_journal(tmp_path, segment_bytes=segment, most_bytes=most)


def test_a_directory_that_cannot_be_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match=r"made in .*file/journal \(not a directory\): server.state_dir must be"):
        small(tmp_path / "file" / "journal")


def test_a_disk_without_room_for_the_first_segment_is_a_clear_error_and_leaves_nothing(tmp_path: Path) -> None:
    with file_size_limit(SMALL - 1), pytest.raises(StoreError, match=r"File too large\): make room for 4096 bytes"):
        small(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_conclusion_always_has_room_however_full_the_journal_is(tmp_path: Path) -> None:
    journal = small(tmp_path)
    with suppress(JournalFull):
        while True:
            journal.intend(hold(len(journal)))
    count = len(journal)
    before = journal.position
    with pytest.raises(StoreUnavailable):
        journal.intend(hold(count))
    assert journal.position == before
    with file_size_limit(1):
        for number in range(count):
            journal.conclude(hold(number).id, ENDING)
    assert count > 20
    assert read_all(tmp_path / journal.name)[count:] == [Conclusion(hold(each).id, ENDING) for each in range(count)]
    journal.close()


def test_a_full_journal_takes_requests_again_when_something_was_shipped(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    journal = small(tmp_path)
    number = fill(journal)
    assert fill(journal, number) == number
    assert len(segments(tmp_path / journal.name)) <= 8
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert "takes no requests (6 segments wait for the ledger): they get 503" in caplog.text
    ship(tmp_path, journal)
    serve(journal, number, 1)
    assert [record.levelname for record in caplog.records] == ["ERROR", "WARNING"]
    assert caplog.messages[-1].endswith("takes requests again")
    journal.close()


def test_conclusions_to_come_take_at_most_half_of_a_segment(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    journal = small(tmp_path, 64)
    with suppress(JournalFull):
        while True:
            journal.intend(hold(len(journal)))
    assert "takes no requests (too many requests are open at once)" in caplog.text
    assert len(journal) == SMALL // 2 // 88
    journal.conclude(hold(0).id, None)
    journal.intend(hold(1000))
    journal.close()


def test_carrying_many_intents_forward_holds_an_event_loop_up_a_little_at_a_time(tmp_path: Path) -> None:
    journal = open_journal(tmp_path, segment_bytes=8 * SMALL, most_bytes=32 * 8 * SMALL)
    for number in range(2 * CARRIED):
        journal.intend(hold(10_000 + number))
    serve(journal, 0, 1000)
    reader = JournalReader(tmp_path / journal.name)
    while reader.read():
        pass
    for carried in (CARRIED, CARRIED, 0, 0):
        journal.shipped(reader.position)
        assert len(reader.read()) == carried
    reader.close()
    assert segments(tmp_path / journal.name)[0] != "000001.seg"
    journal.close()


def test_carrying_waits_while_the_disk_is_full(tmp_path: Path, clock: ManualClock) -> None:
    journal = small(tmp_path, 12, clock)
    journal.intend(hold(10_000, "u" * 800))
    number = fill(journal)
    with file_size_limit(1):
        ship(tmp_path, journal)
        assert journal.open_holds().keys() == {hold(10_000).id}
        assert segments(tmp_path / journal.name)[0] == "000001.seg"
    clock.advance(RETRY_SECONDS)
    ship(tmp_path, journal)
    assert segments(tmp_path / journal.name)[0] != "000001.seg"
    serve(journal, number, 1)
    journal.close()


def test_a_full_disk_refuses_requests_until_there_is_room_and_loses_none(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, clock: ManualClock
) -> None:
    journal = small(tmp_path, clock=clock)
    with file_size_limit(SMALL - 1):
        number = fill(journal)
        clock.advance(RETRY_SECONDS)
        assert fill(journal, number) == number
    assert fill(journal, number) == number, "the disk was asked again at once"
    clock.advance(RETRY_SECONDS)
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    serve(journal, number, 1)
    assert len(read_all(tmp_path / journal.name)) == 2 * (number + 1)
    assert [record.levelname for record in caplog.records] == ["ERROR", "WARNING"]
    journal.close()


def test_a_journal_whose_directory_was_taken_away_refuses_and_still_concludes(tmp_path: Path) -> None:
    journal = small(tmp_path)
    journal.intend(hold(1))
    shutil.rmtree(tmp_path / journal.name)
    fill(journal, 2)
    journal.conclude(hold(1).id, ENDING)
    assert not journal.open_holds()
    journal.shipped(journal.position)
    journal.close()


@pytest.mark.parametrize("user", ["\ud800", "u" * 2000], ids=["unreadable", "too long"])
def test_a_hold_that_cannot_be_kept_is_refused_before_anything_is_written(tmp_path: Path, user: str) -> None:
    journal = small(tmp_path)
    before = journal.position
    with pytest.raises(ValueError, match="hold"):
        journal.intend(hold(1, user))
    assert (journal.position, len(journal)) == (before, 0)
    serve(journal, 1, 1)
    assert len(read_all(tmp_path / journal.name)) == 2
    journal.close()


def test_a_hold_is_open_once_and_concluded_once(tmp_path: Path) -> None:
    journal = small(tmp_path)
    journal.intend(hold(1))
    with pytest.raises(ValueError, match="is open already"):
        journal.intend(hold(1))
    with pytest.raises(ValueError, match="cannot be written"):
        journal.conclude(hold(1).id, replace(ENDING, drawn=2**70))
    for _ in range(2):
        journal.conclude(hold(1).id, None)
    assert read_all(tmp_path / journal.name) == [Intent(hold(1)), Conclusion(hold(1).id, None)]
    journal.close()


def test_what_was_shipped_is_deleted_from_the_oldest_on(tmp_path: Path) -> None:
    journal = small(tmp_path, 64)
    serve(journal, 0, 100)
    last = journal.position.segment
    for _ in range(last):
        journal.shipped(journal.position)
        assert segments(tmp_path / journal.name)[-1] == f"{last:06d}.seg"
    assert len(segments(tmp_path / journal.name)) == 1
    journal.shipped(Position(1, 8))
    journal.close()


def test_what_was_not_written_cannot_be_shipped(tmp_path: Path) -> None:
    journal = small(tmp_path)
    with pytest.raises(ValueError, match="nothing was written at"):
        journal.shipped(journal.position._replace(offset=journal.position.offset + 8))
    journal.close()


def test_an_open_intent_keeps_its_segment(tmp_path: Path) -> None:
    journal = small(tmp_path)
    journal.intend(hold(1000))
    serve(journal, 0, 60)
    assert ship(tmp_path, journal).segment == 3
    assert segments(tmp_path / journal.name)[0] == "000001.seg"
    assert read_all(tmp_path / journal.name)[0] == Intent(hold(1000))
    journal.close()


def test_an_intent_stays_until_its_conclusion_is_in_the_ledger(tmp_path: Path) -> None:
    """A bookkeeper that is killed forgets the intents it read: the next one must find them again."""
    journal = small(tmp_path)
    journal.intend(hold(1000))
    serve(journal, 0, 40)
    before = journal.position
    journal.conclude(hold(1000).id, ENDING)
    journal.shipped(before)
    assert read_all(tmp_path / journal.name)[0] == Intent(hold(1000))
    serve(journal, 40, 40)
    journal.shipped(journal.position)
    journal.shipped(journal.position)
    assert len(segments(tmp_path / journal.name)) == 1
    journal.close()


@pytest.mark.parametrize("most", [6, 8, 16])
def test_requests_that_stay_open_for_ever_never_fill_the_journal(tmp_path: Path, most: int) -> None:
    journal = small(tmp_path, most)
    lasting = [hold(number) for number in range(10_000, 10_010)]
    for each in lasting:
        journal.intend(each)
    for number in range(1000):
        serve(journal, number, 1)
        if number % 10 == 9:
            ship(tmp_path, journal)
    assert len(segments(tmp_path / journal.name)) <= 6
    found = {entry.hold.id for entry in read_all(tmp_path / journal.name) if isinstance(entry, Intent)}
    assert found >= {each.id for each in lasting}
    assert journal.open_holds() == {each.id: each for each in lasting}
    journal.close()


def test_a_journal_that_an_open_request_keeps_full_can_be_emptied_all_the_same(tmp_path: Path) -> None:
    journal = small(tmp_path)
    journal.intend(hold(10_000))
    number = fill(journal)
    for _ in range(3):
        ship(tmp_path, journal)
    serve(journal, number, 40)
    assert journal.open_holds() == {hold(10_000).id: hold(10_000)}
    journal.close()


class Bookkeeper:
    """Reads a journal into a ledger; a successor knows only what both of these have."""

    def __init__(self, directory: Path, ledger: set[str]) -> None:
        self._reader = JournalReader(directory)
        self._known: set[str] = set()
        self._ledger = ledger

    def post(self, most: int) -> Position:
        for entry in self._reader.read(most):
            if isinstance(entry, Intent):
                self._known.add(entry.hold.id)
            elif entry.hold_id in self._known:
                self._known.remove(entry.hold_id)
                self._ledger.add(entry.hold_id)
            else:
                assert entry.hold_id in self._ledger
        return self._reader.position

    def dies(self) -> set[str]:
        """What it knew to be open."""
        self._reader.close()
        return self._known


@pytest.mark.parametrize("seed", range(25))
def test_a_bookkeeper_that_starts_anew_at_any_time_finds_all_that_is_not_in_the_ledger(
    tmp_path: Path, seed: int
) -> None:
    chance = random.Random(seed)
    journal = small(tmp_path, chance.randint(4, 9))
    ledger: set[str] = set()
    ended: set[str] = set()
    bookkeeper = Bookkeeper(tmp_path / journal.name, ledger)
    for number in range(600):
        match chance.choice("iiiiiccccpppk"):
            case "i":
                with suppress(JournalFull):
                    journal.intend(hold(number))
            case "c" if journal:
                hold_id = chance.choice(list(journal.open_holds()))
                journal.conclude(hold_id, ENDING)
                ended.add(hold_id)
            case "p":
                journal.shipped(bookkeeper.post(chance.randint(1, 20)))
            case "k":
                bookkeeper.dies()
                bookkeeper = Bookkeeper(tmp_path / journal.name, ledger)
    bookkeeper.dies()
    last = Bookkeeper(tmp_path / journal.name, ledger)
    last.post(10_000)
    assert last.dies() == journal.open_holds().keys()
    assert ledger == ended
    assert len(ended) > 50
    journal.close()


def test_closing_deletes_a_settled_journal(tmp_path: Path) -> None:
    journal = small(tmp_path)
    serve(journal, 0, 30)
    ship(tmp_path, journal)
    journal.close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("left_open", [True, False], ids=["open", "not shipped"])
def test_closing_leaves_to_a_successor_what_is_not_settled(tmp_path: Path, left_open: bool) -> None:
    journal = small(tmp_path)
    journal.intend(hold(1))
    if left_open:
        ship(tmp_path, journal)
    else:
        journal.conclude(hold(1).id, ENDING)
    journal.close()
    lock = take_over(tmp_path / journal.name)
    assert lock is not None
    lock.release()
    assert read_all(tmp_path / journal.name)[0] == Intent(hold(1))


def test_a_flush_from_another_thread_disturbs_nothing(tmp_path: Path) -> None:
    journal = small(tmp_path, 64)
    stop = threading.Event()
    flushes = 0

    def flush_on() -> None:
        nonlocal flushes
        while not stop.is_set():
            journal.flush()
            flushes += 1

    thread = threading.Thread(target=flush_on)
    thread.start()
    for number in range(0, 2000, 10):
        serve(journal, number, 10)
        journal.shipped(journal.position)
    stop.set()
    thread.join()
    journal.flush()
    assert flushes > 0
    journal.close()
    assert names(tmp_path) == []


def test_a_flush_that_fails_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = small(tmp_path)
    monkeypatch.setattr("os.fdatasync", lambda _: (_ for _ in ()).throw(OSError(5, "Input/output error")))
    with pytest.raises(StoreError, match=r"cannot be flushed \(Input/output error\)"):
        journal.flush()
    monkeypatch.undo()
    journal.flush()
    journal.close()


def test_a_settled_journal_that_cannot_be_deleted_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    journal = small(tmp_path)
    in_the_way = tmp_path / f".{journal.name}.settled"
    in_the_way.touch()
    journal.close()
    assert "cannot be used (not a directory)" in caplog.text
    assert take_over(tmp_path / journal.name) is not None


def test_a_flush_passes_over_what_was_shipped_and_deleted(tmp_path: Path) -> None:
    journal = small(tmp_path)
    serve(journal, 0, 60)
    journal.shipped(journal.position)
    for _ in range(2):
        journal.flush()
    journal.close()


def test_a_segment_that_cannot_be_deleted_is_said_once_and_tried_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    journal = small(tmp_path, 16)
    serve(journal, 0, 60)
    oldest = tmp_path / journal.name / "000001.seg"
    kept = oldest.rename(tmp_path / "kept")
    oldest.mkdir()
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            journal.shipped(journal.position)
    assert len(caplog.records) == 1
    assert "a segment cannot be deleted (Is a directory)" in caplog.text
    oldest.rmdir()
    kept.rename(oldest)
    journal.shipped(journal.position)
    assert len(segments(tmp_path / journal.name)) == 1
    journal.close()
