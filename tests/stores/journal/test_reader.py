"""What another process reads of a journal: all that was promised, in order, and never what was not written."""

import os
import random
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatewayd.errors import StoreError
from gatewayd.stores.journal import segment
from gatewayd.stores.journal.frames import Position, conclusion, intent, intent_like
from gatewayd.stores.journal.reader import Conclusion, Entry, Intent, JournalReader, take_over
from gatewayd.stores.journal.writer import open_journal
from tests.stores.journal.entries import ENDING, SMALL, USUAL, ending, hold, read_all, segments, serve

WORKER = """
import sys
from pathlib import Path
from gatewayd.stores.journal.writer import open_journal
from tests.stores.journal.entries import SMALL, ending, hold
gathers = sys.argv[3] == "gathers"
journal = open_journal(Path(sys.argv[1]), segment_bytes=SMALL, most_bytes=100_000 * SMALL, gathers=gathers)
said = []
print(journal.name, flush=True)
for number in range(int(sys.argv[2])):
    journal.intend(hold(number))
    said.append(f"{number} i\\n")
    if number >= 5:
        journal.conclude(hold(number - 5).id, ending(number))
        said.append(f"{number - 5} c\\n")
    if not gathers or number % 7 == 0:
        journal.seal()
        sys.stdout.writelines(said); sys.stdout.flush()
        said.clear()
journal.seal()
"""


def worker(root: Path, count: int, how: str) -> subprocess.Popen[str]:
    """It says what it wrote, once it is sealed; `how` is "gathers" for one that seals many entries at once."""
    command = [sys.executable, "-c", WORKER, str(root), str(count), how]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[3])


def expected(count: int) -> list[Entry]:
    """What the worker writes."""
    entries: list[Entry] = []
    for number in range(count):
        entries.append(Intent(hold(number)))
        if number >= 5:
            entries.append(Conclusion(hold(number - 5).id, ending(number)))
    return entries


def dead(root: Path, requests: int = 60) -> Path:
    """A journal of some segments whose owner closed it before anything was shipped."""
    journal = open_journal(root, segment_bytes=SMALL, most_bytes=64 * SMALL)
    serve(journal, 0, requests)
    journal.close()
    return root / journal.name


def damage_of(directory: Path) -> tuple[int, str | None]:
    """How many entries can be read, and what is said of the rest."""
    reader = JournalReader(directory)
    count = 0
    while found := reader.read():
        count += len(found)
    said = reader.damage()
    reader.close()
    return count, said


def test_entries_come_in_order_as_many_as_asked_for_while_the_journal_is_written(tmp_path: Path) -> None:
    journal = open_journal(tmp_path, segment_bytes=SMALL, most_bytes=64 * SMALL)
    reader = JournalReader(tmp_path / journal.name)
    assert reader.read() == []
    for number in range(100):
        serve(journal, number, 1)
        assert reader.read(1) == [Intent(hold(number))]
        assert reader.read() == [Conclusion(hold(number).id, ENDING)]
        assert (reader.read(), reader.position) == ([], journal.position)
        journal.shipped(reader.position)
    reader.close()
    reader.close()
    journal.close()


def test_a_reader_goes_on_where_another_stopped(tmp_path: Path) -> None:
    directory = dead(tmp_path)
    whole = read_all(directory)
    found: list[Entry] = []
    position: Position | None = None
    while len(found) < len(whole):
        reader = JournalReader(directory, position)
        found += reader.read(11)
        position = reader.position
        reader.close()
    assert found == whole


def test_a_reader_starts_at_the_oldest_segment_that_still_exists(tmp_path: Path) -> None:
    directory = dead(tmp_path)
    whole = read_all(directory)
    (directory / "000001.seg").unlink()
    rest = read_all(directory)
    assert rest == whole[-len(rest) :] != whole
    assert JournalReader(directory, Position(1, 4000)).read()[0] == rest[0]


def test_an_entry_longer_than_one_look_into_the_file_is_read(tmp_path: Path) -> None:
    journal = open_journal(tmp_path)
    holds = [hold(1), hold(2, "u" * 200_000), hold(3)]
    for each in holds:
        journal.intend(each)
    assert read_all(tmp_path / journal.name) == [Intent(each) for each in holds]
    journal.close()


