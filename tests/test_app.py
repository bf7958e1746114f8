"""The whole ring, from a caller's socket to an agent's and back."""

import asyncio
import dataclasses
import json
from pathlib import Path
from typing import Any

import aiohttp
import jwt
import pytest

from gatewayd.app import make_app
from gatewayd.drain import DRAIN, Drain
from gatewayd.policies import POLICIES
from gatewayd.policies.access_log import REPORTERS
from tests.agents import answering, raw_agent, talk
from tests.clocks import ManualClock
from tests.gateways import SECRET, RunningGateway, running_gateway
from tests.policies.rings import EMAIL, Ring, until
from tests.problems import Answered, ask
from tests.standins import AskedVerifier, current, swap

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Type: application/json\r\n\r\n{}"
PLANS = "[plans.free]\ndefault = true\nquota = { api_calls = 100 }\n"


def limits(users: str, addresses: str) -> str:
    return f'[rate_limit]\nlimits = ["{users}"]\nunauthenticated = ["{addresses}"]\n' + PLANS


def test_the_ring_is_in_the_order_of_the_design(clock: ManualClock) -> None:
    names = ["access_log", "faults", "admission", "rate_limit", "quota", "auth"]
    assert [policy.name for policy in POLICIES] == names
    ring = Ring(EMAIL, clock)
    app = make_app(ring.generations, ring.drain, [ring.reported.append])
    assert list(app.middlewares)[1:] == [policy.middleware for policy in POLICIES]
    assert app[DRAIN] is ring.drain
    assert app[REPORTERS] == (ring.reported.append,)
    assert isinstance(app[DRAIN], Drain)


async def test_a_call_reaches_its_agent_and_is_logged_and_charged(tmp_path: Path) -> None:
    async with raw_agent(answering(OK)) as agent, running_gateway(tmp_path, agent.url) as gateway:
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


def expired() -> str:
    return jwt.encode({"sub": "ann", "exp": 1_000_000_000}, SECRET, "HS256")


INVALID = 'Bearer realm="gatewayd", error="invalid_token"'


