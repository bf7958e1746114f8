"""Shell completion: the scripts, and what they complete."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.daemons import ROOT, command, environment, write_config

ENTRY = "from gatewayd.cli import main; main(prog_name='gatewayd')"  # what pip makes of the console script


def completed(shell: str, line: str, **environ: str) -> list[str]:
    """What gatewayd tells a shell that completes this line, by the protocol of its script."""
    words = line.split(" ")
    said = {"COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1), "_GATEWAYD_COMPLETE": f"{shell}_complete"}
    if shell == "fish":
        said["COMP_CWORD"] = words[-1]
    name = [sys.executable, "-c", ENTRY]
    found = subprocess.run(name, env=environment(**said, **environ), capture_output=True, text=True, check=False)
    assert "Traceback" not in found.stderr
    lines = found.stdout.splitlines()
    if shell == "zsh":
        return lines[1::3]
    return [each.split(",", 1)[1].split("\t")[0] for each in lines if each]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_commands_options_methods_and_paths_are_completed(shell: str, tmp_path: Path) -> None:
    config = str(write_config(tmp_path))
    assert completed(shell, "gatewayd sta") == ["start", "status"]
    assert "--once" in completed(shell, "gatewayd top --")
    assert completed(shell, "gatewayd explain P") == ["PATCH", "POST", "PUT"]
    assert completed(shell, "gatewayd explain GET /a", GATEWAYD_CONFIG=config) == ["/api/email"]
    assert completed(shell, f"gatewayd explain -c {config} GET /api/") == ["/api/email"]
    assert completed(shell, "gatewayd explain GET /a", GATEWAYD_CONFIG="nothing.toml") == []
    assert completed(shell, "gatewayd completion ") == ["bash", "zsh", "fish"]


def bash_completes(line: str, tmp_path: Path) -> list[str]:
    """A real bash that has read the script of `gatewayd completion bash`."""
    program = tmp_path / "gatewayd"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -c "{ENTRY}" "$@"\n')
    program.chmod(0o755)
    words = " ".join(f"'{each}'" for each in line.split(" "))
    script = (
        'eval "$(gatewayd completion bash)"\n'
        f"COMP_WORDS=({words}); COMP_CWORD={len(line.split(' ')) - 1}\n"
        '_gatewayd_completion gatewayd\nprintf "%s\\n" "${COMPREPLY[@]}"\n'
    )
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    found = subprocess.run(
        ["bash", "--norc", "-c", script], env=environment(PATH=path), capture_output=True, text=True, check=True
    )
    assert found.stderr == ""
    return found.stdout.split()


def test_a_real_bash_completes_with_what_the_command_prints(tmp_path: Path) -> None:
    assert bash_completes("gatewayd sta", tmp_path) == ["start", "status"]
    assert bash_completes("gatewayd explain GE", tmp_path) == ["GET"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_is_for_the_shell_that_was_named(shell: str) -> None:
    found = command("completion", shell)
    assert found.exit_code == 0
    assert f"_GATEWAYD_COMPLETE={shell}_complete" in found.stdout
    assert command("completion", "tcsh").exit_code == 2


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_documents_say_how_to_install_it(shell: str) -> None:
    assert f"gatewayd completion {shell}" in (ROOT / "docs/operations.md").read_text()
