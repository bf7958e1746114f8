"""The whole ring, from a caller's socket to an agent's and back."""

import json
from pathlib import Path

import aiohttp

from tests.agents import answering, raw_agent
from tests.gateways import running_gateway


async def test_a_call_reaches_its_agent_and_is_logged_and_charged(tmp_path: Path) -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Type: application/json\r\n\r\n{}"
    async with raw_agent(answering(answer)) as agent, running_gateway(tmp_path, agent.url) as gateway:
        async with aiohttp.ClientSession(headers=gateway.bearer()) as session:
            async with session.post(gateway.url + "/api/email/process?a=1", data=b"hello") as response:
                body = await response.read()
            async with session.get(gateway.url + "/gateway/v1/usage") as response2:
                usage = json.loads(await response2.read())
        request_id = response.headers["X-Request-ID"]
        record = await gateway.record_of(request_id)
        lines = await gateway.log_lines(2)
    assert (response.status, body) == (200, b"{}")
    assert agent.received[0].startswith(b"POST /api/email/process?a=1 HTTP/1.1\r\n")
    assert agent.received[0].endswith(b"\r\n\r\nhello")
    assert (record["outcome"], record["quantity"], record["bytes_in"], record["bytes_out"]) == ("delivered", 1, 5, 2)
    assert usage["units"][0]["spent"] == 1
    assert lines[0]["request_id"] == request_id
    assert lines[0]["status"] == 200
