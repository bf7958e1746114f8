"""token: what a running gateway accepts."""

import asyncio
from pathlib import Path

import jwt
import pytest

from tests.agents import answering, raw_agent, talk
from tests.daemons import command, daemon_here, write_config
from tests.patience import PATIENCE

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
PLANS = """
[plans.free]
default = true
quota = { api_calls = 0 }
[plans.none]
quota = { api_calls = 1 }
[rate_limit]
unauthenticated = ["100000/minute"]
"""


async def status_with(port: int, token: str) -> bytes:
    head = f"GET /api/email/x HTTP/1.1\r\nHost: a\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n\r\n"
    answer = await talk(port, head.encode())
    return answer.split(b" ")[1] + b" " + answer.partition(b'"code":"')[2].partition(b'"')[0]


async def test_a_token_is_accepted_with_its_user_plan_roles_and_end(tmp_path: Path) -> None:
    async with raw_agent(answering(OK)) as agent:
        config = write_config(tmp_path, agent.url, general=PLANS)
        config.write_text(config.read_text() + 'roles = ["editor"]\n')

        def token(*more: str) -> str:
            found = command("token", "-c", config, "--user", "ann", *more)
            assert (found.exit_code, found.stderr) == (0, "")
            return found.stdout.strip()

        async with daemon_here(config) as daemon:
            port = int(daemon.urls[0].rpartition(":")[2])
            editor = token("--role", "reader", "--role", "editor")
            assert await status_with(port, editor) == b"200 "
            assert await status_with(port, token("--role", "reader")) == b"403 role_denied"
            assert await status_with(port, token("--role", "editor", "--plan", "none")) == b"402 quota_exhausted"
            assert await status_with(port, editor[:-2]) == b"401 token_invalid"
            assert b"X-User-ID: ann\r\n" in agent.received[0]


async def test_a_token_lives_as_long_as_was_asked(tmp_path: Path) -> None:
    config = write_config(tmp_path)
    config.write_text(config.read_text().replace("[auth]", '[auth]\nleeway = "0s"'))
    async with daemon_here(config) as daemon:
        port = int(daemon.urls[0].rpartition(":")[2])
        token = command("token", "-c", config, "--user", "ann", "--ttl", "10ms").stdout.strip()
        async with asyncio.timeout(PATIENCE):
            while await status_with(port, token) != b"401 token_expired":
                await asyncio.sleep(0.05)


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        pytest.param([], 2, "Missing option '--user'", id="no user"),
        pytest.param(["--user", "a", "--ttl", "soon"], 2, "'soon' is not a duration (write", id="no duration"),
        pytest.param(["--user", ""], 1, "gatewayd: a user is 1 to", id="no name"),
        pytest.param(["--user", "a", "--ttl", "0s"], 1, "gatewayd: a token's time to live", id="no time"),
    ],
)
def test_what_cannot_be_signed_is_told(tmp_path: Path, options: list[str], code: int, words: str) -> None:
    found = command("token", "-c", write_config(tmp_path), *options)
    assert (found.exit_code, found.stdout) == (code, "")
    assert words in found.stderr
    assert "Traceback" not in found.stderr


def test_a_plan_that_nobody_knows_is_warned_about(tmp_path: Path) -> None:
    found = command("token", "-c", write_config(tmp_path), "--user", "a", "--plan", "gold")
    assert (found.exit_code, found.stdout.count(".")) == (0, 2)
    assert found.stderr == "warning: no plan is called gold, so every call will meet 402\n"


def test_a_service_token_names_its_run_and_the_agent_that_calls(tmp_path: Path) -> None:
    config = write_config(tmp_path)
    made = command("token", "-c", config, "--user", "ann", "--service", "planner", "--run", "run-1", "--scope", "a")
    claims = jwt.decode(made.stdout.strip(), options={"verify_signature": False})
    assert (claims["type"], claims["run_id"], claims["act"], claims["scope"]) == (
        "service",
        "run-1",
        {"sub": "planner"},
        "a",
    )
    explained = command("explain", "GET", "/api/email/x", "-c", config, "--token", made.stdout.strip())
    assert "auth: pass: the token proves ann, for whom planner calls in run run-1" in explained.stdout
    refused = command("token", "-c", config, "--user", "ann", "--service", "planner")
    assert (refused.exit_code, refused.stderr) == (1, "gatewayd: a service token belongs to a run\n")
