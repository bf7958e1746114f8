"""Every snippet of README and docs is run here, or named here with the test that runs the same."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from gatewayd.clock import SystemClock
from gatewayd.config.loading import parse
from gatewayd.model import BillingPeriod, Hold
from tests.commands.books import fill
from tests.docs.sessions import Session, alike, prepared
from tests.docs.snippets import DOCUMENTS, ROOT, Snippet, snippets
from tests.postgres import Server, execute, shared_server
from tests.stores.ledgers import hold

# Commands that are not run here, by their beginning: why, or which test runs them.
ELSEWHERE = {
    "make ": "they run everything, this test too; tests/test_makefile.py tries make itself, CI the rest",
    "gatewayd prove": "tests/commands/test_proving.py; half a minute of both cores",
    "gatewayd demo": "tests/commands/test_demonstration.py",
    "curl ": "tests/admin, which ask the same addresses: a document's port may be somebody else's",
    "pip install": "needs the network; CI installs so",
    "systemctl": "needs systemd as process 1",
    "journalctl": "needs systemd as process 1",
    "gatewayd top": "tests/commands: the figures are those of a load",
    "gatewayd reload": "tests/process: generations with requests on them",
    "gatewayd plan": "tests/process: what differs between two configurations",
    "gatewayd upgrade": "tests/process: a daemon that becomes another",
    "gatewayd ledger release": "tests/commands/test_ledger.py: it asks, and the daemon must be gone",
}
# Transcripts of trials, whole blocks by their first command and a word of what they show.
TRIALS = {
    ("gatewayd usage --user bob", "the daemon is dead"): "tests/faults/test_workers.py kills daemons so",
    ("gatewayd ledger verify", "was changed, or records between"): "tests/commands/test_ledger.py tampers so",
}
# What is said in words that depend on what happened before; the command is run, its answer not compared.
TOLD_OTHERWISE = ("gatewayd explain", "gatewayd status", "gatewayd start", "gatewayd ledger nodes", "gatewayd check")


def is_trial(snippet: Snippet) -> bool:
    return any(f"$ {command}" in snippet.text and word in snippet.text for command, word in TRIALS)


def test_every_kind_of_snippet_has_somebody_who_runs_it() -> None:
    assert {each.language for each in snippets()} <= {"", "console", "python", "toml", "sql", "yaml", "ini", "json"}
    for each in snippets(""):
        assert "\n$ " not in f"\n{each.text}", f"{each}: a console block without its name"


def test_what_is_named_as_not_run_is_still_there() -> None:
    said = {command for each in snippets("console") for command, _ in each.commands}
    text = "".join(path.read_text() for path in DOCUMENTS)
    for word in ("make ", "gatewayd prove"):
        assert any(command.startswith(word) for command in said)
    for command, word in TRIALS:
        assert command in text
        assert word in text


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    found = prepared(tmp_path)
    try:
        yield found
    finally:
        found.close()


def called(user: str, number: int, unit: str = "api_calls") -> Hold:
    """A call of this month, with an id that looks like one."""
    name = (f"{user}-{unit}-{number}".encode().hex() + "0" * 32)[:40]
    return hold(name, user=user, unit=unit, limit=100 if unit == "api_calls" else 0, at=SystemClock().utc())


async def ledger_of(session: Session) -> None:
    """Some calls of ann and bob are in the ledger."""
    calls = [called("ann", number) for number in range(5)] + [called("ann", 0, "questions"), called("bob", 0)]
    (session.directory / "var/here").mkdir()
    await fill(session.directory / "var/gatewayd.toml", calls)
    (session.directory / "var/ledger.db").rename(session.directory / "var/gatewayd.db")


THIS_MONTH = BillingPeriod.at(SystemClock().utc()).name
CONSOLES = [path for path in DOCUMENTS if "```console" in path.read_text()]


@pytest.mark.parametrize("document", CONSOLES, ids=lambda path: path.name)
async def test_what_a_document_types_works_in_the_order_in_which_it_stands_there(
    document: Path, session: Session
) -> None:
    of_it = [each for each in snippets("console") if each.file == str(document.relative_to(ROOT))]
    if document.name == "operations.md":
        await ledger_of(session)
        session.run("gatewayd start")
    for snippet in of_it:
        if not is_trial(snippet):
            type_in(session, snippet)


def type_in(session: Session, snippet: Snippet) -> None:
    for command, shown in snippet.commands:
        if command.startswith(tuple(ELSEWHERE)):
            continue
        code, printed = session.run(re.sub(r"--period \d{4}-\d\d", f"--period {THIS_MONTH}", command))
        fails = any(line.startswith("gatewayd: ") for line in shown)
        assert code == int(fails), f"{snippet}: $ {command}\n{printed}"
        if not command.startswith(TOLD_OTHERWISE):
            for line in shown:
                assert "..." in line or alike(line, printed), f"{snippet}: $ {command}\nshows {line}\nsays\n{printed}"


@pytest.mark.parametrize("snippet", snippets("toml", "ini"), ids=str)
def test_a_piece_of_configuration_is_accepted(snippet: Snippet, tmp_path: Path) -> None:
    text = elided(snippet.text)
    if "[auth]" not in text:
        key = 'secret = { env = "GATEWAYD_JWT_SECRET" }'
        text = f"[auth]\n{key if snippet.language == 'toml' else 'secret.env = GATEWAYD_JWT_SECRET'}\n{text}"
    names = set(re.findall(r'env = "(\w+)"|\$\{(\w+)', text))
    environ = {name: "x" * 48 for pair in names for name in pair if name} | {"GATEWAYD_JWT_SECRET": "x" * 48}
    assert parse(text, f"{tmp_path}/snippet.{snippet.language}", environ).settings.auth.secret is not None


def elided(text: str) -> str:
    """Without lines that elide what a reader puts there, and keys that would be fetched."""
    return "".join(
        line
        for line in text.splitlines(keepends=True)
        if '"..."' not in line
        and not line.startswith(("jwks_url", "[auth.issuers", "user_prefix", 'issuer = "https://login'))
    )


@pytest.mark.parametrize("snippet", snippets("python"), ids=str)
def test_python_runs_or_if_it_speaks_to_agents_imports_what_is_there(snippet: Snippet) -> None:
    """The SDK's examples speak to agents: tests/sdk has their calls, tests/test_past_mistakes.py their names."""
    tree = ast.parse(snippet.text)
    calls = "gateway." in snippet.text or "Gateway(" in snippet.text
    body: list[ast.stmt] = [node for node in tree.body if not calls or isinstance(node, ast.Import | ast.ImportFrom)]
    exec(compile(ast.Module(body, []), str(snippet), "exec"), {"__name__": "snippet"})


