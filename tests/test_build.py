"""Which build runs is known, and what compiles it says what it does: setup.py and the list in setup.cfg."""

import ast
import os
import runpy
import subprocess
import sys
from collections.abc import Callable
from configparser import ConfigParser
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from gatewayd.build import BUILD, COMPILED, stays_python

ROOT = Path(__file__).parent.parent
CONFIG = ConfigParser(interpolation=None)
CONFIG.read(ROOT / "setup.cfg")
LISTED = CONFIG["gatewayd:compiled"]["modules"].split()
SETUP = ROOT / "setup.py"
TRIED = os.environ.get("TRIED_BUILD", "pure Python")


def set_up(*, choice: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """What setup.py says and does, in an environment where it has nothing to compile with."""
    command = [sys.executable, "-W", "ignore", str(SETUP), "--quiet", "build_ext", "--inplace"]
    environment = os.environ | {"GATEWAYD_COMPILE": choice} | environ
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False)


def test_what_runs_is_the_build_that_was_to_be_tried() -> None:
    assert TRIED == BUILD
    assert (BUILD == "compiled") == COMPILED


def test_every_listed_module_is_there_once_and_in_order() -> None:
    assert sorted(set(LISTED)) == LISTED
    assert all((ROOT / f"{name.replace('.', '/')}.py").is_file() for name in LISTED)


@pytest.mark.parametrize("name", LISTED)
def test_the_listed_modules_are_compiled_together_or_not_at_all(name: str) -> None:
    file = import_module(name).__file__
    assert file is not None
    assert file.endswith(".py") is not COMPILED


def test_nothing_compiled_is_beside_the_files_of_a_checkout() -> None:
    found = [] if COMPILED else list((ROOT / "gatewayd").rglob("*.so"))
    assert not found, f"it would run in the place of the file that was edited: {found}"


def test_a_class_that_stays_python_is_itself_and_takes_weak_references() -> None:
    class Kind:
        pass

    assert stays_python(Kind) is Kind


def test_who_asks_for_pure_python_gets_it_and_is_told() -> None:
    found = set_up(choice="0")
    assert (found.returncode, found.stdout) == (0, "")
    assert found.stderr == "gatewayd is built as pure Python: GATEWAYD_COMPILE=0\n"


def test_without_a_compiler_it_goes_on_in_pure_python_and_says_why() -> None:
    found = set_up(choice="auto", CC="no-such-compiler")
    assert (found.returncode, found.stdout) == (0, "")
    assert found.stderr == "gatewayd is built as pure Python: there is no C compiler (no-such-compiler)\n"


def test_who_insists_on_compiling_is_told_what_is_in_the_way() -> None:
    found = set_up(choice="1", CC="no-such-compiler")
    assert found.returncode == 1
    assert found.stderr == "gatewayd cannot be compiled: there is no C compiler (no-such-compiler)\n"


@pytest.fixture
def backend(monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, Any]]:
    """setup.py as pip sees it, with its own way of asking setuptools left out."""

    def load(choice: str, compiler: str) -> dict[str, Any]:
        monkeypatch.setenv("GATEWAYD_COMPILE", choice)
        monkeypatch.setenv("CC", compiler)
        monkeypatch.setattr("setuptools.build_meta.get_requires_for_build_wheel", lambda _settings=None: [])
        return runpy.run_path(str(SETUP))

    return load


def test_a_wheel_needs_a_compiler_only_where_one_can_be_used(backend: Callable[..., dict[str, Any]]) -> None:
    assert backend("0", sys.executable)["get_requires_for_build_wheel"]() == []
    assert backend("auto", "no-such-compiler")["get_requires_for_build_wheel"]() == []
    compiling = backend("1", sys.executable)
    if compiling["obstacle"]() is None:
        needed = compiling["get_requires_for_build_wheel"]()
        assert needed[0] == compiling["COMPILER"]
        assert any(each.startswith("aiohttp>=") for each in needed)


def test_the_compiler_is_the_one_that_the_types_are_checked_with() -> None:
    tested = CONFIG["options.extras_require"]["test"].split()
    assert runpy.run_path(str(SETUP))["COMPILER"] in tested


def test_no_part_of_a_library_is_left_when_compiling_fails(
    backend: Callable[..., dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    part = tmp_path / "part.so"
    part.touch()

    def fail(_self: object) -> None:
        raise OSError("cc1: out of memory")

    monkeypatch.setattr("setuptools.command.build_ext.build_ext.run", fail)
    kind = backend("auto", sys.executable)["AllOrNothing"]
    monkeypatch.setattr(kind, "get_outputs", lambda _self: [str(part), str(tmp_path / "never made.so")])
    building = kind.__new__(kind)
    building.run()
    assert not part.exists()
    assert building.extensions == []
    assert "pure Python: the C compiler failed: cc1: out of memory" in capfd.readouterr().err


def waits(node: ast.AST) -> bool:
    """Whether it may be left for the event loop; the exit of a time limit never is."""
    if isinstance(node, ast.AsyncWith):
        limits = all(ast.unparse(each.context_expr).startswith("asyncio.timeout(") for each in node.items)
        return not limits or any(map(waits, node.body))
    if isinstance(node, ast.Await | ast.AsyncFor | ast.Yield | ast.YieldFrom):
        return True
    return any(map(waits, ast.iter_child_nodes(node)))


@pytest.mark.parametrize("name", LISTED)
def test_nothing_that_is_compiled_waits_while_it_handles_an_error(name: str) -> None:
    """mypyc keeps one error in hand for all coroutines of a thread: who waits would find somebody else's."""
    tree = ast.parse((ROOT / f"{name.replace('.', '/')}.py").read_text())
    handling = [
        statement
        for node in ast.walk(tree)
        if isinstance(node, ast.Try)
        for statement in (*node.finalbody, *(each for handler in node.handlers for each in handler.body))
    ]
    assert not [f"line {each.lineno}" for each in handling if waits(each)]
    exits = [node for node in ast.walk(tree) if isinstance(node, ast.AsyncWith)]
    assert all(ast.unparse(item.context_expr).startswith("asyncio.timeout(") for each in exits for item in each.items)
