"""Keys outlive the daemon, whole or not at all, and one worker at a time asks for them."""

from dataclasses import replace
from pathlib import Path

import pytest

from gatewayd.config.settings import Provider
from gatewayd.identity.shelf import FOLDER, Kept, Notes, Shelf, name_of
from tests.identity.forging import JWKS

PROVIDER = Provider("https://idp.example/keys", None, JWKS)
KEPT = Kept(1_764_000_000.25, "https://idp.example/keys", b'{"keys":\n[]}')


def test_what_was_written_is_read_and_nothing_else_lies_about(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, PROVIDER)
    assert shelf.read() is None
    shelf.write(KEPT)
    shelf.write(replace(KEPT, asked_at=7.0))
    assert Shelf(tmp_path, PROVIDER).read() == replace(KEPT, asked_at=7.0)
    assert len(list((tmp_path / FOLDER).iterdir())) == 1


def test_only_the_daemons_user_may_look(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, PROVIDER)
    shelf.write(KEPT)
    shelf.turn().end()
    modes = {path.stat().st_mode & 0o777 for path in (tmp_path / FOLDER).iterdir()}
    assert modes == {0o600}
    assert (tmp_path / FOLDER).stat().st_mode & 0o777 == 0o700


def test_providers_do_not_share_a_shelf_whatever_else_of_them_is_alike(tmp_path: Path) -> None:
    others = [replace(PROVIDER, jwks_url="https://idp.example/keys2"), Provider(None, "https://idp.example/keys", JWKS)]
    Shelf(tmp_path, PROVIDER).write(KEPT)
    assert [Shelf(tmp_path, each).read() for each in others] == [None, None]
    assert len({name_of(each) for each in (PROVIDER, *others)}) == 3


@pytest.mark.parametrize(
    "damaged",
    [b"", b"\n", b"{}", b"[]\n{}", b'{"version":1}\nx', b'{"version":2,"asked_at":1,"jwks_url":"u"}\n{}', b"\xff" * 99],
)
def test_what_is_damaged_is_as_good_as_nothing(tmp_path: Path, damaged: bytes) -> None:
    shelf = Shelf(tmp_path, PROVIDER)
    shelf.write(KEPT)
    next((tmp_path / FOLDER).iterdir()).write_bytes(damaged)
    assert shelf.read() is None


def test_what_cannot_be_written_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shelf = Shelf(tmp_path, PROVIDER)
    shelf.write(KEPT)

    def full(_draft: Path, _target: Path) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match="No space"):
        shelf.write(replace(KEPT, asked_at=9.0))
    assert shelf.read() == KEPT
    assert len(list((tmp_path / FOLDER).iterdir())) == 1


def test_turns_are_taken_one_after_the_other_and_what_is_noted_is_read_by_all(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, PROVIDER)
    first, second = shelf.turn(), shelf.turn()
    assert first.take()
    assert not second.take()
    assert second.notes(1e9) == Notes()
    noted = Notes(asked_at=1000.25, ended_at=999.125, known_at=0.5)
    first.note(noted)
    assert second.notes(1e9) == noted
    first.end()
    first.end()
    assert second.take()
    second.note(Notes(5.0))
    assert second.notes(1e9) == Notes(asked_at=5.0)
    second.end()


@pytest.mark.parametrize(
    "left", [b"", b"yesterday", b"1764000000.125".ljust(32), b"\xff" * 24, b"\0" * 16 + b"\0\0\0\0\0\0\xf0\x7f"]
)
def test_notes_that_say_nonsense_say_nothing(tmp_path: Path, left: bytes) -> None:
    shelf = Shelf(tmp_path, PROVIDER)
    shelf.turn().end()
    next((tmp_path / FOLDER).iterdir()).write_bytes(left)
    with shelf.turn() as turn:
        assert max(turn.notes(1e9)) < 1


def test_notes_of_another_boot_say_nothing(tmp_path: Path) -> None:
    with Shelf(tmp_path, PROVIDER).turn() as turn:
        turn.note(Notes(50_000.0, 7.0, 50_000.0))
        assert turn.notes(600.0) == Notes(ended_at=7.0)
