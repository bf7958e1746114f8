"""What every command does alike with its configuration and its durations."""

import asyncio
import json
import os
import pwd
import signal
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from gatewayd.cli import main
from gatewayd.commands.common import Duration, counted
from gatewayd.errors import Problem
from tests.daemons import command, environment, gatewayd, running_daemon, write_config
from tests.gateways import PLANS


def _leaves(group: click.Group, *before: str) -> Iterator[tuple[str, ...]]:
    for name, each in group.commands.items():
        yield from _leaves(each, *before, name) if isinstance(each, click.Group) else [(*before, name)]


@pytest.mark.parametrize("words", [*_leaves(main)], ids=" ".join)
def test_every_command_takes_a_configuration_and_has_an_example(words: tuple[str, ...]) -> None:
    found = command(*words, "--help")
    assert (found.exit_code, found.stderr) == (0, "")
    assert "  -c, --config PATH" in found.stdout
    assert f"Example: {'export TOKEN=$(' if words == ('token',) else ''}gatewayd {' '.join(words)}" in found.stdout


@pytest.mark.parametrize(
    ("text", "seconds"), [("250ms", 0.25), ("90s", 90.0), ("5m", 300.0), ("1h", 3600.0), ("7d", 604_800.0)]
)
def test_a_duration_is_a_number_and_a_unit(text: str, seconds: float) -> None:
    assert Duration().convert(text, None, None) == seconds


@pytest.mark.parametrize("text", ["", "90", "1.5h", "-1h", "1w", "1 h", "99999d", "٣s"])
def test_any_other_duration_is_a_usage_error_that_shows_how(text: str) -> None:
    with pytest.raises(click.BadParameter, match=r"is not a duration \(write .*1h|is longer than a year") as error:
        Duration().convert(text, None, None)
    assert error.value.exit_code == 2


@pytest.mark.parametrize("asks", ["start", "token --user a", "explain GET /"])
def test_a_broken_configuration_is_refused_with_every_problem_on_stderr(tmp_path: Path, asks: str) -> None:
    config = write_config(tmp_path, server="worker = 2\nmax_body = -1")
    found = command(*asks.split(), "-c", config)
    assert (found.exit_code, found.stdout) == (1, "")
    *problems, count = found.stderr.splitlines()
    assert sorted(line.split(": ")[1] for line in problems) == ["server.max_body", "server.worker"]
    assert count == "2 problems"


@pytest.mark.parametrize("asks", ["status", "stop", "usage"])
def test_a_command_that_asks_needs_no_other_key_to_be_right(tmp_path: Path, asks: str) -> None:
    config = write_config(tmp_path, server="worker = 2\nmax_body = -1")
    assert command(asks, "-c", config).stderr.startswith("gatewayd: ")
    config.write_text(config.read_text().replace("state_dir =", "state_dir = 5 #").replace("url =", "url = 5 #"))
    found = command(asks, "-c", config)
    assert (found.exit_code, found.stdout) == (1, "")
    assert found.stderr.splitlines()[-1] == "1 problem"


def test_warnings_go_to_stderr_and_stop_nothing(tmp_path: Path) -> None:
    config = write_config(tmp_path)
    config.write_text(config.read_text().replace('secret = { env = "SECRET" }', f'secret = "{"x" * 40}"'))
    found = command("token", "-c", config, "--user", "ann")
    assert found.exit_code == 0
    assert found.stderr.startswith("warning: ")
    assert "auth.secret" in found.stderr
    assert "x" * 40 not in found.stderr
    assert found.stdout.count(".") == 2


@pytest.mark.parametrize(("number", "words"), [(0, "0 problems"), (1, "1 problem"), (2, "2 problems")])
def test_problems_are_counted_in_words(number: int, words: str) -> None:
    assert counted([Problem("f", 1, 1, "k", "m")] * number) == words


CHANGES = [
    ("account set ann --plan free", {"action": "account set", "user": "ann", "plan": "free"}),
    ("revoke --user ann", {"action": "revoke", "tokens": "user", "subject": "ann"}),
]


def audited_config(tmp_path: Path, file: str) -> Path:
    return write_config(tmp_path, general=f"{PLANS}\n[audit_log]\nfile = '{file}'\n")


@pytest.mark.parametrize(("words", "said"), CHANGES, ids=lambda each: str(each).split(" ")[0])
def test_what_a_command_changes_is_in_the_audit_log_with_who_did_it(
    tmp_path: Path, words: str, said: dict[str, str]
) -> None:
    config = audited_config(tmp_path, str(tmp_path / "audit.log"))
    assert command(*words.split(), "-c", config, SUDO_USER="zoe").exit_code == 0
    [line] = (tmp_path / "audit.log").read_text().splitlines()
    found = json.loads(line)
    assert said.items() <= found.items()
    assert (found["event"], found["result"]) == ("action", "done")
    assert found["from"].startswith("command line of ")
    assert found["by"] == f"{pwd.getpwuid(os.getuid()).pw_name} (sudo by zoe)"


def test_what_a_command_changes_while_no_daemon_runs_is_noted_in_the_state_directory(tmp_path: Path) -> None:
    config = write_config(tmp_path, state=tmp_path / "state")
    (tmp_path / "state").mkdir()
    for plan in ("free", "free"):
        found = command("account", "set", "ann", "--plan", plan, "-c", config)
        assert (found.exit_code, found.stderr) == (0, "")
    first, second = map(json.loads, (tmp_path / "state" / "audit.log").read_text().splitlines())
    assert (first["action"], first["user"], second["plan"]) == ("account set", "ann", "free")


def test_an_audit_log_that_is_full_is_a_warning_and_what_was_done_stays_done(tmp_path: Path) -> None:
    found = command("account", "set", "ann", "--plan", "free", "-c", audited_config(tmp_path, "/dev/full"))
    assert found.exit_code == 0
    told = "warning: this cannot be written to the audit log (No space left on device): "
    assert found.stderr.startswith(told)
    assert json.loads(found.stderr.removeprefix(told))["user"] == "ann"
    assert "ann is on plan free" in found.stdout


async def test_a_daemon_that_runs_notes_what_commands_do_with_the_kernels_word_for_who(tmp_path: Path) -> None:
    config = write_config(tmp_path)
    async with running_daemon(config) as daemon:
        environ = environment(SUDO_USER="zoe", SSH_CONNECTION="192.0.2.7 1 192.0.2.1 22")
        for words in ("account set ann --plan free", "revoke --jti t1", "reload"):
            found = await asyncio.to_thread(gatewayd, *words.split(), "-c", config, environ=environ)
            assert (found.returncode, found.stderr) == (0, "")
        daemon.signal(signal.SIGHUP)
        await daemon.said('"from":"SIGHUP"')
        assert (await asyncio.to_thread(gatewayd, "stop", "-c", config)).returncode == 0
        noted = [json.loads(line) for line in daemon.log.splitlines() if line.startswith("{")]
    assert [each["action"] for each in noted] == ["account set", "revoke", "reload", "reload", "stop"]
    me = pwd.getpwuid(os.getuid()).pw_name
    for each in noted[:3]:
        assert (each["by"], each["uid"], each["result"]) == (f"{me} (sudo by zoe)", os.getuid(), "done")
        assert each["from"].endswith(", from 192.0.2.7")
        assert each["pid"] not in (os.getpid(), daemon.process.pid)
    assert (noted[3]["by"], noted[3]["generation"]) == (f"{me} or root", 3)
    assert (noted[4]["by"], noted[4]["daemon"]) == (me, daemon.process.pid)
    assert not (tmp_path / "audit.log").exists()
