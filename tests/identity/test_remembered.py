"""What operators decided is read back as it was, or not at all."""

import os
from pathlib import Path

import pytest

from gatewayd.identity import remembered
from gatewayd.identity.remembered import FILE, DirectoryFile
from gatewayd.model import Directory, Revocation

REVOCATIONS = (Revocation("token", "id", 0.0), Revocation("user", "añn", 5.5), Revocation("all", "", 7.0))


def test_what_was_written_is_read_but_for_the_ledgers_version(tmp_path: Path) -> None:
    DirectoryFile(tmp_path).write(Directory(7, {"ann": "gold"}, REVOCATIONS))
    assert DirectoryFile(tmp_path).read() == Directory(0, {"ann": "gold"}, REVOCATIONS)
    assert (tmp_path / FILE).stat().st_mode & 0o777 == 0o600
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("count", [0, 1, remembered._AT_ONCE, remembered._AT_ONCE + 1])
def test_what_takes_several_pieces_is_one_document(tmp_path: Path, count: int) -> None:
    plans = {f"user-{number}": "gold" for number in range(count)}
    revocations = tuple(Revocation("token", f"id-{number}", float(number)) for number in range(count))
    DirectoryFile(tmp_path).write(Directory(7, plans, revocations))
    assert DirectoryFile(tmp_path).read() == Directory(0, plans, revocations)


@pytest.mark.parametrize("damaged", [b"", b"[]", b"{}", b'{"version":2}', b'{"version":1,"plans":7}', b"\xff"])
def test_what_is_damaged_is_as_good_as_nothing(tmp_path: Path, damaged: bytes) -> None:
    assert DirectoryFile(tmp_path).read() is None
    (tmp_path / FILE).write_bytes(damaged)
    assert DirectoryFile(tmp_path).read() is None


def test_what_cannot_be_written_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = DirectoryFile(tmp_path)
    file.write(Directory(1, {"ann": "gold"}))

    def full(_file: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        file.write(Directory(2, {}))
    assert file.read() == Directory(0, {"ann": "gold"})
    assert len(list(tmp_path.iterdir())) == 1