def test_a_journal_of_the_first_format_is_read_and_a_later_one_says_that_it_is_another(tmp_path: Path) -> None:
    """What read the first one alone must not take a part of it for all."""
    made = segment.Segment(tmp_path, 1, SMALL)
    for payload in (intent(hold(1)), conclusion(hold(1).id, ENDING)):
        made.append(payload)
    made.close()
    assert (tmp_path / "000001.seg").read_bytes()[:8] == b"gwjrnl\x00\x03"
    overwrite("000001.seg", 7, b"\x01")(tmp_path)
    assert read_all(tmp_path) == [Intent(hold(1)), Conclusion(hold(1).id, ENDING)]
    assert damage_of(tmp_path) == (2, None)


def test_a_reader_that_starts_behind_what_an_intent_refers_to_looks_it_up(tmp_path: Path) -> None:
    journal = open_journal(tmp_path)
    journal.intend(hold(1))
    behind = journal.position
    journal.intend(hold(2))
    assert JournalReader(tmp_path / journal.name, behind).read() == [Intent(hold(2))]
    journal.close()


@pytest.mark.parametrize("place", [8, 16, 4088, 2**40], ids=["a conclusion", "amid one", "zeros", "beyond the end"])
def test_an_intent_that_refers_to_none_ends_the_reading(tmp_path: Path, place: int) -> None:
    made = segment.Segment(tmp_path, 1, SMALL)
    for payload in (b"\x00id", intent_like(hold(1), place)):
        made.append(payload)
    made.close()
    count, said = damage_of(tmp_path)
    assert (count, said) == (1, f"{tmp_path / '000001.seg'}: the entry at byte 24 is damaged")


def test_nothing_is_read_where_nothing_is_yet(tmp_path: Path) -> None:
    assert damage_of(tmp_path) == (0, None)


@pytest.mark.parametrize("method", [JournalReader.read, JournalReader.damage])
def test_a_directory_that_cannot_be_read_is_a_store_error(
    tmp_path: Path, method: Callable[[JournalReader], object]
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match=r"000001.seg cannot be read \(Not a directory\): it must be open"):
        method(JournalReader(tmp_path / "file"))


def test_a_segment_deleted_between_two_looks_is_not_there_yet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segment, "numbers", lambda _: [1])
    assert JournalReader(tmp_path).read() == []


