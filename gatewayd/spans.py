"""Spans by OpenTelemetry, for who installs `gatewayd[otel]` and asks for them; without, nothing imports this.

A request has a span from its admission to its end, and one below it while its agent is called, which is the parent of
what the agent traces. Exporting is the SDK's: a thread of its own, a bounded queue, and its OTEL_* variables.
"""

import asyncio
from collections.abc import Iterable
from contextlib import AsyncExitStack
from typing import Any, Final

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from gatewayd import __version__
from gatewayd.errors import InternalError, Refusal
from gatewayd.exchange import EXCHANGE, Exchange
from gatewayd.policies.base import Policy

SHUTDOWN_SECONDS: Final = 3.0
"""What a collector that does not answer may cost at the end."""
_BEHIND: Final = "admission"  # the policy that knows the route and the caller's trace
_NANO: Final = 10**9


class Spans:
    """Makes the spans of requests with a tracer. Its two middlewares are in the ring only if there is one."""

    def __init__(self, tracer: trace.Tracer) -> None:
        self._tracer = tracer

    def around(self, policies: Iterable[Policy]) -> list[Middleware]:
        """The policies' middlewares with those of the spans among them."""
        ring = []
        for policy in policies:
            ring.append(policy.middleware)
            if policy.name == _BEHIND:
                ring.append(self._whole())
        return [*ring, self._call()]

    def _whole(self) -> Middleware:
        @web.middleware
        async def whole(request: web.Request, handler: Handler) -> web.StreamResponse:
            exchange = request[EXCHANGE]
            span = request[_SPAN] = self._begin(exchange)
            status, code = 0, ""
            try:
                response = await handler(request)
                status = response.status
                return response
            except Refusal as refusal:  # what faults makes of it is further out
                status, code = refusal.status, refusal.code
                await exchange.fail(refusal)  # now: the span says what was charged
                raise
            except Exception:
                status, code = InternalError.status, InternalError.code
                await exchange.fail(InternalError())
                raise
            finally:
                _end(span, exchange, exchange.status or status, exchange.code or code)

        return whole

    def _begin(self, exchange: Exchange) -> trace.Span:
        route = exchange.route
        span = self._tracer.start_span(
            f"{exchange.method} {route.prefix}".rstrip(),
            context=_parent(exchange),
            kind=trace.SpanKind.SERVER,
            start_time=int(exchange.started_at * _NANO),
            attributes={
                "http.request.method": exchange.method,
                "http.route": route.prefix,
                "url.path": exchange.target.path,
                "client.address": exchange.client,
                "gatewayd.request_id": exchange.request_id,
                "gatewayd.route": route.name,
            },
        )
        _adopt(exchange, span)
        return span

    def _call(self) -> Middleware:
        @web.middleware
        async def call(request: web.Request, handler: Handler) -> web.StreamResponse:
            exchange = request[EXCHANGE]
            if exchange.route.own:
                return await handler(request)
            span = self._tracer.start_span(
                f"agent {exchange.route.name}",
                context=trace.set_span_in_context(request[_SPAN], Context()),
                kind=trace.SpanKind.CLIENT,
                attributes={"http.request.method": request.method},
            )
            _adopt(exchange, span)
            try:
                return await handler(request)
            finally:
                if exchange.reached and exchange.status:
                    span.set_attribute("http.response.status_code", exchange.status)
                if exchange.code:
                    span.set_attribute("error.type", exchange.code)
                    span.set_status(trace.StatusCode.ERROR)
                span.end()

        return call


def _parent(exchange: Exchange) -> Context:
    """The caller's span, if it named one; one that nobody has, for a caller who named only a trace."""
    if exchange.trace_id == exchange.request_id:
        return Context()
    parent = trace.SpanContext(
        int(exchange.trace_id, 16),
        int(exchange.parent_span or exchange.span_id, 16),
        is_remote=True,
        trace_flags=trace.TraceFlags(int(exchange.trace_flags, 16)),
        trace_state=trace.TraceState.from_header(
            [value.decode("latin-1") for value in exchange.head.named.get(b"tracestate", ())]
        ),
    )
    return trace.set_span_in_context(trace.NonRecordingSpan(parent), Context())


def _adopt(exchange: Exchange, span: trace.Span) -> None:
    """The agent is told of this span, if there is one: the API alone makes none."""
    context = span.get_span_context()
    if context.is_valid:
        exchange.span_id = trace.format_span_id(context.span_id)
        exchange.trace(trace.format_trace_id(context.trace_id), f"{context.trace_flags:02x}")


def _end(span: trace.Span, exchange: Exchange, status: int, code: str) -> None:
    identity = exchange.proved
    plan = exchange.plan(identity) if identity is not None else None
    said: dict[str, Any] = {
        "http.response.status_code": status,
        "error.type": code,
        "enduser.id": identity.user if identity is not None else "",
        "gatewayd.plan": plan.name if plan is not None else "",
        "gatewayd.outcome": exchange.outcome or "",
        "gatewayd.unit": exchange.unit,
        "gatewayd.quantity": exchange.quantity,
        "gatewayd.generation": exchange.generation.number,
    }
    span.set_attributes({name: value for name, value in said.items() if value != ""})
    if status >= 500 or (code and exchange.sent):
        span.set_status(trace.StatusCode.ERROR)
    span.end()


_SPAN: Final = web.RequestKey("span", trace.Span)


def exported(stack: AsyncExitStack) -> Spans:
    """Spans that go where the SDK's OTEL_* variables say; `stack` sends the last ones."""
    return Spans(_provider(stack).get_tracer("gatewayd", __version__))


def _provider(stack: AsyncExitStack) -> TracerProvider:
    resource = Resource.create({SERVICE_VERSION: __version__})
    if str(resource.attributes.get(SERVICE_NAME, "")).startswith("unknown_service"):
        resource = resource.merge(Resource({SERVICE_NAME: "gatewayd"}))
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))

    async def shut_down() -> None:
        ending = asyncio.get_running_loop().run_in_executor(None, provider.shutdown)
        await asyncio.wait({ending}, timeout=SHUTDOWN_SECONDS)

    stack.push_async_callback(shut_down)
    return provider
