"""The command line as a whole: help, usage errors, where the configuration is, pipes that close."""

import os
import signal
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from gatewayd import __version__
from gatewayd.build import BUILD
from gatewayd.cli import main
from tests.daemons import COMMAND, ROOT, command, environment, gatewayd, write_config
from tests.gateways import SECRET
from tests.patience import PATIENCE

NAMES = (
    *("account", "check", "completion", "demo", "explain", "init", "ledger"),
    *("plan", "prove", "reload", "revoke", "start", "status", "stop", "token", "top", "upgrade", "usage"),
)
GROUPS = {"account": ("list", "set", "show"), "ledger": ("export", "nodes", "release", "verify")}
EVERY = [(name,) for name in NAMES if name not in GROUPS] + [
    (group, name) for group, names in GROUPS.items() for name in names
]


def test_the_commands_are_the_contracts() -> None:
    assert tuple(sorted(main.commands)) == NAMES
    found = command("--help")
    assert found.exit_code == 0
    assert all(f"\n  {name} " in found.stdout for name in NAMES)


@pytest.mark.parametrize("group", GROUPS)
def test_a_group_of_commands_lists_them_with_an_example(group: str) -> None:
    found = command(group, "--help")
    assert (found.exit_code, found.stderr) == (0, "")
    assert f"\n  Example: gatewayd {group} " in found.stdout
    assert all(f"\n  {name} " in found.stdout for name in GROUPS[group])


@pytest.mark.parametrize("words", EVERY, ids=" ".join)
@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_every_command_has_help_with_an_example_and_takes_a_configuration(words: tuple[str, ...], flag: str) -> None:
    found = command(*words, flag)
    assert (found.exit_code, found.stderr) == (0, "")
    assert "\n  Example: " in found.stdout
    assert f"gatewayd {' '.join(words)}" in found.stdout.partition("Example: ")[2]
    assert "-c, --config" in found.stdout
    assert "GATEWAYD_CONFIG" in found.stdout or words in (("demo",), ("prove",))


@pytest.mark.parametrize(
    "words",
    [
        ["dance"],
        ["start", "--loud"],
        ["explain", "GET"],
        ["token"],
        ["check", "--format"],
        ["usage", "--format", "xml"],
        ["ledger", "burn"],
        ["account", "set", "ann"],
        ["revoke"],
    ],
)
def test_a_wrong_use_is_exit_2_on_stderr(words: list[str]) -> None:
    found = command(*words)
    assert (found.exit_code, found.stdout) == (2, "")
    assert "Error: " in found.stderr


def test_it_knows_its_version() -> None:
    assert command("--version").stdout == f"gatewayd, version {__version__} ({BUILD})\n"


def test_the_module_is_the_command() -> None:
    found = gatewayd("--version")
    assert (found.returncode, found.stdout) == (0, f"gatewayd, version {__version__} ({BUILD})\n")
    for entry in entry_points(group="console_scripts", name="gatewayd"):
        assert entry.load() is main


@pytest.mark.parametrize("way", ["option", "variable", "place", "option over variable"])
def test_the_configuration_is_the_named_one_or_the_usual_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    config = write_config(tmp_path / "conf")
    monkeypatch.chdir(tmp_path)
    usual = Path("conf/gatewayd.toml")
    found = {
        "option": lambda: command("check", "-c", config),
        "variable": lambda: command("check", GATEWAYD_CONFIG=str(config)),
        "place": lambda: command("check"),
        "option over variable": lambda: command("check", "--config", config, GATEWAYD_CONFIG="/nowhere.toml"),
    }[way]()
    assert (found.exit_code, found.stdout) == (0, f"{usual if way == 'place' else config} is fine\n")


def test_without_any_configuration_the_way_to_one_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = command("start")
    assert (found.exit_code, found.stdout) == (1, "")
    first = found.stderr.splitlines()[0]
    assert first.startswith("conf/gatewayd.toml:0:0: (file): no such file or directory (gatewayd init ")


@pytest.mark.parametrize("words", [["explain", "GET", "/x"], ["--help"]])
def test_a_reader_that_has_gone_is_no_traceback(tmp_path: Path, words: list[str]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    config = write_config(tmp_path)
    found = subprocess.run(
        [*COMMAND, *words],
        env=environment(GATEWAYD_CONFIG=str(config)),
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(writing)
    assert (found.returncode, found.stderr) == (1, "")


def test_closed_standard_streams_are_no_traceback(tmp_path: Path) -> None:
    config = write_config(tmp_path)
    line = f"exec {sys.executable} -m gatewayd check -c {config} >&- 2>&-"
    assert subprocess.run(["sh", "-c", line], env=environment(), check=False).returncode == 0


def test_ctrl_c_while_a_command_waits_is_no_traceback(tmp_path: Path) -> None:
    config = tmp_path / "pipe.toml"
    os.mkfifo(config)  # to read it is to wait for a writer
    with subprocess.Popen(
        [*COMMAND, "check", "-c", str(config)], env=environment(), stdout=-1, stderr=-1, text=True
    ) as process:
        writing = os.open(config, os.O_WRONLY)  # it is being read now
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=PATIENCE)
        os.close(writing)
    assert (process.returncode, stdout, stderr) == (1, "", "\nAborted!\n")


def test_the_shipped_configurations_pass_the_check() -> None:
    secrets = {"GATEWAYD_JWT_SECRET": SECRET, "GATEWAYD_ADMIN_TOKEN": SECRET}
    for name in ("gatewayd.toml", "gatewayd.ini"):
        found = command("check", "-c", ROOT / "conf" / name, **secrets)
        assert (found.exit_code, found.stderr) == (0, "")


def test_a_result_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    config = write_config(tmp_path)
    with Path("/dev/full").open("w") as full:
        found = subprocess.run(
            [*COMMAND, "check", "-c", str(config)], env=environment(), stdout=full, stderr=-1, text=True, check=False
        )
    assert found.returncode == 1
    assert found.stderr.startswith("gatewayd: the result could not be written: No space left on device")
    assert "Traceback" not in found.stderr
