import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from gatewayd.policies import admission
from gatewayd.policies.base import nothing_to_say
from tests.agents import RawAgent, answering, raw_agent, talk
from tests.edge.hostile import GET, POST, request
from tests.gateways import RunningGateway, running_gateway
from tests.patience import PATIENCE

pytestmark = pytest.mark.asyncio(loop_scope="module")

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
ROUTES = """
[routes.email]
prefix = "/api/email"
upstream = "{upstream}"
public = true
[routes.admin]
prefix = "/api/email/admin"
upstream = "{upstream}"
"""
TRACE = "0af7651916cd43dd8448eb211c80319c"
SPAN = "b7ad6b7169203331"


@dataclass(frozen=True, slots=True)
class Asking:
    """A gateway whose one peer is trusted, or is not; `ask` says what the agent and the access log then have."""

    gateway: RunningGateway
    agent: RawAgent

    async def ask(self, *fields: bytes) -> tuple[dict[str, list[str]], dict[str, object]]:
        for each in self.agent.received:
            each.clear()
        answer = await talk(self.gateway.port, request(GET, *fields), until=b"{}")
        head = answer.partition(b"\r\n\r\n")[0].decode()
        sent: dict[str, list[str]] = {}
        for line in b"".join(self.agent.received).decode("latin-1").split("\r\n")[1:]:
            name, colon, value = line.partition(": ")
            if colon:
                sent.setdefault(name.lower(), []).append(value)
        found = re.search(r"\r\nX-Request-ID: (\w+)", head)
        assert found is not None
        return sent, await self._logged(found[1])

    async def _logged(self, request_id: str) -> dict[str, object]:
        for _ in range(300):
            for line in await self.gateway.log_lines(0):
                if line["request_id"] == request_id:
                    return line
            await asyncio.sleep(0.01)
        raise AssertionError("not logged")


async def _asking(path: Path, server: str) -> AsyncIterator[Asking]:
    async with (
        raw_agent(answering(OK)) as agent,
        running_gateway(path, routes=ROUTES.format(upstream=agent.url), server=server) as gateway,
    ):
        yield Asking(gateway, agent)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def trusting(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Asking]:
    async for each in _asking(tmp_path_factory.mktemp("trusting"), 'trusted_proxies = ["127.0.0.0/8", "10.0.0.0/8"]'):
        yield each


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def wary(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Asking]:
    async for each in _asking(tmp_path_factory.mktemp("wary"), 'trusted_proxies = ["10.0.0.0/8"]'):
        yield each


@pytest.mark.parametrize(
    ("field", "client"),
    [
        (b"X-Forwarded-For: 203.0.113.9", "203.0.113.9"),
        (b"X-Forwarded-For: 6.6.6.6, 203.0.113.9, 10.0.0.2", "203.0.113.9"),
        (b"X-Forwarded-For: 203.0.113.9, unknown", "127.0.0.1"),
        (b"Forwarded: for=6.6.6.6, for=203.0.113.9;proto=https", "203.0.113.9"),
        (b'Forwarded: for="[2001:db8::9]:4711"', "2001:db8::9"),
        (b"X_Forwarded_For: 6.6.6.6", "127.0.0.1"),
        (b"X-Real-IP: 6.6.6.6", "127.0.0.1"),
    ],
)
async def test_a_trusted_proxy_is_believed_about_its_caller(trusting: Asking, field: bytes, client: str) -> None:
    sent, logged = await trusting.ask(field)
    assert logged["client"] == client
    assert sent["x-forwarded-for"][0].endswith("127.0.0.1")


async def test_a_chain_goes_on_to_the_agent_only_if_it_is_trusted(trusting: Asking, wary: Asking) -> None:
    fields = (
        b"X-Forwarded-For: 203.0.113.9",
        b"Forwarded: for=203.0.113.9",
        b"X-Forwarded-Proto: https",
        b"X-Forwarded-Host: shop.test",
    )
    sent, _ = await trusting.ask(*fields)
    assert sent["x-forwarded-for"] == ["203.0.113.9, 127.0.0.1"]
    assert sent["forwarded"][0].startswith("for=203.0.113.9, for=127.0.0.1")
    assert (sent["x-forwarded-proto"], sent["x-forwarded-host"]) == (["https"], ["shop.test"])
    sent, logged = await wary.ask(*fields)
    assert sent["x-forwarded-for"] == ["127.0.0.1"]
    assert sent["forwarded"][0].startswith("for=127.0.0.1")
    assert (sent["x-forwarded-proto"], sent["x-forwarded-host"]) == (["http"], ["gw"])
    assert logged["client"] == "127.0.0.1"


