"""The shape of the house is a promise too: who may import whom, and that every room has its test."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "gatewayd"

# A module imports only from its own line or from lines above it (docs/design.md draws it).
FLOORS = (
    ("gatewayd", "build", "clock", "errors", "ids", "numerals", "periods", "rates", "remembering", "records", "model"),
    ("keys", "pidlock"),
    ("config", "framing", "plain", "trailers"),
    ("forwarded", "identity.base", "incoming", "kept", "routing", "stores.base"),
    ("generation",),
    ("exchange",),
    ("audit", "bell", "course", "drain", "outbox", "outlets", "problem", "sent", "sink"),
    ("identity", "policies", "proxy", "edge", "stores"),
    ("books",),
    ("endpoints", "metrics", "spans", "tracing"),
    ("lifecycle", "pinning", "ring"),
    ("admin", "app"),
    ("process",),
    ("prove",),
    ("demo",),
    ("commands",),
    ("cli",),
    ("__main__",),
)
# Each driver and framework has one room.
ROOMS = {
    "aiocache": ("identity.accounts", "stores.documents"),
    "aiohttp_jinja2": "admin",
    "aiopg": "stores.postgres",
    "click": ("cli", "commands"),
    "jwt": ("identity", "keys"),
    "opentelemetry": "spans",
    "prometheus_client": "metrics",
    "psycopg2": "stores.postgres",
    "redis": "stores.redis",
    "rich": "commands",
    "sqlite3": ("stores.sqlite", "prove.outages"),
    "toml_rs": "config",
    "uvloop": "commands",
}


def modules() -> Iterator[tuple[str, Path]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        yield name or "gatewayd", path


MODULES = dict(modules())


def inside(name: str, room: str) -> bool:
    return name == room or name.startswith(room + ".")


def floor_of(name: str) -> int:
    found = [(len(room), floor) for floor, rooms in enumerate(FLOORS) for room in rooms if inside(name, room)]
    assert found, f"{name} stands on no floor: give it one"
    return max(found)[1]


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            assert node.module is not None
            for alias in node.names:
                deeper = f"{node.module}.{alias.name}"
                yield deeper if deeper.removeprefix("gatewayd.") in MODULES else node.module


@pytest.mark.parametrize("name", MODULES)
def test_a_module_imports_only_from_floors_below_or_its_own(name: str) -> None:
    for imported in imports(MODULES[name]):
        if inside(imported, "gatewayd"):
            other = imported.removeprefix("gatewayd.")
            same_room = other.partition(".")[0] == name.partition(".")[0]
            assert same_room or floor_of(other) <= floor_of(name), f"{name} imports {other} from above"


def test_no_imports_run_in_a_circle() -> None:
    edges = {
        name: {
            imported.removeprefix("gatewayd.")
            for imported in imports(path)
            if imported.startswith("gatewayd.") and imported.removeprefix("gatewayd.") in MODULES
        }
        for name, path in MODULES.items()
    }
    seen: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, " -> ".join((*trail, name))
        if name not in seen:
            for other in edges[name]:
                visit(other, (*trail, name))
            seen.add(name)

    for name in edges:
        visit(name, ())


@pytest.mark.parametrize("name", MODULES)
def test_imports_stand_at_the_top(name: str) -> None:
    tree = ast.parse(MODULES[name].read_text())
    functions = (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    inner = [
        node.lineno for each in functions for node in ast.walk(each) if isinstance(node, ast.Import | ast.ImportFrom)
    ]
    assert not inner


@pytest.mark.parametrize(("library", "rooms"), ROOMS.items())
def test_a_driver_is_imported_in_its_own_room_only(library: str, rooms: str | tuple[str, ...]) -> None:
    allowed = (rooms,) if isinstance(rooms, str) else rooms
    users = {name for name, path in MODULES.items() for each in imports(path) if inside(each, library)}
    strangers = {user for user in users if not any(inside(user, room) for room in allowed)}
    assert not strangers


def promises(node: ast.stmt) -> bool:
    """A Protocol, or a record that has fields and no methods."""
    if not isinstance(node, ast.ClassDef):
        return False
    if "Protocol" in map(ast.unparse, node.bases):
        return True
    marks = {ast.unparse(each).partition("(")[0] for each in (*node.bases, *node.decorator_list)}
    return bool(marks & {"NamedTuple", "dataclass"}) and all(
        isinstance(each, ast.AnnAssign | ast.Expr) for each in node.body
    )


def only_promises(path: Path) -> bool:
    """Whether a module holds nothing that runs: its test is the suite of those who keep its promises."""
    body = [node for node in ast.parse(path.read_text()).body if not isinstance(node, ast.Import | ast.ImportFrom)]
    return len(body) > 1 and all(map(promises, body[1:]))


@pytest.mark.parametrize(
    "name", [name for name, path in MODULES.items() if path.name != "__init__.py" and not only_promises(path)]
)
def test_every_module_has_a_test_file(name: str) -> None:
    *folders, last = name.split(".")
    if last == "__main__":
        last = "cli"
    assert (ROOT / "tests" / Path(*folders) / f"test_{last}.py").exists()


def test_the_demo_knows_nothing_of_the_gateway() -> None:
    for name, path in MODULES.items():
        if inside(name, "demo"):
            assert all(inside(each, "gatewayd.demo") for each in imports(path) if inside(each, "gatewayd")), name


def test_app_reads_at_one_look() -> None:
    assert len((PACKAGE / "app.py").read_text().splitlines()) < 80


@pytest.mark.parametrize("word", ["utils", "helpers", "manager", "misc"])
def test_no_drawer_for_everything(word: str) -> None:
    assert not [name for name in MODULES if word in name.split(".")]


def test_the_version_is_said_once() -> None:
    said = re.compile(r"""version\s*=\s*["']\d""")
    assert not [path for path in (ROOT / "setup.cfg", ROOT / "pyproject.toml") if said.search(path.read_text())]
