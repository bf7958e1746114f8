"""account: plans that operators give, before the first start and while a daemon runs."""

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from gatewayd.commands.accounts import account_rows
from gatewayd.model import Directory, Revocation
from tests.agents import answering, raw_agent
from tests.daemons import command, daemon_here, write_config

PLANS = """
[plans.free]
default = true
quota = { api_calls = 10 }
[plans.pro]
quota = { api_calls = 1000 }
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return write_config(tmp_path, general=PLANS)


def printed(config: Path, *words: str) -> Any:
    found = command("account", *words, "-c", config, "--format", "json")
    assert (found.exit_code, found.stderr) == (0, "")
    return json.loads(found.stdout)


def row(user: str, plan: str | None, revoked_until: str | None = None) -> dict[str, str | None]:
    return {"user": user, "plan": plan, "revoked_until": revoked_until}


def test_a_plan_can_be_set_before_the_first_start_and_changed(config: Path) -> None:
    found = command("account", "set", "ann", "--plan", "free", "-c", config)
    assert (found.exit_code, found.stderr) == (0, "")
    assert found.stdout == "ann is on plan free from now on; a running daemon goes by it within 1 s\n"
    assert printed(config, "show", "ann") == row("ann", "free")
    assert command("account", "set", "ann", "--plan", "pro", "-c", config).exit_code == 0
    assert command("account", "set", "Zoë Ängström", "--plan", "free", "-c", config).exit_code == 0
    assert printed(config, "list") == [row("Zoë Ängström", "free"), row("ann", "pro")]


async def test_a_plan_set_while_the_daemon_runs_is_kept(tmp_path: Path) -> None:
    async with raw_agent(answering(b"")) as agent:
        config = write_config(tmp_path, agent.url, general=PLANS)
        async with daemon_here(config):
            assert command("account", "set", "ann", "--plan", "pro", "-c", config).exit_code == 0
            assert printed(config, "list") == [row("ann", "pro")]
        assert printed(config, "list") == [row("ann", "pro")]


@pytest.mark.parametrize(
    ("plan", "said"),
    [
        ("prro", "no plan is called 'prro': the configuration has free, pro; did you mean \"pro\"?"),
        ("gold", "no plan is called 'gold': the configuration has free, pro"),
        ("", "no plan is called '': the configuration has free, pro"),
    ],
)
def test_a_plan_that_is_not_configured_is_refused_with_those_that_are(config: Path, plan: str, said: str) -> None:
    found = command("account", "set", "ann", "--plan", plan, "-c", config)
    assert (found.exit_code, found.stdout) == (2, "")
    assert found.stderr.endswith(f"{said}\n")
    assert not (config.parent / "ledger.db").exists()


def test_without_any_plans_that_is_said(tmp_path: Path) -> None:
    found = command("account", "set", "ann", "--plan", "pro", "-c", write_config(tmp_path, general=""))
    assert found.stderr.endswith("no plan is called 'pro': the configuration has no plans\n")


def test_a_user_has_a_name(config: Path) -> None:
    assert command("account", "set", "", "--plan", "pro", "-c", config).exit_code == 2


def test_the_table_is_aligned_and_says_when_it_is_empty(config: Path) -> None:
    for user, plan in (("ann", "pro"), ("christopher", "free")):
        command("account", "set", user, "--plan", plan, "-c", config)
    command("revoke", "--user", "ann", "--issued-before", "2026-01-02T03:04:05Z", "-c", config)
    assert command("account", "list", "-c", config).stdout == (
        "user         plan  revoked_until\nann          pro   2026-01-02T03:04:05.000Z\nchristopher  free  -\n"
    )
    assert command("account", "show", "christopher", "-c", config).stdout == (
        "user         plan  revoked_until\nchristopher  free  -\n"
    )


def test_a_ledger_without_accounts_says_so(config: Path) -> None:
    command("revoke", "--jti", "t1", "-c", config)
    assert command("account", "list", "-c", config).stdout == "there are no accounts\n"
    assert printed(config, "list") == []


def test_a_user_without_account_is_told_what_holds(config: Path) -> None:
    command("account", "set", "ann", "--plan", "pro", "-c", config)
    found = command("account", "show", "bob", "-c", config)
    assert (found.exit_code, found.stdout) == (1, "")
    assert found.stderr == (
        "gatewayd: bob has no account: the plan that the token claims holds, else the default one\n"
    )


def test_a_plan_that_is_no_more_is_warned_of(config: Path) -> None:
    command("account", "set", "ann", "--plan", "pro", "-c", config)
    config.write_text(config.read_text().replace("[plans.pro]", "[plans.business]"))
    found = command("account", "list", "-c", config)
    assert (found.exit_code, found.stderr) == (0, "warning: no plan is called pro, so calls of its users meet 402\n")


@pytest.mark.parametrize("words", [["list"], ["show", "ann"]])
def test_without_a_ledger_the_way_to_one_is_told(config: Path, words: list[str]) -> None:
    found = command("account", *words, "-c", config)
    assert (found.exit_code, found.stdout) == (1, "")
    assert "does not exist" in found.stderr


def test_a_file_that_is_no_ledger_is_refused_and_kept(config: Path) -> None:
    other = config.parent / "ledger.db"
    with sqlite3.connect(other) as connection:
        connection.execute("CREATE TABLE mine (x)")
    connection.close()
    before = other.read_bytes()
    found = command("account", "set", "ann", "--plan", "pro", "-c", config)
    assert (found.exit_code, found.stdout) == (1, "")
    assert "belongs to another program" in found.stderr
    assert other.read_bytes() == before


def test_a_row_is_each_user_who_has_a_plan_or_was_revoked() -> None:
    revocations = Revocation("user", "eve", 0.0), Revocation("token", "t1", 0.0), Revocation("all", "", 0.0)
    assert account_rows(Directory(1, {"ann": "pro"}, revocations)) == [
        row("ann", "pro"),
        row("eve", None, "1970-01-01T00:00:00.000Z"),
    ]
