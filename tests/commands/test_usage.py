"""usage: who spent what, with the daemon up or down."""

import asyncio
import csv
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gatewayd.clock import SystemClock
from gatewayd.model import BillingPeriod
from tests.agents import raw_agent
from tests.commands.books import fill
from tests.daemons import Stream, command, daemon_here, write_config
from tests.patience import PATIENCE
from tests.stores.ledgers import NOVEMBER, hold

PLANS = """
[plans.free]
default = true
quota = { api_calls = 10, pages = 0 }
[plans.pro]
quota = { api_calls = 1000 }
"""
NOW = SystemClock().utc()
THIS = BillingPeriod.at(NOW)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return write_config(tmp_path, general=PLANS)


@pytest.fixture
def ledger(config: Path) -> Path:
    """ann spent 3 of 10 calls this month and 2 pages, 5 of 7 calls in November 2025; bob one call on pro; eve holds."""
    asyncio.run(fill(config, SPENT, {"ann": "free"}))
    return config


SPENT = [
    hold("r1", user="ann", units=5, limit=7, at=NOVEMBER),
    hold("r2", user="ann", units=3, limit=10, at=NOW),
    hold("r3", user="ann", unit="pages", units=2, limit=0, at=NOW),
    replace(hold("r4", user="bob", units=1, limit=1000, at=NOW), plan="pro"),
]


def row(
    user: str, unit: str, spent: int, limit: int | None, plan: str | None = "free", **more: object
) -> dict[str, object]:
    left = None if limit is None else limit - spent
    whole = {"user": user, "plan": plan, "unit": unit, "period": THIS.name, "limit": limit, "held": 0, "spent": spent}
    return whole | {"remaining": left, "resets_at": THIS.resets_at} | more


NOVEMBERS = row("ann", "api_calls", 5, 7, period="2025-11", resets_at="2025-12-01T00:00:00Z")


def printed(config: Path, *options: str) -> list[dict[str, Any]]:
    found = command("usage", "-c", config, "--format", "json", *options)
    assert (found.exit_code, found.stderr) == (0, "")
    rows: list[dict[str, Any]] = json.loads(found.stdout)
    return rows


@pytest.mark.parametrize(
    ("options", "rows"),
    [
        pytest.param(
            [],
            [
                row("ann", "api_calls", 3, 10),
                row("ann", "pages", 2, None),
                row("bob", "api_calls", 1, 1000, "pro"),
            ],
            id="everybody, this month",
        ),
        pytest.param(["--user", "bob"], [row("bob", "api_calls", 1, 1000, "pro")], id="one user"),
        pytest.param(["--user", "nobody"], [], id="a user who used nothing"),
        pytest.param(["--period", "2025-11"], [NOVEMBERS], id="another month"),
        pytest.param(["--period", "2031-01"], [], id="a month to come"),
        pytest.param(
            ["--period", "all", "--user", "ann"],
            [NOVEMBERS, row("ann", "api_calls", 3, 10), row("ann", "pages", 2, None)],
            id="every month",
        ),
    ],
)
def test_json_is_a_list_of_what_the_contract_says(
    ledger: Path, options: list[str], rows: list[dict[str, object]]
) -> None:
    assert printed(ledger, *options) == rows


def test_csv_has_the_same_columns(ledger: Path) -> None:
    found = command("usage", "-c", ledger, "--format", "csv")
    reader = csv.DictReader(io.StringIO(found.stdout))
    as_text = [{key: "" if value is None else str(value) for key, value in row.items()} for row in printed(ledger)]
    assert list(reader) == as_text
    assert reader.fieldnames == list(row("a", "b", 0, 0))


def test_the_table_is_aligned_and_says_when_it_is_empty(ledger: Path) -> None:
    lines = command("usage", "-c", ledger).stdout.splitlines()
    assert [line.split()[:2] for line in lines] == [["user", "plan"], ["ann", "free"], ["ann", "free"], ["bob", "pro"]]
    assert (
        len({line.index(word) for line, word in zip(lines, ["unit", "api_calls", "pages", "api_calls"], strict=True)})
        == 1
    )
    assert lines[2].split()[4] == "-"
    assert command("usage", "-c", ledger, "--user", "nobody").stdout == "nothing was used\n"


def test_the_limit_is_the_plans_present_one(ledger: Path) -> None:
    ledger.write_text(ledger.read_text().replace("api_calls = 10,", "api_calls = 2,"))
    assert printed(ledger, "--user", "ann", "--period", "all") == [
        NOVEMBERS,
        row("ann", "api_calls", 3, 2, remaining=0),
        row("ann", "pages", 2, None),
    ]


def test_a_plan_that_is_no_more_leaves_the_limit_that_was(ledger: Path) -> None:
    ledger.write_text(ledger.read_text().replace("[plans.pro]", "[plans.business]"))
    assert printed(ledger, "--user", "bob") == [row("bob", "api_calls", 1, 1000, "pro")]


@pytest.mark.parametrize(
    "period", ["", "2026", "2026-13", "2026-00", "2026-1", "26-01", "now", "9999-12", "0000-01", "ALL"]
)
def test_what_is_no_month_is_a_usage_error(ledger: Path, period: str) -> None:
    found = command("usage", "-c", ledger, "--period", period)
    assert (found.exit_code, found.stdout) == (2, "")
    assert "is not a month; write 2026-11 or all" in found.stderr


def test_without_a_ledger_the_way_to_one_is_told(config: Path) -> None:
    found = command("usage", "-c", config)
    assert (found.exit_code, found.stdout) == (1, "")
    assert found.stderr == (
        f"gatewayd: ledger {config.parent}/ledger.db does not exist: start the daemon once, or correct ledger.url\n"
    )


async def shows(config: Path, row: dict[str, object]) -> None:
    """Wait until the ledger has what the daemon knows (contract, section 7)."""
    async with asyncio.timeout(PATIENCE):
        while await asyncio.to_thread(printed, config) != [row]:
            await asyncio.sleep(0.02)


async def test_a_running_daemons_ledger_shows_what_is_held(tmp_path: Path) -> None:
    stream = Stream()
    async with raw_agent(stream.script) as agent:
        config = write_config(tmp_path, agent.url, general=PLANS)
        async with daemon_here(config) as daemon:
            token = command("token", "-c", config, "--user", "ann").stdout.strip()
            reader, writer = await asyncio.open_connection("127.0.0.1", int(daemon.urls[0].rpartition(":")[2]))
            writer.write(f"GET /api/email/x HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\n\r\n".encode())
            await reader.readuntil(b"first")
            await shows(config, row("ann", "api_calls", 0, 10, None, held=1, remaining=9))
            stream.go_on.set()
            await reader.readuntil(b"last")
            await reader.readuntil(b"0\r\n\r\n")
            await shows(config, row("ann", "api_calls", 1, 10))
            writer.close()
        assert printed(config) == [row("ann", "api_calls", 1, 10)]
