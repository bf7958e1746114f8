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


@pytest.mark.parametrize("name", ["../x", "..", ".", "/etc/passwd", "a/b", "./jwt"])
def test_a_credential_is_never_a_path(name: str) -> None:
    with pytest.raises(Invalid, match="a credential is a name"):
        resolve({"credential": name}, {"CREDENTIALS_DIRECTORY": "/"})


@pytest.mark.parametrize(
    ("content", "secret"),
    [
        pytest.param(b"hunter2", "hunter2", id="no newline"),
        pytest.param(b"hunter2\n", "hunter2", id="a newline"),
        pytest.param(b"hunter2\r\n", "hunter2", id="a newline of Windows"),
        pytest.param(b"two\nlines\n", "two\nlines", id="lines"),
        pytest.param(b" \thunter2 ", " \thunter2 ", id="spaces"),
        pytest.param(b"x" * 65_535 + b"\n", "x" * 65_535, id="the longest"),
    ],
)
def test_a_credential_is_what_its_file_says_but_the_newline(tmp_path: Path, content: bytes, secret: str) -> None:
    (tmp_path / "jwt").write_bytes(content)
    assert resolve({"credential": "jwt"}, {"CREDENTIALS_DIRECTORY": str(tmp_path)}).reveal() == secret


@pytest.mark.parametrize(
    ("name", "message"),
    [
        pytest.param("missing", "there is no credential missing in {}", id="missing"),
        pytest.param("empty", "the secret is empty", id="empty"),
        pytest.param("newline", "the secret is empty", id="a newline only"),
        pytest.param("large", "{}/large is larger than 64 KiB", id="too large"),
        pytest.param("folder", "{}/folder is not a regular file", id="a directory"),
        pytest.param("device", "{}/device is not a regular file", id="a device"),
        pytest.param("pipe", "{}/pipe is not a regular file", id="a pipe, which nobody would end"),
        pytest.param("astray", "{}/astray: no such file or directory", id="a link to nowhere"),
        pytest.param("n" * 300, "{}/{name}: file name too long", id="a name too long for a file"),
    ],
)
def test_a_credential_that_cannot_be_had_is_told_with_its_name_and_not_its_content(
    tmp_path: Path, name: str, message: str
) -> None:
    (tmp_path / "empty").touch()
    (tmp_path / "newline").write_text("\n")
    (tmp_path / "large").write_bytes(b"hunter2" * 10_000)
    (tmp_path / "folder").mkdir()
    (tmp_path / "device").symlink_to("/dev/zero")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "astray").symlink_to("nowhere")
    with pytest.raises(Invalid) as refused:
        resolve({"credential": name}, {"CREDENTIALS_DIRECTORY": str(tmp_path)})
    assert refused.value.message == message.format(tmp_path, name=name)
    assert "hunter2" not in f"{refused.value.message} {refused.value.hint}"
    if "there is no" in message:
        assert refused.value.hint == f"in the unit: LoadCredential={name}:PATH"


def test_a_credential_of_another_user_is_told(tmp_path: Path) -> None:
    (tmp_path / "jwt").write_text("hunter2")
    (tmp_path / "jwt").chmod(0)
    ours, theirs = os.pipe()
    if not (pid := os.fork()):  # nothing is forbidden to root, so whoever that is not looks
        try:
            if os.geteuid() == 0:
                os.setgroups([])
                os.setresuid(65_534, 65_534, 65_534)
            os.write(theirs, _why_not({"credential": "jwt"}, tmp_path).encode())
        finally:
            os._exit(0)
    os.close(theirs)
    with open(ours, "rb") as told:  # noqa: PTH123
        assert told.read().decode() == f"{tmp_path}/jwt: permission denied"
    os.waitpid(pid, 0)


def _why_not(raw: object, folder: Path) -> str:
    try:
        resolve(raw, {"CREDENTIALS_DIRECTORY": str(folder)})
    except Invalid as refused:
        return refused.message
    return "it can be had"


def test_a_file_too_large_for_a_secret_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"a" * 65537)
    with pytest.raises(Invalid, match="is larger than 64 KiB"):
        resolve({"file": str(tmp_path / "x")}, {})
