"""The mistakes of the earlier design (docs/design.md, section 5), each kept away by a test that is named for it."""

import asyncio
import gzip
import json
import operator
import re
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import aiohttp
import gatewayd_sdk
import jwt
import pytest
from pytest_aiohttp.plugin import AiohttpServer

from gatewayd.config.loading import parse
from gatewayd.demo.rag import create_app
from gatewayd.errors import ConfigError
from gatewayd.model import Rate, Window
from gatewayd.stores.shared.counters import SharedCounters
from gatewayd.stores.shared.memory import SharedMemory
from tests.agents import RawAgent, Script, answering, raw_agent
from tests.clocks import ManualClock
from tests.gateways import SECRET, RunningGateway, running_gateway
from tests.policies.rings import until
from tests.problems import ask
from tests.standins import BookLedger, swap_stores

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
ROOT = Path(__file__).parent.parent
LOOSE = '[rate_limit]\nlimits = ["100000/minute"]\nunauthenticated = ["100000/minute"]\n'


@asynccontextmanager
async def gateway_before(
    tmp_path: Path, script: Script, **options: Any
) -> AsyncIterator[tuple[RunningGateway, RawAgent, aiohttp.ClientSession]]:
    async with (
        raw_agent(script) as agent,
        running_gateway(tmp_path, agent.url, **options) as gateway,
        aiohttp.ClientSession(gateway.url, auto_decompress=False) as session,
    ):
        yield gateway, agent, session


def fields_of(agent: RawAgent) -> list[tuple[str, str]]:
    head = bytes(agent.received[0]).split(b"\r\n\r\n")[0].decode()
    return [(name.lower(), value) for name, _, value in (line.partition(": ") for line in head.split("\r\n")[1:])]


def request_lines(agent: RawAgent) -> list[str]:
    return [line for line in bytes(agent.received[0]).decode().split("\r\n") if line.endswith("HTTP/1.1")]


# Routing


async def test_a_catch_all_does_not_look_up_email_process_as_an_agent(tmp_path: Path) -> None:
    async with gateway_before(tmp_path, answering(OK)) as (gateway, _, session):
        assert (await ask(session, "/api/email/process", gateway.bearer(), method="POST")).status == 200
        [record] = await gateway.records_when(1)
    assert (record["agent"], record["route"]) == ("email", "email")


async def test_the_prefix_is_not_stripped_where_the_agent_mounts_under_it(tmp_path: Path) -> None:
    async with raw_agent(answering(OK)) as agent:
        base = agent.url.removesuffix("/api/email")
        routes = "".join(
            f'[routes.{name}]\nprefix = "/api/{name}"\nupstream = "{base}{mount}"\n'
            for name, mount in (("email", "/api/email"), ("rag", "/api"), ("aiops", "/api/aiops"))
        )
        async with (
            running_gateway(tmp_path, routes=routes) as gateway,
            aiohttp.ClientSession(gateway.url) as session,
        ):
            for path in ("/api/email/process", "/api/email", "/api/rag/chat", "/api/rag/documents/7", "/api/aiops/x"):
                assert (await ask(session, path, gateway.bearer())).status == 200
    assert [line.split()[1] for line in request_lines(agent)] == [
        "/api/email/process",
        "/api/email",
        "/api/chat",
        "/api/documents/7",
        "/api/aiops/x",
    ]


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS"])
async def test_head_and_options_are_routed(tmp_path: Path, method: str) -> None:
    answer = OK.removesuffix(b"{}") if method == "HEAD" else OK
    async with gateway_before(tmp_path, answering(answer)) as (gateway, agent, session):
        assert (await ask(session, "/api/email/x", gateway.bearer(), method=method)).status == 200
    assert request_lines(agent) == [f"{method} /api/email/x HTTP/1.1"]


async def test_websockets_are_routed(tmp_path: Path, aiohttp_server: AiohttpServer) -> None:
    async def echo(request: aiohttp.web.Request) -> aiohttp.web.WebSocketResponse:
        socket = aiohttp.web.WebSocketResponse()
        await socket.prepare(request)
        await socket.send_str("you said " + await socket.receive_str())
        await socket.close()
        return socket

    app = aiohttp.web.Application()
    app.router.add_get("/api/email/ws", echo)
    agent = await aiohttp_server(app)
    async with (
        running_gateway(tmp_path, str(agent.make_url("/api/email"))) as gateway,
        aiohttp.ClientSession(gateway.url) as session,
        session.ws_connect("/api/email/ws", headers=gateway.bearer()) as socket,
    ):
        await socket.send_str("hello")
        assert await socket.receive_str() == "you said hello"


