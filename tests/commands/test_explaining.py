"""explain: what would become of a request, without sending it."""

import asyncio
import json
from pathlib import Path

import pytest

from gatewayd.clock import SystemClock
from tests.agents import answering, raw_agent
from tests.commands.books import fill
from tests.daemons import command, daemon_here, write_config
from tests.stores.ledgers import hold

ROUTES = """
[plans.free]
default = true
quota = { api_calls = 10, pages = 0 }
[plans.pro]
quota = { api_calls = 1000 }
rate_limit = ["600/minute"]
[routes.open]
prefix = "/open"
upstream = "http://127.0.0.1:8082"
public = true
[routes.pages]
prefix = "/pages"
upstream = ["http://127.0.0.1:8083/a", "http://127.0.0.1:8084/b"]
methods = ["GET"]
roles = ["editor", "admin"]
usage = { unit = "pages", cost = 2 }
rate_limit = ["5/second burst 1"]
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return write_config(tmp_path, "http://127.0.0.1:8081/api/email", general=ROUTES)


async def used(config: Path, units: int, **accounts: str) -> None:
    """Let ann have used so many api_calls this month."""
    await fill(config, [hold("r1", user="ann", units=units, at=SystemClock().utc())] if units else [], accounts)


def token(config: Path, *more: str) -> str:
    return command("token", "-c", config, "--user", "ann", *more).stdout.strip()


def explained(config: Path, *words: str) -> tuple[int, dict[str, str]]:
    """The exit code and the findings by name."""
    found = command("explain", "-c", config, *words)
    lines = [line.partition(": ") for line in found.stdout.splitlines()]
    return found.exit_code, {name: rest for name, _, rest in lines}


def test_a_call_that_would_pass_is_told_with_every_reason(config: Path) -> None:
    code, said = explained(config, "post", "/api/email/process%20all?a=1&b", "--token", token(config))
    assert (code, list(said)) == (0, ["route", "rate_limit", "quota", "auth", "router", "upstream"])
    assert said["route"] == "email (/api/email)"
    assert said["rate_limit"].startswith("pass: counted by user: user-minute 60/minute burst 60, user-hour ")
    assert said["quota"] == "pass: holds 1 api_calls on plan free: 0 of 10 are used"
    assert said["auth"] == "pass: the token proves ann"
    assert said["router"] == "pass: POST is allowed"
    assert said["upstream"] == "http://127.0.0.1:8081/api/email/process%20all?a=1&b"


EDITOR = ("--role", "editor")


@pytest.mark.parametrize(
    ("words", "claims", "code", "expected"),
    [
        pytest.param(
            ["GET", "/api/email/x"],
            None,
            1,
            {
                "rate_limit": "pass: counted by client address",
                "quota": "pass: nothing is held",
                "auth": "401 token_missing",
            },
            id="no token",
        ),
        pytest.param(
            ["GET", "/api/email/x", "--token", "a.b.c"], None, 1, {"auth": "401 token_invalid"}, id="bad token"
        ),
        pytest.param(["GET", "/pages"], (), 1, {"auth": "403 role_denied: one of these roles"}, id="no role"),
        pytest.param(
            ["GET", "/pages/1"],
            EDITOR,
            0,
            {
                "rate_limit": "pass: counted by user: user-minute 60/minute burst 60, user-hour 1000/hour burst 1000, "
                "route-second 5/second burst 1",
                "quota": "pass: holds 2 pages on plan free: not limited, recorded",
                "upstream": "http://127.0.0.1:8083/a/1, http://127.0.0.1:8084/b/1",
            },
            id="a role, a route's own limit, a unit without limit",
        ),
        pytest.param(
            ["DELETE", "/pages/1"], EDITOR, 1, {"router": "405 method_not_allowed: allowed are GET"}, id="method"
        ),
        pytest.param(
            ["GET", "/api/email/x"],
            ("--plan", "pro"),
            0,
            {
                "rate_limit": "pass: counted by user: user-minute 600/minute",
                "quota": "pass: holds 1 api_calls on plan pro",
            },
            id="another plan",
        ),
        pytest.param(
            ["GET", "/api/email/x"], ("--plan", "gold"), 1, {"quota": "402 quota_exhausted"}, id="no such plan"
        ),
        pytest.param(["GET", "/open/x"], None, 0, {"auth": "pass: the route is public"}, id="public"),
        pytest.param(["GET", "/nowhere"], (), 1, {"route": "none", "router": "404 route_unknown"}, id="no route"),
        pytest.param(
            ["GET", "/health"],
            None,
            0,
            {"route": "/health (the gateway's own)", "rate_limit": "pass: the gateway's own endpoints do not count"},
            id="own endpoint",
        ),
        pytest.param(["GET", "/gateway/v1/usage"], None, 1, {"auth": "401 token_missing"}, id="own, with a token"),
    ],
)
def test_each_policy_says_what_it_would_do(
    config: Path, words: list[str], claims: tuple[str, ...] | None, code: int, expected: dict[str, str]
) -> None:
    found, said = explained(config, *words, *(() if claims is None else ("--token", token(config, *claims))))
    assert found == code
    for name, finding in expected.items():
        assert said[name].startswith(finding), said
    assert ("upstream" in said) is (said["route"].split()[0] in ("email", "open", "pages"))


@pytest.mark.parametrize("path", ["/api/email/../x", "/api/email/%2e%2e/rag", "no-slash", "/api/%zz", "/api/email/ä"])
def test_what_is_never_forwarded_is_refused_by_admission(config: Path, path: str) -> None:
    code, said = explained(config, "GET", path)
    assert (code, said["route"]) == (1, "none")
    assert said["admission"].startswith("400 bad_request: The ")


@pytest.mark.parametrize(
    ("units", "account", "code", "quota"),
    [
        (9, None, 0, "pass: holds 1 api_calls on plan free: 9 of 10 are used"),
        (10, None, 1, "402 quota_exhausted: holds 1 api_calls on plan free: 10 of 10 are used"),
        (10, "pro", 0, "pass: holds 1 api_calls on plan pro: 10 of 1000 are used"),
    ],
)
def test_the_ledger_is_asked_how_the_caller_stands(
    config: Path, units: int, account: str | None, code: int, quota: str
) -> None:
    asyncio.run(used(config, units, **({"ann": account} if account else {})))
    assert explained(config, "GET", "/api/email/x", "--token", token(config))[1]["quota"] == quota
    assert explained(config, "GET", "/api/email/x", "--token", token(config))[0] == code


def test_a_token_that_was_revoked_would_be_refused(config: Path) -> None:
    words = ("GET", "/api/email/x", "--token", token(config))
    assert command("revoke", "--user", "bob", "-c", config).exit_code == 0
    assert explained(config, *words)[0] == 0
    assert command("revoke", "--user", "ann", "-c", config).exit_code == 0
    code, said = explained(config, *words)
    assert (code, said["auth"][:17]) == (1, "401 token_invalid")
    assert "revoked" in said["auth"]


def test_without_a_ledger_yet_nothing_is_used_and_that_is_said(config: Path) -> None:
    found = command("explain", "-c", config, "GET", "/api/email/x", "--token", token(config))
    assert found.exit_code == 0
    assert found.stderr == (
        f"note: taken as unused: ledger {config.parent}/ledger.db does not exist: "
        "start the daemon once, or correct ledger.url\n"
    )
    assert [path.name for path in config.parent.iterdir()] == ["gatewayd.toml"]


async def test_nothing_is_sent_held_or_recorded(tmp_path: Path) -> None:
    async with raw_agent(answering(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")) as agent:
        config = write_config(tmp_path, agent.url, general=ROUTES)
        async with daemon_here(config):
            words = ("GET", "/api/email/x", "--token", token(config))
            code, said = await asyncio.to_thread(explained, config, *words)
            assert (code, said["upstream"]) == (0, f"{agent.url}/x")
            assert (await asyncio.to_thread(explained, config, *words))[1]["quota"].endswith("0 of 10 are used")
            assert agent.received == []
        assert (tmp_path / "access.log").read_text() == ""


@pytest.mark.parametrize(
    ("words", "claims", "code", "expected"),
    [
        pytest.param(
            ["GET", "/api/email/x?a=1"], (), 0, ("email", ["http://127.0.0.1:8081/api/email/x?a=1"]), id="passes"
        ),
        pytest.param(["GET", "/api/email/x"], None, 1, ("email", ["http://127.0.0.1:8081/api/email/x"]), id="refused"),
        pytest.param(["GET", "/health"], None, 0, ("/health", []), id="own"),
        pytest.param(["GET", "/nowhere"], (), 1, (None, []), id="no route"),
        pytest.param(["GET", "/api/email/../x"], None, 1, (None, []), id="never forwarded"),
    ],
)
def test_the_same_is_told_to_programs(
    config: Path, words: list[str], claims: tuple[str, ...] | None, code: int, expected: tuple[str | None, list[str]]
) -> None:
    more = () if claims is None else ("--token", token(config, *claims))
    plain = command("explain", "-c", config, *words, *more)
    found = command("explain", "-c", config, "--json", *words, *more)
    document = json.loads(found.stdout)
    assert (found.exit_code, plain.exit_code, document["passes"]) == (code, code, code == 0)
    assert (document["route"], document["upstream"]) == expected
    for each in document["decisions"]:
        assert f"{each['by']}: {each['decision']}: {each['reason']}\n" in plain.stdout