async def test_a_request_id_of_a_trusted_proxy_becomes_a_correlation_id(trusting: Asking) -> None:
    sent, logged = await trusting.ask(b"X-Request-ID: edge-7/abc=")
    assert sent["x-correlation-id"] == ["edge-7/abc="]
    assert logged["correlation_id"] == "edge-7/abc="
    assert sent["x-request-id"] == [logged["request_id"]] != ["edge-7/abc="]


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param([b"X-Request-ID: " + b"a" * 129], id="too long"),
        pytest.param([b"X-Request-ID: a b"], id="with a space"),
        pytest.param([b"X-Request-ID: \xc3\xa9"], id="not ASCII"),
        pytest.param([b'X-Request-ID: "a"'], id="quoted"),
        pytest.param([b"X-Request-ID:"], id="empty"),
        pytest.param([b"X-Request-ID: a", b"X-Request-ID: b"], id="twice"),
        pytest.param([b"X-Correlation-ID: a"], id="under the name that is ours"),
        pytest.param([b"X_Request_ID: a"], id="in another spelling"),
    ],
)
async def test_a_request_id_that_is_none_is_dropped(trusting: Asking, fields: list[bytes]) -> None:
    sent, logged = await trusting.ask(*fields)
    assert "x-correlation-id" not in sent
    assert logged["correlation_id"] is None


async def test_a_request_id_of_anybody_else_is_dropped(wary: Asking) -> None:
    sent, logged = await wary.ask(b"X-Request-ID: mine", b"X-Correlation-ID: mine")
    assert "x-correlation-id" not in sent
    assert (sent["x-request-id"], logged["correlation_id"]) == ([logged["request_id"]], None)


@pytest.mark.parametrize("value", [f"00-{TRACE}-{SPAN}-01", f"cc-{TRACE}-{SPAN}-01", f"cc-{TRACE}-{SPAN}-01-more"])
async def test_a_trace_is_continued(wary: Asking, value: str) -> None:
    sent, logged = await wary.ask(f"traceparent: {value}".encode(), b"tracestate: a=1", b"tracestate: b=2")
    (parent,) = sent["traceparent"]
    version, trace, span, flags = parent.split("-")
    assert (version, trace, flags) == ("00", TRACE, "01")
    assert span != SPAN
    assert sent["x-trace-id"] == [logged["trace_id"]] == [TRACE]
    assert sent["tracestate"] == ["a=1", "b=2"]


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(TRACE, id="as in a trace context"),
        pytest.param(TRACE.upper(), id="upper case"),
        pytest.param(f"{TRACE[:8]}-{TRACE[8:12]}-{TRACE[12:16]}-{TRACE[16:20]}-{TRACE[20:]}", id="a UUID"),
    ],
)
async def test_a_trace_id_alone_is_continued_too(wary: Asking, value: str) -> None:
    sent, logged = await wary.ask(f"X-Trace-ID: {value}".encode(), b"tracestate: a=1")
    (parent,) = sent["traceparent"]
    assert parent.split("-")[1] == logged["trace_id"] == TRACE
    assert parent.endswith("-01")
    assert sent["x-trace-id"] == [TRACE]
    assert "tracestate" not in sent
    assert logged["request_id"] != TRACE


@pytest.mark.parametrize("value", ["0" * 32, "x" * 32, TRACE[:-1], TRACE + "0", "order 17", ""])
async def test_what_is_no_trace_id_names_no_trace(wary: Asking, value: str) -> None:
    sent, logged = await wary.ask(f"X-Trace-ID: {value}".encode())
    assert sent["x-trace-id"] == [logged["trace_id"]] == [logged["request_id"]]


