"""A user's code has the types that it should have, as mypy and as pyright see it."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent / "typed"
SDK = Path(__file__).parents[2] / "sdk"
WRONG = {number for number, line in enumerate((HERE / "mistakes.py").read_text().splitlines(), 1) if "# wrong" in line}


def mypy(file: Path, cache: Path) -> dict[int, str]:
    """Its complaints by line, as a user without our settings has them."""
    options = ["--strict", "--config-file=", f"--cache-dir={cache}", "-O", "json", str(file)]
    command = [sys.executable, "-m", "mypy", *options]
    environ = {**os.environ, "MYPYPATH": str(SDK)}  # an editable install is none that type checkers see
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environ)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    return {each["line"]: each["message"] for each in found}


def pyright(file: Path, folder: Path) -> dict[int, str]:
    shutil.copy(file, folder)
    settings = {"typeCheckingMode": "strict", "include": [file.name], "extraPaths": [str(SDK)]}
    (folder / "pyrightconfig.json").write_text(json.dumps(settings))
    options = ["--project", str(folder), "--pythonpath", sys.executable, "--outputjson"]
    command = [sys.executable, "-m", "pyright", *options]
    environ = {**os.environ, "PYRIGHT_PYTHON_IGNORE_WARNINGS": "1"}  # it would ask whether there is a newer one
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environ)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    told = json.loads(done.stdout)
    assert told["summary"]["filesAnalyzed"] == 1, done.stdout
    found = told["generalDiagnostics"]
    return {each["range"]["start"]["line"] + 1: each["message"] for each in found}


@pytest.mark.timeout(180)
@pytest.mark.parametrize("checker", [mypy, pyright], ids=["mypy", "pyright"])
def test_a_users_program_is_understood_and_its_mistakes_are_found(checker: object, tmp_path: Path) -> None:
    assert callable(checker)
    assert checker(HERE / "program.py", tmp_path) == {}
    assert set(checker(HERE / "mistakes.py", tmp_path)) == WRONG