@settings(max_examples=60)
@given(st.data())
def test_bytes_torn_anywhere_read_as_a_prefix_of_the_entries(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    directory = dead(tmp_path_factory.mktemp("journal"), 25)
    whole = read_all(directory)
    last = directory / segments(directory)[-1]
    written = last.read_bytes()
    cut = data.draw(st.integers(0, len(written.rstrip(b"\x00"))))
    last.write_bytes(written[:cut] + bytes(len(written) - cut) if data.draw(st.booleans()) else written[:cut])
    found = read_all(directory)
    assert found == whole[: len(found)]


@pytest.mark.parametrize("seed", range(60))
def test_a_flipped_bit_never_yields_a_wrong_entry_and_is_noticed(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    directory = dead(tmp_path)
    whole = read_all(directory)
    file = directory / chance.choice(segments(directory))
    data = bytearray(file.read_bytes())
    at = chance.randrange(len(bytes(data).rstrip(b"\x00")))
    data[at] ^= 1 << chance.randrange(8)
    file.write_bytes(data)
    found = read_all(directory)
    assert found == whole[: len(found)]
    said = damage_of(directory)[1]
    # What fills a frame up to eight bytes means nothing.
    assert found == whole or (said is not None and file.name in said)


def overwrite(name: str, at: int, data: bytes) -> Callable[[Path], None]:
    def change(directory: Path) -> None:
        with (directory / name).open("r+b") as file:
            file.seek(at)
            file.write(data)

    return change


DAMAGES: dict[str, tuple[Callable[[Path], None], str]] = {
    "an entry": (overwrite("000002.seg", 8 + 9, b"#"), "000002.seg: the entry at byte 8 is damaged"),
    "zeros amid": (overwrite("000002.seg", 8, bytes(8)), r"000002.seg: nothing can be read from byte 8 to \d+, where"),
    "zeros to the end": (overwrite("000001.seg", 8, bytes(SMALL - 8)), "000001.seg: it ends at byte 8, but .*000002"),
    "all zeros": (overwrite("000002.seg", 0, bytes(SMALL)), "000002.seg: it ends at byte 8, but .*000003"),
    "another format": (overwrite("000002.seg", 7, b"\x09"), "000002.seg: this version of gatewayd cannot read it"),
    "missing": (lambda path: (path / "000002.seg").unlink(), "000002.seg: it is missing"),
    "cut off": (lambda path: os.truncate(path / "000002.seg", 8), "000002.seg: it is cut off at byte 8"),
}


@pytest.mark.parametrize(("change", "said"), DAMAGES.values(), ids=DAMAGES)
def test_damage_is_said_with_its_place(tmp_path: Path, change: Callable[[Path], None], said: str) -> None:
    directory = dead(tmp_path)
    assert damage_of(directory) == (120, None)
    change(directory)
    reader = JournalReader(directory)
    while reader.read():
        pass
    assert re.search(said, reader.damage() or "")
    reader.close()


def test_an_append_that_its_process_did_not_live_to_finish_is_no_damage(tmp_path: Path) -> None:
    directory = dead(tmp_path)
    reader = JournalReader(directory)
    count = len(reader.read())
    overwrite(segments(directory)[-1], reader.position.offset + 8, b"[half an entry")(directory)
    segment.allocate(directory, reader.position.segment + 1, SMALL)
    assert damage_of(directory) == (count, None)
    reader.close()


def test_entries_that_its_process_did_not_live_to_seal_are_no_damage(tmp_path: Path) -> None:
    journal = open_journal(tmp_path, segment_bytes=SMALL, most_bytes=8 * SMALL, gathers=True)
    serve(journal, 0, 5)
    journal.seal()
    journal.intend(hold(5))
    journal.conclude(hold(5).id, USUAL)
    assert not journal.is_sealed
    assert damage_of(tmp_path / journal.name) == (10, None)
    journal.close()


def test_an_entry_of_another_making_ends_the_reading(tmp_path: Path) -> None:
    made = segment.Segment(tmp_path, 1, SMALL)
    for payload in (b"\x00id", b"[1]", b"\x00id"):
        made.append(payload)
    made.close()
    count, said = damage_of(tmp_path)
    assert count == 1
    assert said is not None
    assert said.endswith("000001.seg: the entry at byte 24 is damaged")


@pytest.mark.parametrize("how", ["at once", "gathers"])
def test_a_journal_is_read_whole_while_another_process_writes_it(tmp_path: Path, how: str) -> None:
    with worker(tmp_path, 3000, how) as process:
        assert process.stdout is not None
        reader = JournalReader(tmp_path / process.stdout.readline().strip())
        entries: list[Entry] = []
        for _ in process.stdout:
            entries += reader.read()
        while found := reader.read():
            entries += found
    assert entries == expected(3000)
    reader.close()


@pytest.mark.parametrize("how", ["at once", "gathers"])
@pytest.mark.parametrize("seed", range(20))
def test_what_a_killed_process_reported_is_read_and_nothing_is_invented(tmp_path: Path, seed: int, how: str) -> None:
    process = worker(tmp_path, 1_000_000, how)
    assert process.stdout is not None
    directory = tmp_path / process.stdout.readline().strip()
    for _ in range(random.Random(seed).randrange(3000)):
        process.stdout.readline()
    process.send_signal(signal.SIGKILL)
    reported = process.stdout.read().count("\n")
    process.wait()
    process.stdout.close()
    lock = take_over(directory)
    assert lock is not None
    with lock:
        entries = read_all(directory)
        assert entries == expected(len(entries))[: len(entries)]
        assert len(entries) >= reported
        assert damage_of(directory) == (len(entries), None)
