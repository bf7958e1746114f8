"""The outermost policy: when a request has ended, however it did, everybody who reports is shown its exchange."""

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import Final

import orjson
from aiohttp import web

from gatewayd.errors import ClientClosed
from gatewayd.exchange import Exchange, exchange_of
from gatewayd.model import Outcome, rfc3339
from gatewayd.policies.base import Handler, Policy, middleware

logger = logging.getLogger(__name__)

Reporter = Callable[[Exchange], None]
REPORTERS: Final = web.AppKey[tuple[Reporter, ...]]("reporters")


@middleware
async def access_log(request: web.Request, handler: Handler) -> web.StreamResponse:
    exchange, reporters = exchange_of(request), request.app[REPORTERS]
    try:
        response = await handler(request)
        exchange.status = exchange.status or response.status
        if not exchange.bytes_out and isinstance(response, web.Response) and request.method != "HEAD":
            exchange.bytes_out = response.content_length or 0
        return response
    except asyncio.CancelledError:
        if not exchange.status:
            exchange.refused(ClientClosed())
        raise
    finally:
        tell(reporters, exchange)


def tell(reporters: Iterable[Reporter], exchange: Exchange) -> None:
    """The request has ended: show it to everybody. A reporter that fails spoils neither the answer nor the others."""
    exchange.ended = exchange.clock.monotonic()
    for report in reporters:
        try:
            report(exchange)
        except Exception:
            logger.exception("request %s could not be reported", exchange.request_id)


def is_wanted(exchange: Exchange) -> bool:
    """Whether the request's line is to be written: sampling leaves out only what went as it should.

    Nobody who calls can choose: what decides is the chance in the request's id.
    """
    sample = exchange.generation.settings.access_log.sample
    return sample == 1 or _is_noteworthy(exchange) or int(exchange.request_id[-12:], 16) % sample == 0


def _is_noteworthy(exchange: Exchange) -> bool:
    failed = exchange.outcome not in (None, Outcome.DELIVERED)
    return exchange.status >= 400 or exchange.code != "" or failed or exchange.misstated


def line(exchange: Exchange) -> bytes:
    """One JSON object and a newline (contract, section 7). No token, no query, no body is in it."""
    identity, route = exchange.proved, exchange.route.name or None
    plan = exchange.plan(identity) if identity is not None else None
    started, reached, ended, outcome = exchange.started, exchange.reached, exchange.ended, exchange.outcome
    return orjson.dumps(
        {
            "time": rfc3339(exchange.started_at),
            "request_id": exchange.request_id,
            "trace_id": exchange.trace_id,
            "correlation_id": exchange.correlation_id or None,
            "client": exchange.client,
            "user": identity.user if identity is not None else None,
            "plan": plan.name if plan is not None else None,
            "method": exchange.request.method,
            "path": exchange.target.path or None,
            "route": route,
            "agent": route,
            "status": exchange.status,
            "code": exchange.code or None,
            "outcome": outcome._value_ if outcome is not None else None,  # as orjson would find it, more slowly
            "bytes_in": exchange.bytes_in,
            "bytes_out": exchange.bytes_out,
            "duration_ms": _milliseconds(ended - started),
            "upstream_ms": _milliseconds(ended - reached) if reached else None,
            "first_byte_ms": _milliseconds(exchange.first_byte - reached) if reached and exchange.first_byte else None,
            "unit": exchange.unit or None,
            "quantity": exchange.quantity,
            "quantity_ignored": exchange.misstated,
            "generation": exchange.generation.number,
        },
        option=orjson.OPT_APPEND_NEWLINE,
    )


def _milliseconds(seconds: float) -> float:
    """To the microsecond; `round` would take three times as long."""
    return int(seconds * 1e6 + 0.5) / 1e3


POLICY: Final[Policy] = Policy("access_log", access_log)
