"""Spans of whole requests, as OpenTelemetry's own exporter in memory has them; and none where nobody asked."""

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import NoOpTracer, SpanKind, StatusCode, format_span_id, format_trace_id

from gatewayd import spans as room
from gatewayd.policies import POLICIES
from gatewayd.spans import Spans
from tests.agents import RawAgent, answering, raw_agent
from tests.gateways import PLANS, RunningGateway, running_gateway
from tests.patience import when

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Usage-Quantity: 3\r\n\r\nok"
ON = PLANS + "[tracing]\nspans = true\n"
TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    monkeypatch.setattr(room, "OTLPSpanExporter", lambda: exporter)
    monkeypatch.setattr(room, "BatchSpanProcessor", SimpleSpanProcessor)
    yield exporter
    exporter.shutdown()


async def get(gateway: RunningGateway, path: str, **headers: str) -> aiohttp.ClientResponse:
    async with (
        aiohttp.ClientSession() as session,
        session.get(gateway.url + path, headers=gateway.bearer() | headers) as response,
    ):
        await response.read()
    return response


def ended(exporter: InMemorySpanExporter) -> dict[SpanKind, ReadableSpan]:
    return {span.kind: span for span in exporter.get_finished_spans()}


def told(agent: RawAgent) -> tuple[str, str, str]:
    """Trace, parent and flags as the agent got them."""
    found = re.search(rb"traceparent: 00-(\w{32})-(\w{16})-(\w\w)", agent.received[0])
    assert found is not None
    return found[1].decode(), found[2].decode(), found[3].decode()


def context_of(span: ReadableSpan) -> Any:
    context = span.get_span_context()
    assert context is not None
    return context


async def test_a_request_and_its_call_are_spans_and_the_agents_are_below_the_call(
    tmp_path: Path, spans: InMemorySpanExporter
) -> None:
    async with raw_agent(answering(OK)) as agent, running_gateway(tmp_path, agent.url, general=ON) as gateway:
        response = await get(gateway, "/api/email/x?secret=1", traceparent=f"00-{TRACE}-{PARENT}-01", tracestate="a=1")
        [line] = await gateway.log_lines(1)
    whole, call = ended(spans)[SpanKind.SERVER], ended(spans)[SpanKind.CLIENT]
    assert (whole.name, call.name) == ("GET /api/email", "agent email")
    assert whole.parent is not None
    assert call.parent is not None
    assert format_span_id(whole.parent.span_id) == PARENT
    assert call.parent.span_id == context_of(whole).span_id
    assert told(agent) == (TRACE, format_span_id(context_of(call).span_id), "01")
    assert response.headers["X-Trace-ID"] == line["trace_id"] == TRACE
    assert context_of(whole).trace_state.to_header() == "a=1"
    assert dict(whole.attributes or {}) == {
        "http.request.method": "GET",
        "http.route": "/api/email",
        "url.path": "/api/email/x",
        "client.address": "127.0.0.1",
        "http.response.status_code": 200,
        "enduser.id": "ann",
        "gatewayd.request_id": line["request_id"],
        "gatewayd.route": "email",
        "gatewayd.plan": "free",
        "gatewayd.outcome": "delivered",
        "gatewayd.unit": "api_calls",
        "gatewayd.quantity": 3,
        "gatewayd.generation": 1,
    }
    assert (whole.resource.attributes["service.name"], whole.status.status_code) == ("gatewayd", StatusCode.UNSET)


async def test_who_names_no_trace_begins_one_that_log_agent_and_answer_share(
    tmp_path: Path, spans: InMemorySpanExporter
) -> None:
    async with raw_agent(answering(OK)) as agent, running_gateway(tmp_path, agent.url, general=ON) as gateway:
        response = await get(gateway, "/api/email/x")
        [line] = await gateway.log_lines(1)
    whole = ended(spans)[SpanKind.SERVER]
    assert whole.parent is None
    trace_id = format_trace_id(context_of(whole).trace_id)
    assert trace_id == told(agent)[0] == line["trace_id"] == response.headers["X-Trace-ID"]


async def test_a_trace_that_is_not_sampled_is_not_exported_and_goes_on(
    tmp_path: Path, spans: InMemorySpanExporter
) -> None:
    async with raw_agent(answering(OK)) as agent, running_gateway(tmp_path, agent.url, general=ON) as gateway:
        await get(gateway, "/api/email/x", traceparent=f"00-{TRACE}-{PARENT}-00")
    assert not ended(spans)
    assert (told(agent)[0], told(agent)[2]) == (TRACE, "00")


