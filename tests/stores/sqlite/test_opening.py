import fcntl
import os
import random
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from gatewayd.errors import StoreError
from gatewayd.model import Durability
from gatewayd.stores.sqlite import opening
from gatewayd.stores.sqlite.opening import located, open_file
from gatewayd.stores.sqlite.reader import open_reader


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


def write(path: Path) -> None:
    open_file(str(path), "process").close()


def read(path: Path) -> None:
    with open_reader(str(path)):
        pass


def made(path: Path) -> Path:
    write(path)
    return path


def altered(path: Path, *statements: str) -> None:
    connection = sqlite3.connect(path, isolation_level=None)
    for statement in statements:
        connection.execute(statement)
    connection.close()


def not_sqlite(path: Path) -> None:
    path.write_bytes(b"accounts,2025\n" * 200)


def short_text(path: Path) -> None:
    path.write_text("hello")


def damaged_pages(path: Path) -> None:
    content = bytearray(made(path).read_bytes())
    content[4096:] = random.Random(1).randbytes(len(content) - 4096)
    path.write_bytes(content)


def a_blank_page(path: Path) -> None:
    connection = sqlite3.connect(made(path))
    (page,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'accounts'").fetchone()
    (size,) = connection.execute("PRAGMA page_size").fetchone()
    connection.close()
    content = path.read_bytes()
    path.write_bytes(content[: (page - 1) * size] + bytes(size) + content[page * size :])


def cut_off(path: Path) -> None:
    content = made(path).read_bytes()
    path.write_bytes(content[: len(content) // 2])


def foreign(path: Path) -> None:
    altered(path, "CREATE TABLE customers (name TEXT)")


def foreign_application(path: Path) -> None:
    altered(path, "PRAGMA application_id = 77")


def newer(path: Path) -> None:
    altered(made(path), "UPDATE ledger_meta SET value = '99' WHERE key = 'schema_version'")


def no_version(path: Path) -> None:
    altered(made(path), "DELETE FROM ledger_meta")


def garbled_version(path: Path) -> None:
    altered(made(path), "UPDATE ledger_meta SET value = 'x' WHERE key = 'schema_version'")


def no_tables(path: Path) -> None:
    altered(made(path), "DROP TABLE ledger_meta")


def a_directory(path: Path) -> None:
    path.mkdir()


@pytest.mark.parametrize("opener", [write, read])
@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        pytest.param(not_sqlite, "is not a SQLite database: name another file", id="not SQLite"),
        pytest.param(short_text, "is not a SQLite database: name another file", id="a few bytes of text"),
        pytest.param(damaged_pages, "is damaged: restore it from a backup", id="damaged pages"),
        pytest.param(a_blank_page, "is damaged: restore it from a backup", id="a blank page"),
        pytest.param(cut_off, "is damaged: restore it from a backup", id="cut off"),
        pytest.param(foreign, "belongs to another program: name another file", id="another program's tables"),
        pytest.param(foreign_application, "belongs to another program: name another file", id="another program's id"),
        pytest.param(newer, "was made by a newer gatewayd (schema 99, this one knows 3): upgrade", id="newer"),
        pytest.param(no_version, "is damaged: restore it from a backup", id="no version"),
        pytest.param(garbled_version, "is damaged: restore it from a backup", id="garbled version"),
        pytest.param(no_tables, "cannot be used (no such table: ledger_meta): restore it", id="a table is missing"),
    ],
)
def test_a_file_that_is_no_ledger_of_ours_is_refused_by_name_and_left_alone(
    path: Path, opener: Callable[[Path], None], spoil: Callable[[Path], None], message: str
) -> None:
    spoil(path)
    before = path.read_bytes()
    with pytest.raises(StoreError) as refused:
        opener(path)
    assert f"ledger {path} {message}" in str(refused.value)
    assert "\n" not in str(refused.value)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("spoil", "target"),
    [
        pytest.param(a_directory, "ledger.db", id="a directory"),
        pytest.param(short_text, "ledger.db/inside.db", id="a file where a directory should be"),
    ],
)
def test_a_place_that_cannot_hold_a_file_is_refused_by_name(
    path: Path, spoil: Callable[[Path], None], target: str
) -> None:
    spoil(path)
    with pytest.raises(StoreError, match=f"ledger .*{target} cannot be opened.*open to the daemon's user"):
        open_file(str(path.parent / target), "process")


