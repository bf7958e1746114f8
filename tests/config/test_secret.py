import os
from pathlib import Path

import pytest

from gatewayd.config.secret import Missing, resolve
from gatewayd.config.shape import Invalid


def test_a_secret_comes_from_the_environment() -> None:
    secret = resolve({"env": "X"}, {"X": "hunter2\n"})
    assert (secret.reveal(), secret.source) == ("hunter2", "the variable X")


def test_a_secret_comes_from_a_file_without_its_trailing_newline(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b" hunter2 \r\n")
    assert resolve({"file": str(tmp_path / "x")}, {}).reveal() == " hunter2 "


def test_bytes_of_a_file_that_are_not_text_are_kept_as_the_environment_keeps_them(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"\xff\xfe")
    assert os.fsencode(resolve({"file": str(tmp_path / "x")}, {}).reveal()) == b"\xff\xfe"


def test_a_secret_comes_from_a_credential_of_systemd(tmp_path: Path) -> None:
    (tmp_path / "jwt").write_text("hunter2\n")
    assert resolve({"credential": "jwt"}, {"CREDENTIALS_DIRECTORY": str(tmp_path)}).reveal() == "hunter2"


def test_a_variable_that_is_not_set_is_told_apart() -> None:
    with pytest.raises(Missing) as refused:
        resolve({"env": "X"}, {})
    assert (refused.value.message, refused.value.hint) == ("the variable X is not set", "export X=…")


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        pytest.param(5, "must be a secret", id="a number"),
        pytest.param({}, "must name exactly one source", id="no source"),
        pytest.param({"env": "A", "file": "B"}, "must name exactly one source", id="two sources"),
        pytest.param({"environment": "A"}, '"environment" is no source of secrets', id="an unknown source"),
        pytest.param({"env": 5}, "the source env needs a name", id="no name"),
        pytest.param({"env": ""}, "the source env needs a name", id="an empty name"),
        pytest.param({"file": "a\0b"}, "the source file needs a name", id="a name that no file can have"),
        pytest.param({"env": "EMPTY"}, "the secret is empty", id="an empty variable"),
        pytest.param("", "the secret is empty", id="an empty literal"),
        pytest.param({"file": "none"}, "none: no such file or directory", id="no file"),
        pytest.param({"file": "/"}, "/ is not a regular file", id="a directory"),
        pytest.param({"file": "/dev/zero"}, "/dev/zero is not a regular file", id="a device"),
        pytest.param({"credential": "x"}, "there is no CREDENTIALS_DIRECTORY", id="no systemd"),
    ],
)
def test_a_secret_that_cannot_be_had_is_refused(raw: object, message: str) -> None:
    with pytest.raises(Invalid) as refused:
        resolve(raw, {"EMPTY": ""})
    assert refused.value.message == message


@pytest.mark.parametrize("name", ["../x", "..", "/etc/passwd"])
def test_a_credential_is_never_a_path(name: str) -> None:
    with pytest.raises(Invalid, match="a credential is a name"):
        resolve({"credential": name}, {"CREDENTIALS_DIRECTORY": "/"})


def test_a_file_too_large_for_a_secret_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"a" * 65537)
    with pytest.raises(Invalid, match="is larger than 64 KiB"):
        resolve({"file": str(tmp_path / "x")}, {})