# The ring


async def test_middlewares_are_not_in_reverse_order_so_refusals_are_logged(tmp_path: Path) -> None:
    general = LOOSE.replace("100000", "4") + "[plans.free]\ndefault = true\nquota = { api_calls = 1 }\n"
    async with gateway_before(tmp_path, answering(OK), general=general) as (gateway, _, session):
        headers = gateway.bearer()
        answered = [await ask(session, path, headers) for path in ("/api/email/x", "/api/email/x", "/none", "/none")]
        answered += [await ask(session, "/api/email/x", headers), await ask(session, "/api/email/x")]
        lines = await gateway.log_lines(6)
    assert [each.status for each in answered] == [200, 402, 404, 404, 429, 401]
    assert [line["status"] for line in lines] == [200, 402, 404, 404, 429, 401]
    assert [line["code"] for line in lines[4:]] == ["rate_limited", "token_missing"]


async def test_402_and_429_are_not_turned_into_500(tmp_path: Path) -> None:
    general = LOOSE.replace("100000", "2") + "[plans.free]\ndefault = true\nquota = { api_calls = 1 }\n"
    async with gateway_before(tmp_path, answering(OK), general=general) as (gateway, _, session):
        answered = [await ask(session, "/api/email/x", gateway.bearer()) for _ in range(3)]
    assert answered[0].status == 200
    answered[1].problem(402, "quota_exhausted")
    answered[2].problem(429, "rate_limited")


async def test_a_429_is_not_without_retry_after(tmp_path: Path) -> None:
    general = LOOSE.replace("100000", "1") + "[plans.free]\ndefault = true\n"
    async with gateway_before(tmp_path, answering(OK), general=general) as (gateway, _, session):
        await ask(session, "/api/email/x", gateway.bearer())
        refused = await ask(session, "/api/email/x", gateway.bearer())
    assert refused.status == 429
    assert 1 <= int(refused.headers["Retry-After"]) <= 60


async def test_the_limiters_memory_is_not_unbounded(clock: ManualClock) -> None:
    memory = SharedMemory.create(capacity=64)
    counters, size = SharedCounters(memory, clock), len(memory.bytes)
    for number in range(1000):
        await counters.take([Window(f"{{address:{number}}}minute", "address-minute", Rate(5, "minute"))])
    assert len(memory.bytes) == size
    memory.close()


async def test_refresh_tokens_are_not_accepted(tmp_path: Path) -> None:
    token = jwt.encode({"sub": "ann", "exp": 4_000_000_000, "type": "refresh"}, SECRET, "HS256")
    async with gateway_before(tmp_path, answering(OK)) as (_, agent, session):
        answered = await ask(session, "/api/email/x", {"Authorization": f"Bearer {token}"})
    answered.problem(401, "token_invalid", unsaid=token)
    assert not agent.received


# Money


async def test_the_unit_that_is_checked_is_the_unit_that_is_charged(tmp_path: Path) -> None:
    general = LOOSE + "[plans.free]\ndefault = true\nquota = { api_calls = 5, scraping_tasks = 1 }\n"
    async with raw_agent(answering(OK)) as agent:
        routes = "".join(
            f'[routes.{name}]\nprefix = "/api/{name}"\nupstream = "{agent.url}"\nusage = {{ unit = "{unit}" }}\n'
            for name, unit in (("email", "api_calls"), ("scraper", "scraping_tasks"))
        )
        async with (
            running_gateway(tmp_path, routes=routes, general=general) as gateway,
            aiohttp.ClientSession(gateway.url) as session,
        ):
            paths = ["/api/scraper/x", "/api/scraper/x", "/api/email/x", "/api/email/x"]
            answered = [await ask(session, path, gateway.bearer()) for path in paths]
            units = (await ask(session, "/gateway/v1/usage", gateway.bearer())).json["units"]
    assert [each.status for each in answered] == [200, 402, 200, 200]
    assert answered[1].problem(402, "quota_exhausted")["unit"] == "scraping_tasks"
    assert {unit["unit"]: unit["spent"] for unit in units} == {"api_calls": 2, "scraping_tasks": 1}