@pytest.mark.parametrize(
    ("request_line", "token", "status", "code", "headers"),
    [
        pytest.param(
            "GET /api/email/a/../b", "good", 400, "bad_request", {"Connection": "close"}, id="400, dot segments"
        ),
        pytest.param("GET /api/email/%zz", "good", 400, "bad_request", {"Connection": "close"}, id="400, an escape"),
        pytest.param(
            "GET /api/email/x", None, 401, "token_missing", {"WWW-Authenticate": 'Bearer realm="gatewayd"'}, id="401"
        ),
        pytest.param("GET /api/email/x", "a.b.c", 401, "token_invalid", {"WWW-Authenticate": INVALID}, id="401, bad"),
        pytest.param(
            "GET /api/email/x", expired(), 401, "token_expired", {"WWW-Authenticate": INVALID}, id="401, expired"
        ),
        pytest.param("GET /api/dear/x", "good", 402, "quota_exhausted", {"x-should-retry": "false"}, id="402"),
        pytest.param("GET /api/ops/x", "good", 403, "role_denied", {}, id="403"),
        pytest.param("GET /api/other", "good", 404, "route_unknown", {}, id="404"),
        pytest.param("GET /api/other", None, 401, "token_missing", {}, id="401 before 404"),
        pytest.param("PUT /api/email/x", "good", 405, "method_not_allowed", {"Allow": "GET, POST"}, id="405"),
        pytest.param("PUT /health", None, 405, "method_not_allowed", {"Allow": "GET, HEAD"}, id="405, our own"),
        pytest.param("POST /api/email/x", "body", 413, "body_too_large", {"Connection": "close"}, id="413"),
        pytest.param("GET /api/once/x", "good", 429, "rate_limited", {"Retry-After": "60"}, id="429"),
        pytest.param("GET /api/away/x", "good", 502, "upstream_connect", {}, id="502, no agent"),
        pytest.param("GET /api/cut/x", "good", 502, "upstream_reset", {}, id="502, the agent broke off"),
        pytest.param("GET /api/odd/x", "good", 502, "upstream_protocol", {}, id="502, not HTTP"),
        pytest.param("GET /api/slow/x", "good", 504, "upstream_timeout", {}, id="504"),
        pytest.param(
            "GET /api/email/%00quoted", "good", 400, "bad_request", {"Connection": "close"}, id="400, a zero byte"
        ),
    ],
)
async def test_every_refusal_is_a_problem_document_and_is_logged(
    tmp_path: Path, request_line: str, token: str | None, status: int, code: str, headers: dict[str, str]
) -> None:
    async with (
        raw_agent(answering(OK)) as agent,
        raw_agent(answering(b"nonsense\r\n\r\n")) as odd,
        raw_agent(nothing) as slow,
        raw_agent(closing) as cut,
    ):
        routes = "".join(
            [
                route("email", agent.url, 'methods = ["GET", "POST"]\nmax_body = "4B"'),
                route("ops", agent.url, 'roles = ["ops"]'),
                route("dear", agent.url, "usage = { cost = 101 }"),
                route("once", agent.url, 'rate_limit = ["1/minute"]'),
                route("away", "http://127.0.0.1:1"),
                route("cut", cut.url),
                route("odd", odd.url),
                route("slow", slow.url, 'timeouts = { first_byte = "50ms" }'),
            ]
        )
        general = limits("100/minute", "100/minute")
        async with running_gateway(tmp_path, routes=routes, general=general) as gateway:
            sent = {"good": gateway.token(), "body": gateway.token(), None: ""}.get(token, token or "")
            before = "/once/" in request_line
            if before:
                await raw(gateway, request_line, sent)
            body = b"too much" if token == "body" else b""
            answered = await raw(gateway, request_line, sent, body)
            document = answered.problem(status, code, unsaid=sent or request_line.split()[1])
            line = (await gateway.log_lines(1 + before))[-1]
    assert document["agent"] == (routed(request_line) if status != 400 else None)
    assert {name: answered.headers.get(name) for name in headers} == headers
    assert (line["status"], line["code"], line["request_id"]) == (status, code, document["request_id"])


def routed(request_line: str) -> str | None:
    """The route of /api/NAME/x; paths with nothing after the name are none of ours here."""
    parts = request_line.split("/")
    return parts[2] if len(parts) > 3 else None


def route(name: str, upstream: str, more: str = "") -> str:
    return f'[routes.{name}]\nprefix = "/api/{name}"\nupstream = "{upstream}"\n{more}\n'


