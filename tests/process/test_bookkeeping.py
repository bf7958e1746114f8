"""Where workers find the bookkeeper, and what it says of itself."""

import gc
import socket
from contextlib import ExitStack
from pathlib import Path

import pytest

from gatewayd.errors import StartError
from gatewayd.process.bookkeeping import books_path, collect_seldom, counted, listen_for_books


def test_a_stale_socket_is_cleared_and_the_new_one_answers(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(books_path(tmp_path)))
    with ExitStack() as stack, socket.socket(socket.AF_UNIX) as worker:
        listen_for_books(tmp_path, stack)
        worker.connect(str(books_path(tmp_path)))


def test_only_the_daemons_user_may_connect_and_the_file_goes_with_it(tmp_path: Path) -> None:
    with ExitStack() as stack:
        listen_for_books(tmp_path, stack)
        assert books_path(tmp_path).stat().st_mode & 0o777 == 0o600
    assert not books_path(tmp_path).exists()


def test_the_umask_is_what_it_was(tmp_path: Path) -> None:
    with ExitStack() as stack:
        listen_for_books(tmp_path, stack)
        (tmp_path / "after").mkdir()
    (tmp_path / "before").mkdir()
    assert (tmp_path / "after").stat().st_mode == (tmp_path / "before").stat().st_mode
    assert (tmp_path / "after").stat().st_mode & 0o100


def test_where_another_listens_nothing_does_and_the_other_stays(tmp_path: Path) -> None:
    with ExitStack() as stack, ExitStack() as other, socket.socket(socket.AF_UNIX) as worker:
        listen_for_books(tmp_path, stack)
        with pytest.raises(StartError, match=r"^cannot listen for workers on .*books\.sock: in use$"):
            listen_for_books(tmp_path, other)
        other.close()
        worker.connect(str(books_path(tmp_path)))


def test_another_file_in_its_place_is_named_and_kept(tmp_path: Path) -> None:
    books_path(tmp_path).write_text("mine")
    with ExitStack() as stack, pytest.raises(StartError, match=r"the file exists and is not a socket$"):
        listen_for_books(tmp_path, stack)
    assert books_path(tmp_path).read_text() == "mine"


def test_what_is_pending_and_what_drifts_are_gauges() -> None:
    gauges = counted({"up": True, "pending": 3, "drift": -2})["gauges"]
    assert {name: value for name, (_, value) in gauges.items()} == {
        "gatewayd_ledger_pending": 3,
        "gatewayd_ledger_drift": -2,
    }


def test_the_records_of_a_batch_are_gone_before_the_collector_looks_at_them() -> None:
    before, generations = gc.get_threshold(), list[int]()

    def note(phase: str, info: dict[str, int]) -> None:
        if phase == "start":
            generations.append(info["generation"])

    gc.collect()
    try:
        collect_seldom()
        gc.callbacks.append(note)
        for _ in range(3):
            batch = [[number] for number in range(10_000)]
            del batch
        gc.callbacks.remove(note)
    finally:
        gc.set_threshold(*before)
    assert generations == []
