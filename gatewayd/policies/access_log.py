"""The outermost policy: when a request has ended, however it did, everybody who reports is shown its exchange."""

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import Final

import orjson
from aiohttp import web

from gatewayd.errors import ClientClosed
from gatewayd.exchange import Exchange, exchange_of, kept_in
from gatewayd.model import Outcome, rfc3339
from gatewayd.policies.base import Handler, Policy, middleware

logger = logging.getLogger(__name__)

_NULL: Final = "null"
_THOUSANDTHS: Final = [f".{number:03d}" for number in range(1000)]
_KEPT: Final = 4096
_LONGEST_KEPT: Final = 128  # characters of what is remembered: callers choose it

Reporter = Callable[[Exchange], None]
REPORTERS: Final = web.AppKey[tuple[Reporter, ...]]("reporters")


@middleware
async def access_log(request: web.Request, handler: Handler) -> web.StreamResponse:
    exchange, reporters = exchange_of(request), kept_in(request.app, REPORTERS)
    try:
        response = await handler(request)
        exchange.status = exchange.status or response.status
        if not exchange.bytes_out and isinstance(response, web.Response) and exchange.method != "HEAD":
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
    """One JSON object and a newline (contract, section 7). No token, no query, no body is in it.

    Written out, because a dictionary and whoever looks through it would cost as much again. What others choose is
    quoted; the rest are ids, words and numbers of ours.
    """
    identity, route = exchange.proved, _quoted(exchange.route.name)
    plan = exchange.plan(identity) if identity is not None else None
    started, reached, ended, outcome = exchange.started, exchange.reached, exchange.ended, exchange.outcome
    first_byte = exchange.first_byte
    return (
        f'{{"time":"{rfc3339(exchange.started_at)}","request_id":"{exchange.request_id}"'
        f',"trace_id":"{exchange.trace_id}","correlation_id":{_quoted(exchange.correlation_id)}'
        f',"client":{_quoted(exchange.client)},"user":{_quoted(identity.user) if identity is not None else _NULL}'
        f',"plan":{_quoted(plan.name) if plan is not None else _NULL},"method":{_quoted(exchange.method)}'
        f',"path":{_quoted(exchange.target.path)},"route":{route},"agent":{route}'
        f',"status":{exchange.status},"code":{_quoted(exchange.code)}'
        f',"outcome":{_quoted(outcome._value_) if outcome is not None else _NULL}'
        f',"bytes_in":{exchange.bytes_in},"bytes_out":{exchange.bytes_out}'
        f',"duration_ms":{_milliseconds(ended - started)}'
        f',"upstream_ms":{_milliseconds(ended - reached) if reached else _NULL}'
        f',"first_byte_ms":{_milliseconds(first_byte - reached) if reached and first_byte else _NULL}'
        f',"unit":{_quoted(exchange.unit)},"quantity":{exchange.quantity}'
        f',"quantity_ignored":{"true" if exchange.misstated else "false"}'
        f',"generation":{exchange.generation.number}}}\n'
    ).encode()


_quotations: Final[dict[str, str]] = {"": _NULL}  # of what was said before; emptied when it is full


def _quoted(text: str) -> str:
    """As JSON has it; null for what is empty."""
    known = _quotations.get(text)
    if known is None:
        known = orjson.dumps(text).decode()
        if len(text) <= _LONGEST_KEPT:
            if len(_quotations) >= _KEPT:
                _quotations.clear()
                _quotations[""] = _NULL
            _quotations[text] = known
    return known


def _milliseconds(seconds: float) -> str:
    """To the microsecond."""
    microseconds = int(seconds * 1e6 + 0.5)
    return f"{microseconds // 1000}{_THOUSANDTHS[microseconds % 1000]}"


POLICY: Final[Policy] = Policy("access_log", access_log)
