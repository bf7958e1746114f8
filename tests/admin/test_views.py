"""The operators' listener: who may look."""

from pathlib import Path

import aiohttp
import pytest

from tests.gateways import running_gateway
from tests.problems import ask

TOKEN = "a-token-for-operators-only"
PATHS = ("/", "/live", "/usage", "/usage/user", "/usage.csv", "/metrics", "/requests/x", "/static/page.css")
APIS = ("/api/status", "/api/overview", "/api/usage", "/api/requests/x")


async def test_a_page_runs_nothing_of_its_own_and_is_framed_by_nobody(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, "http://127.0.0.1:9") as gateway, aiohttp.ClientSession() as session:
        for path in ("/", "/usage", "/usage/user", "/requests/x", "/nothing", "/static/page.js"):
            answer = await ask(session, gateway.admin_url + path)
            policy = answer.headers["Content-Security-Policy"]
            assert policy.startswith("default-src 'none'")
            assert "unsafe" not in policy
            assert "frame-ancestors 'none'" in policy
            assert answer.headers["Server"] == "gatewayd"
            assert b"<script>" not in answer.body
            assert b"<style" not in answer.body
            assert b" style=" not in answer.body


@pytest.mark.parametrize(
    ("authorization", "allowed"),
    [
        pytest.param(None, False, id="no token"),
        pytest.param("Bearer something-else", False, id="another token"),
        pytest.param("Basic YTpi", False, id="another scheme"),
        pytest.param("Bearer " + TOKEN, True, id="the token"),
    ],
)
async def test_a_configured_token_is_asked_for_everywhere(
    tmp_path: Path, authorization: str | None, allowed: bool
) -> None:
    admin = 'token = { env = "ADMIN" }\n'
    environ = {"ADMIN": TOKEN}
    headers = {"Authorization": authorization} if authorization else {}
    async with (
        running_gateway(tmp_path, "http://127.0.0.1:9", admin=admin, environ=environ) as gateway,
        aiohttp.ClientSession(headers=headers) as session,
    ):
        for path in (*PATHS, *APIS):
            async with session.get(gateway.admin_url + path) as response:
                body = await response.content.readany()
            assert (response.status == 401) is not allowed, path
            assert TOKEN.encode() not in body


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
async def test_nothing_can_be_changed(tmp_path: Path, method: str) -> None:
    async with running_gateway(tmp_path, "http://127.0.0.1:9") as gateway, aiohttp.ClientSession() as session:
        for path in (*PATHS, *APIS):
            assert (await ask(session, gateway.admin_url + path, method=method)).status == 405, path
