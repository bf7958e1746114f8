"""The house of the SDK: who may import whom."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "sdk" / "gatewayd_sdk"
FILES = sorted(PACKAGE.rglob("*.py"))
NETWORK = {"aiohttp", "urllib3", "yarl", "socket", "asyncio", "threading", "http", "select", "selectors"}


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            yield node.module or ""


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_each_room_imports_what_it_may(path: Path) -> None:
    room = path.relative_to(PACKAGE).parts[0]
    roots = {name.partition(".")[0] for name in imported(path)}
    rooms = {name.split(".")[1] for name in imported(path) if name.startswith("gatewayd_sdk.")}
    assert "gatewayd" not in roots
    if room == "_core":
        assert not roots & (NETWORK - {"threading"})  # the pacer has a lock, for the threads of others
        assert rooms <= {"_core", "_version"}
    if room == "_asyncio":
        assert "urllib3" not in roots
        assert rooms <= {"_asyncio", "_core"}
    if room == "_blocking":
        assert not roots & {"aiohttp", "asyncio"}
        assert rooms <= {"_blocking", "_core"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_file_has_too_many_thoughts(path: Path) -> None:
    assert len(path.read_text().splitlines()) < 250