async def nothing(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    await reader.read()


async def closing(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")


async def raw(gateway: RunningGateway, request_line: str, token: str, body: bytes = b"") -> Answered:
    """One request as it stands, and the answer with its header section taken apart."""
    fields = [f"{request_line} HTTP/1.1", "Host: h", "Connection: close", f"Content-Length: {len(body)}"]
    fields += [f"Authorization: Bearer {token}"] if token else []
    return parsed(await talk(gateway.port, "\r\n".join([*fields, "", ""]).encode() + body))


def parsed(answer: bytes) -> Answered:
    head, _, body = answer.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    fields = {name: value for name, _, value in (line.partition(": ") for line in lines)}
    return Answered(int(first.split()[1]), fields, body)


async def test_a_fault_of_ours_is_500_and_says_nothing_of_it(tmp_path: Path) -> None:
    class Broken:
        async def verify(self, token: str) -> Any:
            raise RuntimeError(f"cannot verify {token}")

    async with raw_agent(answering(OK)) as agent, running_gateway(tmp_path, agent.url) as gateway:
        swap(gateway, verifier=Broken())
        answered = await raw(gateway, "GET /api/email/x", "secret.of.mine")
        line = (await gateway.log_lines(1))[0]
    answered.problem(500, "internal_error", unsaid="secret.of.mine")
    assert (line["status"], line["code"]) == (500, "internal_error")


# Who is calling


async def test_a_token_is_verified_once_a_request(tmp_path: Path) -> None:
    async with raw_agent(answering(OK)) as agent, running_gateway(tmp_path, agent.url) as gateway:
        verifier = AskedVerifier(current(gateway).verifier)
        swap(gateway, verifier=verifier)
        async with aiohttp.ClientSession(gateway.url) as session:
            for _ in range(5):
                assert (await ask(session, "/api/email/x", gateway.bearer())).status == 200
            assert verifier.asked == 5
            assert (await ask(session, "/health", gateway.bearer())).status == 200
            assert verifier.asked == 5


async def test_a_flood_of_bad_tokens_meets_429_while_valid_users_pass(tmp_path: Path) -> None:
    async with (
        raw_agent(answering(OK)) as agent,
        running_gateway(tmp_path, agent.url, general=limits("50/minute", "5/minute")) as gateway,
        aiohttp.ClientSession(gateway.url) as session,
    ):
        bad = {"Authorization": "Bearer a.b.c"}
        flood = [(await ask(session, "/api/email/x", bad)).status for _ in range(20)]
        valid = [(await ask(session, "/api/email/x", gateway.bearer())).status for _ in range(20)]
        own = [(await ask(session, "/health")).status for _ in range(20)]
    assert flood == [401] * 5 + [429] * 15
    assert valid == [200] * 20
    assert own == [200] * 20


async def test_limits_are_told_on_success_stream_error_and_refusal(tmp_path: Path) -> None:
    stream = (
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n"
    )
    error = b'HTTP/1.1 500 No\r\nContent-Length: 0\r\nRateLimit: "theirs";r=9;t=9\r\n\r\n'
    answers = iter([OK, stream, error])

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(next(answers))

    clock = ManualClock(utc=1_764_000_000.0)
    async with raw_agent(script) as agent:
        general = limits("3/minute", "5/minute")
        async with running_gateway(tmp_path, agent.url, general=general, clock=clock) as gateway:
            token = jwt.encode({"sub": "ann", "exp": clock.utc() + 60}, SECRET, "HS256")
            answered = [await raw(gateway, "GET /api/email/x", token) for _ in range(4)]
            unproved = await raw(gateway, "GET /api/email/x", "a.b.c")
    assert [each.status for each in answered] == [200, 200, 500, 429]
    assert {each.headers["RateLimit-Policy"] for each in answered} == {'"user-minute";q=3;w=60'}
    assert [each.headers["RateLimit"] for each in answered] == [
        '"user-minute";r=2;t=20',
        '"user-minute";r=1;t=40',
        '"user-minute";r=0;t=60',
        '"user-minute";r=0;t=60',
    ]
    assert answered[3].headers["Retry-After"] == "20"
    assert unproved.headers["RateLimit"] == '"address-minute";r=4;t=12'


# The access log


async def test_a_broken_stream_is_logged_with_what_was_sent_of_it(tmp_path: Path) -> None:
    half = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n"

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(half)

    async with raw_agent(script) as agent, running_gateway(tmp_path, agent.url) as gateway:
        async with aiohttp.ClientSession(gateway.url) as session:
            with pytest.raises(aiohttp.ClientPayloadError):
                await ask(session, "/api/email/x", gateway.bearer())
        [line], [record] = await gateway.log_lines(1), await gateway.records_when(1)
    assert (line["status"], line["code"], line["outcome"]) == (200, "upstream_reset", "failed")
    assert (line["bytes_out"], line["quantity"]) == (4, 0)
    assert (record["status"], record["outcome"], record["bytes_out"]) == (200, "failed", 4)


async def test_a_malformed_request_is_answered_and_logged_like_any_other(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, "http://127.0.0.1:1") as gateway:
        answer = parsed(await talk(gateway.port, b"GET /secret-path BROKEN\r\nsecret\r\n\r\n"))
        [line] = await gateway.log_lines(1)
    document = answer.problem(400, "bad_request", unsaid="secret")
    assert answer.headers["Connection"] == "close"
    assert (line["status"], line["code"], line["path"]) == (400, "bad_request", None)
    assert (line["request_id"], line["client"]) == (document["request_id"], "127.0.0.1")


# The way out


async def test_while_draining_new_calls_are_refused_and_those_in_flight_finish(tmp_path: Path) -> None:
    asked, go_on = asyncio.Event(), asyncio.Event()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        asked.set()
        await go_on.wait()
        writer.write(OK)

    async with (
        raw_agent(script) as agent,
        running_gateway(tmp_path, agent.url) as gateway,
        aiohttp.ClientSession(gateway.url) as session,
    ):
        calling = asyncio.create_task(ask(session, "/api/email/x", gateway.bearer()))
        await until(asked)
        gateway.daemon._worker._drain.begin()
        refused = await ask(session, "/api/email/x", gateway.bearer())
        health = await ask(session, "/health")
        go_on.set()
        finished = await calling
        assert (await ask(session, "/ready")).status == 503
    refused.problem(503, "draining")
    assert int(refused.headers["Retry-After"]) >= 1
    assert refused.headers["Connection"] == "close"
    assert (health.status, finished.status) == (503, 200)


@pytest.mark.parametrize(
    ("sent", "status"),
    [pytest.param(b"", 503, id="before an answer"), pytest.param(OK[:-1], 200, id="in the middle of one")],
)
async def test_what_is_cut_at_the_drain_deadline_has_failed_by_our_doing(
    tmp_path: Path, sent: bytes, status: int
) -> None:
    asked = asyncio.Event()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(sent)
        asked.set()
        await reader.read()

    async with raw_agent(script) as agent, running_gateway(tmp_path, agent.url) as gateway:
        async with aiohttp.ClientSession(gateway.url) as session:
            calling = asyncio.create_task(ask(session, "/api/email/x", gateway.bearer(), method="POST"))
            await until(asked)
            while sent and not in_flight(gateway).status:
                await asyncio.sleep(0)
            gateway.daemon.stop()
            gateway.daemon.stop()
            if sent:
                with pytest.raises(aiohttp.ClientError):
                    await calling
            else:
                (await calling).problem(503, "draining")
            await gateway.task
        [line], [record] = await gateway.log_lines(1), await gateway.posted()
    assert (line["status"], line["code"], line["outcome"]) == (status, "draining", "failed")
    assert (record["status"], record["outcome"], record["quantity"]) == (status, "failed", 0)
    assert gateway.balances()[0]["held"] == 0


def in_flight(gateway: RunningGateway) -> Any:
    [exchange] = gateway.daemon._worker._drain.exchanges
    return exchange


async def test_a_swapped_generation_judges_the_next_request_on_the_same_connection(tmp_path: Path) -> None:
    async with raw_agent(answering(OK)) as agent, running_gateway(tmp_path, agent.url) as gateway:
        async with aiohttp.ClientSession(gateway.url) as session:
            assert (await ask(session, "/api/email/x", gateway.bearer())).status == 200
            plans = {"paid": dataclasses.replace(current(gateway).settings.plans["free"], name="paid", default=False)}
            settings = dataclasses.replace(current(gateway).settings, plans=plans)
            swap(gateway, number=2, settings=settings)
            assert (await ask(session, "/api/email/x", gateway.bearer())).status == 402
        lines = await gateway.log_lines(2)
    assert [line["generation"] for line in lines] == [1, 2]


async def test_agents_are_listed_with_their_methods(tmp_path: Path) -> None:
    routes = route("email", "http://127.0.0.1:1", 'methods = ["GET"]')
    async with running_gateway(tmp_path, routes=routes) as gateway, aiohttp.ClientSession(gateway.url) as session:
        answered = await ask(session, "/gateway/v1/agents", gateway.bearer())
    assert answered.json["agents"] == [
        {
            "name": "email",
            "prefix": "/api/email",
            "methods": ["GET"],
            "usage": {"unit": "api_calls", "cost": 1},
            "public": False,
        }
    ]