@pytest.fixture
def server() -> Server:
    return shared_server()


def test_the_roles_for_postgresql_can_be_made_and_used(server: Server) -> None:
    own, granted = (each.text.replace("'...'", "'secret'") for each in snippets("sql"))
    names = {"gatewayd_owner": "docs_owner", "gatewayd_run": "docs_run", " ledger ": " docs_ledger "}
    for name, other in names.items():
        own, granted = own.replace(name, other), granted.replace(name, other)
    for statement in filter(str.strip, own.split(";")):
        server.execute(statement)
    rest = server.rest("docs_ledger")
    for table in ("usage_records", "usage_balances", "accounts", "revocations", "usage_leases", "ledger_meta"):
        execute(rest, f"CREATE TABLE {table} (id text)")
    for statement in filter(str.strip, granted.split(";")):
        execute(rest, statement)
    assert execute(rest, "SELECT has_table_privilege('docs_run', 'usage_records', 'INSERT')") == [(True,)]
    assert execute(rest, "SELECT has_table_privilege('docs_run', 'usage_records', 'UPDATE, DELETE')") == [(False,)]


@pytest.mark.parametrize("snippet", snippets("yaml"), ids=str)
def test_a_piece_of_prometheus_configuration_names_files_that_are_there(snippet: Snippet) -> None:
    for path in re.findall(r"\b(?:conf|systemd)/[\w./-]+", snippet.text):
        assert (ROOT / path).exists(), path
