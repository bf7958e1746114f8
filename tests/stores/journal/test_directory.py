"""A journal is its owner's while that lives, and then somebody else's, once."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from gatewayd.errors import StoreError
from gatewayd.stores.journal import directory
from gatewayd.stores.journal.writer import open_journal
from tests.stores.journal.entries import SMALL, read_all, serve
from tests.stores.journal.limits import file_size_limit

OWNER = """
import signal, sys
from pathlib import Path
from gatewayd.stores.journal.directory import create
path, lock = create(Path(sys.argv[1]))
print(path, flush=True)
signal.pause()
"""


def test_a_journal_can_be_taken_over_when_its_owner_was_killed_and_not_before(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", OWNER, str(tmp_path)], stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        path = Path(owner.stdout.readline().strip())
        try:
            assert path.name.endswith(f"-{owner.pid}")
            assert directory.take_over(path) is None
        finally:
            owner.send_signal(signal.SIGKILL)
    lock = directory.take_over(path)
    assert lock is not None
    with lock:
        assert directory.take_over(path) is None
    assert directory.take_over(path) is not None


def test_a_journal_that_is_gone_is_nobodys(tmp_path: Path) -> None:
    path, lock = directory.create(tmp_path)
    directory.discard(path)
    lock.release()
    lock.release()
    assert directory.take_over(path) is None
    directory.discard(path)
    assert list(tmp_path.iterdir()) == []


def test_a_lock_whose_journal_was_deleted_meanwhile_is_worth_nothing(tmp_path: Path) -> None:
    path, lock = directory.create(tmp_path)
    lock.release()
    late = directory.Lock(path / "lock")
    directory.discard(path)
    assert not late.take()
    late.release()


def test_a_full_disk_does_not_keep_a_dead_journal_from_being_shipped(tmp_path: Path) -> None:
    path, lock = directory.create(tmp_path)
    lock.release()
    with file_size_limit(0):
        taken = directory.take_over(path)
    assert taken is not None
    assert directory.take_over(path) is None
    taken.release()


def test_a_lock_that_the_system_cannot_give_is_a_store_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, lock = directory.create(tmp_path)
    lock.release()

    def refuse(_: int) -> str | None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr("gatewayd.pidlock.take", refuse)
    with pytest.raises(StoreError, match="No locks available"):
        directory.take_over(path)


def test_names_are_those_of_journals_oldest_first(tmp_path: Path) -> None:
    made = [directory.create(tmp_path / "journal") for _ in range(3)]
    paths = [path for path, _ in made]
    aside = directory.set_aside(paths[1])
    (tmp_path / "journal" / "lost+found").mkdir()
    assert directory.names(tmp_path / "journal") == [paths[0].name, paths[2].name]
    assert aside.name == f"{paths[1].name}.damaged"
    assert aside.is_dir()
    assert paths[0].stat().st_mode & 0o777 == 0o700
    for _, lock in made:
        lock.release()


def test_no_journals_are_where_none_was_made(tmp_path: Path) -> None:
    assert directory.names(tmp_path / "journal") == []


def test_what_a_killed_discard_left_is_swept_by_the_next_opening(tmp_path: Path) -> None:
    half = tmp_path / ".00000000000000000001-1.settled"
    half.mkdir()
    (half / "000004.seg").write_bytes(b"rest")
    _, lock = directory.create(tmp_path)
    assert not half.exists()
    lock.release()


def test_what_is_no_directory_is_said(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    for action in (directory.names, directory.take_over, directory.set_aside, directory.discard):
        with pytest.raises(StoreError, match=r"file.*cannot be used \(not a directory\): server.state_dir must"):
            action(file / "below" if action is not directory.names else file)


def test_set_aside_loses_nothing(tmp_path: Path) -> None:
    journal = open_journal(tmp_path, segment_bytes=SMALL, most_bytes=8 * SMALL)
    serve(journal, 0, 5)
    journal.close()
    before = read_all(tmp_path / journal.name)
    assert len(before) == 10
    assert read_all(directory.set_aside(tmp_path / journal.name)) == before
    assert [path.name for path in tmp_path.iterdir()] == [f"{journal.name}.damaged"]