async def test_a_trace_context_wins_over_a_trace_id(wary: Asking) -> None:
    sent, _ = await wary.ask(f"traceparent: 00-{TRACE}-{SPAN}-00".encode(), f"X-Trace-ID: {'a' * 32}".encode())
    assert sent["x-trace-id"] == [TRACE]


@pytest.mark.parametrize(
    "values",
    [
        pytest.param([], id="none"),
        pytest.param([f"00-{TRACE}-{SPAN}-01"] * 2, id="two"),
        pytest.param([f"00-{TRACE}-{SPAN}-01-more"], id="more than its version allows"),
        pytest.param([f"ff-{TRACE}-{SPAN}-01"], id="the version that is none"),
        pytest.param([f"00-{TRACE.upper()}-{SPAN}-01"], id="capitals"),
        pytest.param([f"00-{'0' * 32}-{SPAN}-01"], id="no trace"),
        pytest.param([f"00-{TRACE}-{'0' * 16}-01"], id="no span"),
        pytest.param([f"00-{TRACE}-{SPAN}"], id="no flags"),
        pytest.param([f"00-{TRACE}-{SPAN}-01 "[:-2]], id="half of the flags"),
        pytest.param([f"cc-{TRACE}-{SPAN}-01more"], id="more without a hyphen"),
        pytest.param([f"00-{TRACE}-{SPAN}-01,00-{TRACE}-{SPAN}-01"], id="a list"),
    ],
)
async def test_anything_else_begins_a_trace_without_a_state(wary: Asking, values: list[str]) -> None:
    sent, logged = await wary.ask(*(f"traceparent: {each}".encode() for each in values), b"tracestate: a=1")
    (parent,) = sent["traceparent"]
    assert re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-00", parent)
    assert parent.split("-")[1] == logged["trace_id"] == logged["request_id"]
    assert "tracestate" not in sent


async def test_the_limit_of_a_head_counts_its_line_and_its_fields(wary: Asking) -> None:
    limit = wary.gateway.settings.server.max_header_bytes
    spare = limit - len(request(GET, b"X: ", b"Y: "))
    fits = request(GET, b"X: " + b"a" * (spare // 2), b"Y: " + b"a" * (spare - spare // 2))
    assert len(fits) == limit
    assert (await talk(wary.gateway.port, fits, until=b"{}")).startswith(b"HTTP/1.1 200 ")
    assert (await talk(wary.gateway.port, fits.replace(b"Y:", b"YY:"))).startswith(b"HTTP/1.1 431 ")


async def test_a_path_of_two_routes_is_refused_before_anything_is_looked_up(wary: Asking) -> None:
    answer = await talk(wary.gateway.port, request(b"GET /api/email/%61dmin HTTP/1.1", b"Authorization: Bearer x"))
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"RateLimit" not in answer


async def test_while_draining_only_the_gateways_own_paths_are_served(tmp_path: Path) -> None:
    go = asyncio.Event()

    async def slowly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await go.wait()
        writer.write(OK)

    async with (
        raw_agent(slowly) as agent,
        running_gateway(tmp_path, routes=ROUTES.format(upstream=agent.url)) as gateway,
    ):
        opened = [await asyncio.open_connection("127.0.0.1", gateway.port) for _ in range(3)]
        opened[0][1].write(request())
        async with asyncio.timeout(PATIENCE):
            while not agent.received:
                await asyncio.sleep(0)
        gateway.daemon.stop()
        opened[1][1].write(request(b"GET /health HTTP/1.1"))
        health = await opened[1][0].readuntil(b"\r\n\r\n")
        opened[2][1].write(request(POST, b"Content-Length: 0"))
        refused = await opened[2][0].read()
        go.set()
        first = await opened[0][0].readuntil(b"{}")
        for _, writer in opened:
            writer.close()
        await gateway.task
    assert health.startswith(b"HTTP/1.1 503 ")
    assert b"draining" not in health
    assert refused.startswith(b"HTTP/1.1 503 ")
    assert b'"code":"draining"' in refused
    assert b"\r\nConnection: close\r\n" in refused
    assert first.startswith(b"HTTP/1.1 200 ")


async def test_admission_has_no_rule_and_nothing_to_explain() -> None:
    assert (admission.POLICY.name, admission.POLICY.explain) == ("admission", nothing_to_say)
