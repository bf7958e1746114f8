"""The operators' listener: who may look, and what is shown."""

from pathlib import Path
from typing import Any

import aiohttp
import pytest

from gatewayd.admin.views import RouteRow, verdict
from tests.agents import answering, raw_agent
from tests.gateways import running_gateway
from tests.problems import ask

BROKEN = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n"
TOKEN = "a-token-for-operators-only"


def serving(**more: Any) -> dict[str, Any]:
    return {"state": "serving", "in_flight": 0, **more}


async def test_page_json_and_metrics_say_the_same(tmp_path: Path) -> None:
    async with (
        raw_agent(answering(BROKEN)) as agent,
        running_gateway(tmp_path, agent.url) as gateway,
        aiohttp.ClientSession() as session,
    ):
        for headers in (gateway.bearer(), {}):
            await ask(session, gateway.url + "/api/email/x", headers)
        document = (await ask(session, gateway.admin_url + "/api/status")).json
        page = (await ask(session, gateway.admin_url + "/")).body.decode()
    assert document["state"] == "serving"
    assert document["requests"] == [{"route": "email", "total": 2, "refused": 1, "failed": 1}]
    assert "email has failed most, 1 of its 2 requests" in page
    assert "<td>email</td><td>2</td><td>1</td><td>1</td>" in page


async def test_a_page_runs_nothing_and_is_framed_by_nobody(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, "http://127.0.0.1:9") as gateway, aiohttp.ClientSession() as session:
        answer = await ask(session, gateway.admin_url + "/")
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert b"<script" not in answer.body
    assert answer.headers["Server"] == "gatewayd"
    assert b"No request has ended yet." in answer.body


@pytest.mark.parametrize(
    ("authorization", "status"),
    [
        pytest.param(None, 401, id="no token"),
        pytest.param("Bearer something-else", 401, id="another token"),
        pytest.param("Basic YTpi", 401, id="another scheme"),
        pytest.param("Bearer " + TOKEN, 200, id="the token"),
    ],
)
@pytest.mark.parametrize("path", ["/", "/metrics", "/api/status"])
async def test_a_configured_token_is_asked_for_everywhere(
    tmp_path: Path, authorization: str | None, status: int, path: str
) -> None:
    admin = 'token = { env = "ADMIN" }\n'
    environ = {"ADMIN": TOKEN}
    async with running_gateway(tmp_path, "http://127.0.0.1:9", admin=admin, environ=environ) as gateway:
        headers = {"Authorization": authorization} if authorization else {}
        async with aiohttp.ClientSession(headers=headers) as session, session.get(gateway.admin_url + path) as response:
            body = await response.text()
    assert response.status == status
    assert environ["ADMIN"] not in body


@pytest.mark.parametrize(
    ("status", "rows", "expected"),
    [
        pytest.param(serving(), [], "Serving; no request has failed.", id="quiet"),
        pytest.param(serving(), [RouteRow("rag", 9, 1, 0)], "Serving; no request has failed.", id="refusals only"),
        pytest.param(
            serving(),
            [RouteRow("rag", 9, 0, 2), RouteRow("email", 4, 0, 3)],
            "Serving; email has failed most, 3 of its 4 requests.",
            id="failures",
        ),
        pytest.param(
            serving(state="draining", in_flight=2),
            [],
            "The gateway is draining: 2 requests are still in flight.",
            id="draining",
        ),
    ],
)
def test_the_verdict_is_one_sentence(status: dict[str, Any], rows: list[RouteRow], expected: str) -> None:
    assert verdict(status, rows) == expected
