"""revoke: which tokens, until when, and that it is kept."""

from pathlib import Path

import pytest
from click import UsageError

from gatewayd.clock import SystemClock
from gatewayd.commands.revoking import chosen
from gatewayd.model import Directory, Revocation
from gatewayd.stores.open import open_reader
from tests.commands.books import url
from tests.daemons import command, write_config

TIME = "2026-01-02T03:04:05Z"
THEN = 1767323045.0


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return write_config(tmp_path)


def kept(config: Path) -> Directory:
    with open_reader(url(config)) as reader:
        return reader.directory()


@pytest.mark.parametrize(
    ("words", "revocation", "said"),
    [
        (["--user", "ann"], Revocation("user", "ann", 7.0), None),
        (
            ["--user", "ann", "--issued-before", TIME],
            Revocation("user", "ann", THEN),
            "ann's tokens issued until 2026-01-02T03:04:05.000Z",
        ),
        (
            ["--issued-before", "2026-01-02t04:04:05.250+01:00"],
            Revocation("all", "", THEN + 0.25),
            "everybody's tokens issued until 2026-01-02T03:04:05.250Z",
        ),
        (["--jti", "t1"], Revocation("token", "t1", 7.0), "the token with the id t1"),
    ],
    ids=["user", "user until", "everybody", "token"],
)
def test_what_was_revoked_is_said_and_kept(
    config: Path, words: list[str], revocation: Revocation, said: str | None
) -> None:
    before = SystemClock().utc()
    found = command("revoke", *words, "-c", config)
    assert (found.exit_code, found.stderr) == (0, "")
    if said:
        assert found.stdout.startswith(f"revoked {said}; ")
    assert found.stdout.endswith("a running daemon refuses them within 1 s and ends their open streams\n")
    [found_there] = kept(config).revocations
    assert found_there[:2] == revocation[:2]
    if "--issued-before" in words:
        assert found_there == revocation
    else:
        assert before <= found_there.issued_until <= SystemClock().utc()


def test_the_later_of_two_times_stands(config: Path) -> None:
    for time in (TIME, "2026-01-01T00:00:00Z"):
        assert command("revoke", "--issued-before", time, "-c", config).exit_code == 0
    assert kept(config).revocations == (Revocation("all", "", THEN),)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "say which tokens: --jti ID, --user U or --issued-before TIME"),
        (["--jti", "t", "--user", "ann"], "--jti names one token: leave out --user and --issued-before"),
        (["--jti", "t", "--issued-before", TIME], "--jti names one token: leave out --user and --issued-before"),
        (["--jti", ""], "need a name that is not empty"),
        (["--user", ""], "need a name that is not empty"),
        (["--issued-before", "9999-01-01T00:00:00Z"], "is to come: tokens not issued yet would be refused, for good"),
    ],
)
def test_what_names_no_tokens_is_a_usage_error_and_revokes_nothing(config: Path, words: list[str], said: str) -> None:
    found = command("revoke", *words, "-c", config)
    assert (found.exit_code, found.stdout) == (2, "")
    assert said in " ".join(found.stderr.split())
    assert not (config.parent / "ledger.db").exists()


@pytest.mark.parametrize(
    "time",
    [
        *("", "now", "2026-01-02", "2026-01-02T03:04:05", "2026-01-02 03:04:05Z", "20260102T030405Z", "1767323045"),
        *("2026-13-02T03:04:05Z", "2026-01-02T24:04:05Z", "2026-W01-2T03:04:05Z", "2026-01-02T03:04:05.Z"),
        "\u0662026-01-02T03:04:05Z",
    ],
)
def test_a_time_is_written_as_rfc_3339_says(config: Path, time: str) -> None:
    found = command("revoke", "--issued-before", time, "-c", config)
    assert (found.exit_code, found.stdout) == (2, "")
    assert "is not a time; write 2026-11-24T09:30:00Z" in found.stderr


def test_without_a_time_it_is_now() -> None:
    assert chosen(None, "ann", None, 7.0) == Revocation("user", "ann", 7.0)
    assert chosen("t1", None, None, 7.0) == Revocation("token", "t1", 7.0)
    with pytest.raises(UsageError):
        chosen(None, None, None, 7.0)