async def test_refusals_and_failures_are_said_on_the_spans(tmp_path: Path, spans: InMemorySpanExporter) -> None:
    async with running_gateway(tmp_path, "http://127.0.0.1:9/api/email", general=ON) as gateway:
        assert (await get(gateway, "/api/email/x", Authorization="Bearer x")).status == 401
        refused = ended(spans)
        spans.clear()
        assert (await get(gateway, "/api/email/x")).status == 502
        failed = ended(spans)
    assert list(refused) == [SpanKind.SERVER]
    attributes = dict(refused[SpanKind.SERVER].attributes or {})
    assert (attributes["http.response.status_code"], attributes["error.type"]) == (401, "token_invalid")
    assert refused[SpanKind.SERVER].status.status_code == StatusCode.UNSET  # the caller's fault is not the server's
    for span in failed.values():
        assert span.status.status_code == StatusCode.ERROR
        assert dict(span.attributes or {})["error.type"] == "upstream_connect"


async def test_a_caller_that_leaves_ends_its_spans(tmp_path: Path, spans: InMemorySpanExporter) -> None:
    async with raw_agent(answering(b"")) as agent, running_gateway(tmp_path, agent.url, general=ON) as gateway:
        calling = asyncio.create_task(get(gateway, "/api/email/x"))
        await when(lambda: any(agent.received))
        calling.cancel()
        await gateway.log_lines(1)
    assert {dict(span.attributes or {})["error.type"] for span in ended(spans).values()} == {"client_closed"}
    assert len(ended(spans)) == 2


async def test_without_being_asked_for_nothing_is_traced(tmp_path: Path, spans: InMemorySpanExporter) -> None:
    async with raw_agent(answering(OK)) as agent, running_gateway(tmp_path, agent.url) as gateway:
        await get(gateway, "/api/email/x")
        app = gateway.daemon._worker._runner._app  # type: ignore[union-attr]
    assert not ended(spans)
    assert len(app.middlewares) == 1 + len(POLICIES)


async def test_a_tracer_that_makes_no_spans_leaves_the_trace_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gatewayd.process.worker.open_spans", lambda *_: Spans(NoOpTracer()))
    async with raw_agent(answering(OK)) as agent, running_gateway(tmp_path, agent.url) as gateway:
        response = await get(gateway, "/api/email/x")
    assert told(agent)[0] == response.headers["X-Request-ID"] == response.headers["X-Trace-ID"]


async def test_a_collector_that_is_away_delays_no_caller_and_the_end_only_so_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    async with raw_agent(answering(OK)) as agent, running_gateway(tmp_path, agent.url, general=ON) as gateway:
        assert (await get(gateway, "/api/email/x")).status == 200
        async with asyncio.timeout(room.SHUTDOWN_SECONDS + 5):
            await gateway.stop()


@pytest.mark.parametrize(
    ("roles", "configured", "told_so"),
    [
        pytest.param(["admin"], "", True, id="an admin"),
        pytest.param(["staff", "admin"], "", True, id="an admin among others"),
        pytest.param(["staff"], "", False, id="another role"),
        pytest.param([], "", False, id="no role"),
        pytest.param(["staff"], '[tracing]\nserver_timing = ["staff"]\n', True, id="a role that was named"),
        pytest.param(["admin"], "[tracing]\nserver_timing = []\n", False, id="nobody"),
    ],
)
async def test_only_callers_with_the_role_are_told_what_took_how_long(
    tmp_path: Path, roles: list[str], configured: str, told_so: bool
) -> None:
    timed = OK.replace(b"\r\n\r\n", b"\r\nServer-Timing: db;dur=5\r\n\r\n")
    async with (
        raw_agent(answering(timed)) as agent,
        running_gateway(tmp_path, agent.url, general=PLANS + configured) as gateway,
    ):
        answers = [
            await get(gateway, path, **gateway.bearer(roles=roles))
            for path in ("/api/email/x", "/gateway/v1/usage", "/no/such/route")
        ]
    assert [answer.status for answer in answers] == [200, 200, 404]
    passed, own, refused = (answer.headers.getall("Server-Timing", []) for answer in answers)
    assert passed[0] == "db;dur=5"  # the agent's own goes to everybody
    said = r"gateway;dur=\d+\.\d{3}"
    whole = rf"{said}, connect;dur=\d+\.\d{{3}}, agent;dur=\d+\.\d{{3}}"
    assert [bool(re.fullmatch(whole, each)) for each in passed[1:]] == [True] * told_so
    for fields in (own, refused):
        assert [bool(re.fullmatch(said, each)) for each in fields] == [True] * told_so


async def test_a_connection_that_idled_is_had_in_no_time(tmp_path: Path) -> None:
    async with raw_agent(answering(OK)) as agent, running_gateway(tmp_path, agent.url) as gateway:
        answers = [await get(gateway, "/api/email/x", **gateway.bearer(roles=["admin"])) for _ in range(2)]
    first, second = (re.findall(r"connect;dur=([0-9.]+)", answer.headers["Server-Timing"]) for answer in answers)
    assert float(*first) > 0
    assert second == ["0.000"]


async def test_nobody_without_a_proved_name_is_told(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, "http://127.0.0.1:9/api/email") as gateway:
        answer = await get(gateway, "/api/email/x", Authorization="Bearer x")
    assert "Server-Timing" not in answer.headers