async def test_check_and_record_are_not_two_transactions_that_overspend(tmp_path: Path) -> None:
    general = LOOSE + "[plans.free]\ndefault = true\nquota = { api_calls = 5 }\n"
    async with gateway_before(tmp_path, answering(OK), general=general) as (gateway, _, session):
        answers = await asyncio.gather(*(ask(session, "/api/email/x", gateway.bearer()) for _ in range(60)))
        records = await gateway.records_when(5)
    assert sorted(each.status for each in answers) == [200] * 5 + [402] * 55
    assert sum(record["quantity"] for record in records) == 5


async def test_sql_does_not_block_the_loop(tmp_path: Path) -> None:
    async with gateway_before(tmp_path, answering(OK)) as (gateway, _, session):
        with closing(sqlite3.connect(tmp_path / "ledger.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            calling = asyncio.create_task(ask(session, "/api/email/x", gateway.bearer()))
            while not gateway.daemon._worker._drain.in_flight:
                await asyncio.sleep(0)
            for _ in range(5):
                assert (await ask(session, "/health")).status == 200
            assert not calling.done()
            other.execute("ROLLBACK")
            assert (await calling).status == 200


async def test_an_error_of_the_quota_is_not_swallowed_and_opens_no_door(tmp_path: Path) -> None:
    async with gateway_before(tmp_path, answering(OK)) as (gateway, agent, session):
        away = BookLedger()
        away.away = True
        swap_stores(gateway, ledger=away)
        (await ask(session, "/api/email/x", gateway.bearer())).problem(503, "store_unavailable")
    assert not agent.received


async def test_a_health_check_does_not_check_nothing(tmp_path: Path) -> None:
    async with gateway_before(tmp_path, answering(OK)) as (gateway, _, session):
        away = BookLedger()
        away.away = True
        there = swap_stores(gateway, ledger=away)
        refused = await ask(session, "/ready")
        assert (refused.status, refused.json["checks"]["ledger"]) == (503, False)
        swap_stores(gateway, ledger=there.ledger)
        assert (await ask(session, "/ready")).status == 200


# Messages


async def test_bodies_are_not_buffered(tmp_path: Path) -> None:
    first_in, first_out, done = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await reader.readuntil(b"first\r\n")
        first_in.set()
        await reader.readuntil(b"0\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n")
        await until(first_out)
        writer.write(b"3\r\ntwo\r\n0\r\n\r\n")
        done.set()

    async def body() -> AsyncIterator[bytes]:
        yield b"first"
        await until(first_in)
        yield b"second"

    async with (
        gateway_before(tmp_path, script) as (gateway, _, session),
        session.post("/api/email/x", data=body(), headers=gateway.bearer()) as response,
    ):
        assert await response.content.readexactly(3) == b"one"
        assert not done.is_set()
        first_out.set()
        assert await response.content.read() == b"two"


async def test_binary_is_not_broken_either_way(tmp_path: Path) -> None:
    binary = bytes(range(256)) * 3 + b"\xff\xfe\r\n\r\n\x00"
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(binary), binary)
    async with gateway_before(tmp_path, answering(answer)) as (gateway, agent, session):
        answered = await ask(session, "/api/email/x", gateway.bearer(), method="POST", data=binary)
    assert answered.body == binary
    assert bytes(agent.received[0]).endswith(b"\r\n\r\n" + binary)


async def test_content_encoding_is_not_kept_on_a_body_that_was_decoded(tmp_path: Path) -> None:
    packed = gzip.compress(b"hello " * 100)
    answer = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%b" % (len(packed), packed)
    async with gateway_before(tmp_path, answering(answer)) as (gateway, agent, session):
        headers = {**gateway.bearer(), "Content-Encoding": "gzip"}
        answered = await ask(session, "/api/email/x", headers, method="POST", data=packed)
    assert (answered.headers["Content-Encoding"], answered.body) == ("gzip", packed)
    assert ("content-encoding", "gzip") in fields_of(agent)
    assert bytes(agent.received[0]).endswith(packed)


async def test_repeated_headers_and_parameters_are_not_lost(tmp_path: Path) -> None:
    answer = b"HTTP/1.1 200 OK\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nContent-Length: 2\r\n\r\n{}"
    async with gateway_before(tmp_path, answering(answer)) as (gateway, agent, session):
        headers = [*gateway.bearer().items(), ("X-Tag", "one"), ("X-Tag", "two")]
        async with session.get("/api/email/x?tag=one&tag=two&empty=", headers=headers) as response:
            assert response.headers.getall("Set-Cookie") == ["a=1", "b=2"]
    assert request_lines(agent) == ["GET /api/email/x?tag=one&tag=two&empty= HTTP/1.1"]
    assert [value for name, value in fields_of(agent) if name == "x-tag"] == ["one", "two"]


async def test_hop_by_hop_fields_and_authorization_are_not_forwarded(tmp_path: Path) -> None:
    hops = {"Connection": "X-Hop, keep-alive", "X-Hop": "1", "Keep-Alive": "timeout=5", "TE": "trailers"}
    async with gateway_before(tmp_path, answering(OK)) as (gateway, agent, session):
        await ask(session, "/api/email/x", {**gateway.bearer(), **hops, "X-User-ID": "root", "X-Own": "kept"})
    found = dict(fields_of(agent))
    assert not {"connection", "x-hop", "keep-alive", "te", "authorization"} & set(found)
    assert (found["x-user-id"], found["x-own"]) == ("ann", "kept")


async def test_an_upload_keeps_its_multipart_field_file(tmp_path: Path, aiohttp_server: AiohttpServer) -> None:
    agent = await aiohttp_server(create_app())
    routes = f'[routes.rag]\nprefix = "/api/rag"\nupstream = "{agent.make_url("/api")}"\n'
    async with running_gateway(tmp_path, routes=routes) as gateway, aiohttp.ClientSession(gateway.url) as session:
        form = aiohttp.FormData()
        form.add_field("file", b"A quota resets at the first moment of the next month.", filename="quota.txt")
        uploaded = await ask(session, "/api/rag/documents/upload", gateway.bearer(), method="POST", data=form)
        nameless = aiohttp.FormData()
        nameless.add_field("document", b"text", filename="quota.txt")
        refused = await ask(session, "/api/rag/documents/upload", gateway.bearer(), method="POST", data=nameless)
        question = {**gateway.bearer(), "Content-Type": "application/json"}
        data = json.dumps({"question": "When does a quota reset?"})
        reply = await ask(session, "/api/rag/chat", question, method="POST", data=data)
    assert (uploaded.status, uploaded.json["title"]) == (201, "quota.txt")
    assert refused.status == 400
    assert "first moment of the next month" in reply.json["answer"]


# Safety


def test_there_is_no_default_secret() -> None:
    with pytest.raises(ConfigError, match=r"auth"):
        parse('[routes.email]\nprefix = "/api/email"\nupstream = "http://127.0.0.1:1"\n', "test.toml", {})


async def test_cors_is_not_opened_to_everybody_with_credentials(tmp_path: Path) -> None:
    async with gateway_before(tmp_path, answering(OK)) as (gateway, _, session):
        origin = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
        answers = [
            await ask(session, "/api/email/x", {**gateway.bearer(), **origin}, method="OPTIONS"),
            await ask(session, "/api/email/x", {**gateway.bearer(), **origin}),
            await ask(session, "/api/email/x", origin),
            await ask(session, "/health", origin),
        ]
    for answered in answers:
        assert not [name for name in answered.headers if name.lower().startswith("access-control")]


# The client


def documented() -> set[str]:
    """The methods that the contract's section on the SDK names, as `email.process`."""
    section = (ROOT / "docs/contract.md").read_text().partition("## 9. SDK")[2].partition("## 10.")[0]
    names: set[str] = set()
    for said in re.findall(r"`\.([a-z_./()]+)`", section):
        agent = ""
        for part in said.replace("(...)", "").split("/"):
            *before, method = part.lstrip(".").split(".")
            agent = before[0] if before else agent
            names.add(f"{agent}.{method}".lstrip("."))
    return {name for name in names if name not in {"status", "code", "request_id", "body", "retry_after"}}


@pytest.mark.parametrize("client", [gatewayd_sdk.Gateway, gatewayd_sdk.AsyncGateway])
def test_the_sdk_has_every_method_that_is_documented(client: type[Any]) -> None:
    made = client("http://127.0.0.1:9", "t0ken")
    methods = documented()
    assert {"email.process", "email.history", "rag.upload_document", "support.connect", "stream"} <= methods
    for name in methods:
        assert callable(operator.attrgetter(name)(made)), name
    words = re.findall(
        r"gateway\.([a-z_.]+)\(", (ROOT / "sdk/README.md").read_text() + (ROOT / "README.md").read_text()
    )
    for name in words:
        assert callable(operator.attrgetter(name)(made)), name
