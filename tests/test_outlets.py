"""Where lines go: files by their names, and journald in its own protocol; what is lost is said."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from gatewayd.outlets import LinesLost, open_outlet


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[socket.socket]:
    with listening(tmp_path / "journal") as sock:
        yield sock


def listening(path: Path) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    sock.bind(str(path))
    sock.settimeout(5)
    return sock


def test_a_file_that_was_moved_away_is_made_anew_when_it_is_reopened(tmp_path: Path) -> None:
    outlet = open_outlet(str(tmp_path / "log"))
    outlet.write([b"before\n"])
    (tmp_path / "log").rename(tmp_path / "log.1")
    outlet.write([b"still there\n"])
    outlet.reopen()
    outlet.write([b"after\n"])
    outlet.close()
    assert (tmp_path / "log.1").read_bytes() == b"before\nstill there\n"
    assert (tmp_path / "log").read_bytes() == b"after\n"


def test_a_file_that_cannot_be_reopened_is_written_on(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    outlet = open_outlet(str(tmp_path / "logs" / "log"))
    (tmp_path / "logs").rename(tmp_path / "gone")
    with pytest.raises(OSError):
        outlet.reopen()
    outlet.write([b"line\n"])
    outlet.close()
    assert (tmp_path / "gone" / "log").read_bytes() == b"line\n"


def test_a_full_disk_loses_lines_and_says_how_many() -> None:
    outlet = open_outlet("/dev/full")
    with pytest.raises(LinesLost, match="No space left on device") as lost:
        outlet.write([b"a\n", b"b\n", b"c\n"])
    assert lost.value.count == 3
    outlet.close()


def test_the_journal_gets_a_datagram_a_line_that_says_which_log_it_is(journal: socket.socket) -> None:
    outlet = open_outlet(f"journald:{journal.getsockname()}", name="access")
    outlet.write([b'{"a":1}\n', b'{"b":2}\n'])
    head = b"PRIORITY=6\nSYSLOG_IDENTIFIER=gatewayd\nGATEWAYD_LOG=access\n"
    assert journal.recv(4096) == head + b'MESSAGE={"a":1}\n'
    assert journal.recv(4096) == head + b'MESSAGE={"b":2}\n'
    outlet.close()


def test_a_journal_that_was_restarted_is_found_again(journal: socket.socket, tmp_path: Path) -> None:
    outlet = open_outlet(f"journald:{journal.getsockname()}")
    journal.close()
    (tmp_path / "journal").unlink()
    with pytest.raises(LinesLost) as lost:
        outlet.write([b"lost\n", b"too\n"])
    assert lost.value.count == 2
    with listening(tmp_path / "journal") as successor:
        outlet.write([b"found\n"])
        assert successor.recv(4096).endswith(b"MESSAGE=found\n")
    outlet.close()


def test_a_line_too_long_for_a_datagram_is_lost_and_the_next_is_not(journal: socket.socket) -> None:
    outlet = open_outlet(f"journald:{journal.getsockname()}")
    with pytest.raises(LinesLost, match="Message too long") as lost:
        outlet.write([b"x" * 2**20 + b"\n", b"next\n"])
    assert lost.value.count == 1
    assert journal.recv(4096).endswith(b"MESSAGE=next\n")
    outlet.close()


def test_no_journal_is_an_error_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        open_outlet(f"journald:{tmp_path / 'missing'}")