def test_a_lock_file_that_cannot_be_opened_is_said_by_name(path: Path) -> None:
    Path(f"{path}.lock").mkdir()
    with pytest.raises(StoreError, match=r"ledger .*ledger.db cannot be opened \(Is a directory\)"):
        open_file(str(path), "process")


@pytest.mark.parametrize("rest", ["", "//var/ledger.db", "//"])
def test_an_address_that_means_something_else_is_refused(rest: str) -> None:
    with pytest.raises(StoreError, match="write sqlite:PATH"):
        located(rest)


def test_the_directory_is_made_if_it_is_missing(tmp_path: Path) -> None:
    made(tmp_path / "var" / "lib" / "ledger.db")
    assert sorted(each.name for each in (tmp_path / "var" / "lib").iterdir()) == [
        "ledger.db",
        "ledger.db.lock",
    ]


def test_an_empty_file_becomes_a_ledger(path: Path) -> None:
    path.touch()
    made(path)
    read(path)


def test_a_second_daemon_on_the_file_is_refused_and_told_which_process_has_it(path: Path) -> None:
    first = open_file(str(path), "process")
    with pytest.raises(StoreError, match=rf"{path} is in use by another gatewayd \(process {os.getpid()}\): stop"):
        open_file(str(path), "process")
    first.close()
    made(path)


def test_a_refused_file_is_not_left_locked(path: Path) -> None:
    foreign(path)
    for _ in range(2):
        with pytest.raises(StoreError, match="another program"):
            open_file(str(path), "process")
    with Path(f"{path}.lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_a_file_locked_by_another_program_is_refused_by_name(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "BUSY_SECONDS", 0.0)
    other = sqlite3.connect(made(path), isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(StoreError, match=f"{path} is locked by another program: close that"):
        open_file(str(path), "process")
    other.close()


@pytest.mark.parametrize(("durability", "synchronous"), [("process", 1), ("disk", 2)])
def test_durability_says_what_a_commit_waits_for(path: Path, durability: Durability, synchronous: int) -> None:
    opened = open_file(str(path), durability)
    assert opened.connection.execute("PRAGMA synchronous").fetchone() == (synchronous,)
    assert opened.connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    opened.close()


def test_pages_that_are_written_again_and_again_go_from_the_log_into_the_file_once(path: Path) -> None:
    opened = open_file(str(path), "process")
    wal, before = Path(f"{path}-wal"), path.stat()
    for _ in range(2_000):  # pages, twice as many as SQLite itself would let wait
        opened.connection.execute("UPDATE ledger_meta SET value = hex(randomblob(8)) WHERE key = 'head'")
    assert wal.stat().st_size > 2_000 * 4_096
    assert path.stat().st_mtime_ns == before.st_mtime_ns
    opened.close()


def test_a_clean_stop_leaves_one_plain_file(path: Path) -> None:
    opened = open_file(str(path), "process")
    opened.connection.execute("INSERT INTO accounts VALUES ('alice', 'pro', 1)")
    assert Path(f"{path}-wal").stat().st_size
    opened.close()
    assert sorted(each.name for each in path.parent.iterdir()) == ["ledger.db", "ledger.db.lock"]


def test_a_stop_while_somebody_reads_is_no_error(path: Path) -> None:
    opened = open_file(str(path), "process")
    with open_reader(str(path)) as reader:
        opened.close()
        assert reader.directory().plans == {}
    made(path)


def test_a_relative_path_is_from_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert located("var/ledger.db") == tmp_path / "var" / "ledger.db"
    assert located("///var/ledger.db") == Path("/var/ledger.db").resolve()


def test_the_lock_of_a_killed_process_is_free(path: Path) -> None:
    code = f"import os; from gatewayd.stores.sqlite.opening import open_file; o = open_file({str(path)!r}, 'disk'); "
    code += "os.kill(os.getpid(), 9)"
    finished = subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[3], check=False)
    assert finished.returncode == -9
    made(path)
