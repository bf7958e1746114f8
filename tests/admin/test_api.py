"""The same for programs."""

import csv
import io
import json
from pathlib import Path

import aiohttp
import pytest

from tests.agents import answering, raw_agent
from tests.daemons import command
from tests.gateways import running_gateway
from tests.problems import ask

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
LIMITED = "[plans.free]\ndefault = true\nquota = { api_calls = 10 }\n"
FORMULA = "=HYPERLINK(1)"


async def test_status_is_what_the_command_says(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, "http://127.0.0.1:9") as gateway, aiohttp.ClientSession() as session:
        document = (await ask(session, gateway.admin_url + "/api/status")).json
    assert (document["state"], document["admin"]) == ("serving", gateway.admin_url)
    assert document["listening"] == [gateway.url]
    assert set(document) >= {"pid", "version", "uptime_seconds", "in_flight", "generation", "routes", "ledger"}


async def test_usage_is_the_same_as_json_and_as_csv(tmp_path: Path) -> None:
    async with (
        raw_agent(answering(OK)) as agent,
        running_gateway(tmp_path, agent.url, general=LIMITED) as gateway,
        aiohttp.ClientSession() as session,
    ):
        for user in ("ann", "ann", FORMULA):
            await ask(session, gateway.url + "/api/email/x", gateway.bearer(user))
        await gateway.settled()
        month = (await ask(session, gateway.admin_url + "/api/usage")).json
        one = (await ask(session, gateway.admin_url + "/api/usage?of=ann")).json
        tables = {}
        for by in ("user", "agent", "day", "user-day"):
            answer = await ask(
                session, f"{gateway.admin_url}/usage.csv?by={by}&user={'ann' if by == 'user-day' else ''}"
            )
            assert answer.headers["Content-Disposition"].endswith(f'-by-{by}.csv"')
            tables[by] = list(csv.DictReader(io.StringIO(answer.body.decode(), newline="")))
        said = command("usage", "--format", "json", "-c", write(tmp_path))
    assert [(each["user"], each["spent"], each["limit"], each["share"]) for each in month["users"]] == [
        ("ann", 2, 10, 0.2),
        (FORMULA, 1, 10, 0.1),
    ]
    assert [(each["agent"], each["quantity"]) for each in month["agents"]] == [("email", 3)]
    assert sum(each["quantity"] for each in one["days"]) == 2
    assert [(row["user"], row["spent"]) for row in tables["user"]] == [("ann", "2"), ("'" + FORMULA, "1")]
    assert [(row["agent"], row["calls"], row["quantity"]) for row in tables["agent"]] == [("email", "3", "3")]
    assert sum(int(row["quantity"]) for row in tables["day"]) == 3
    assert sum(int(row["quantity"]) for row in tables["user-day"]) == 2
    spent = {each["user"]: each["spent"] for each in json.loads(said.stdout)}
    assert spent == {each["user"]: each["spent"] for each in month["users"]}


def write(directory: Path) -> Path:
    """A configuration for commands that read the ledger of the running gateway."""
    config = directory / "gatewayd.toml"
    config.write_text(f'[server]\nstate_dir = "{directory}"\n[ledger]\nurl = "sqlite:{directory}/ledger.db"\n{LIMITED}')
    return config


@pytest.mark.parametrize("path", ["/api/usage", "/api/usage?of=ann", "/usage.csv"])
async def test_a_ledger_that_cannot_be_read_is_503_with_the_reason(tmp_path: Path, path: str) -> None:
    async with running_gateway(tmp_path, "http://127.0.0.1:9") as gateway, aiohttp.ClientSession() as session:
        (tmp_path / "ledger.db").rename(tmp_path / "elsewhere.db")
        answer = await ask(session, gateway.admin_url + path)
        (tmp_path / "elsewhere.db").rename(tmp_path / "ledger.db")
    assert answer.status == 503
    assert b"does not exist: start the daemon once" in answer.body


async def test_a_table_that_there_is_not_is_named(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, "http://127.0.0.1:9") as gateway, aiohttp.ClientSession() as session:
        answer = await ask(session, gateway.admin_url + "/usage.csv?by=planet")
        unknown = await ask(session, gateway.admin_url + "/api/requests/unknown")
    assert (answer.status, answer.body) == (400, b"by is one of user, agent, day, user-day")
    assert unknown.status == 404


async def test_the_overview_has_users_near_their_limits(tmp_path: Path) -> None:
    async with (
        raw_agent(answering(OK)) as agent,
        running_gateway(tmp_path, agent.url, general=LIMITED) as gateway,
        aiohttp.ClientSession() as session,
    ):
        for _ in range(9):
            await ask(session, gateway.url + "/api/email/x", gateway.bearer())
        await gateway.settled()
        async with aiohttp.ClientSession() as other:
            while not (found := (await ask(other, gateway.admin_url + "/api/overview")).json["nearest"])["users"]:
                assert not found["fault"]
    [ann] = found["users"]
    assert (ann["user"], ann["plan"], ann["unit"], ann["spent"], ann["limit"], ann["share"]) == (
        "ann",
        "free",
        "api_calls",
        9,
        10,
        0.9,
    )
